//! A connection to an HTTP/1.1 server, as cheap as one can be: it shares the machine with what it measures.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Result;

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    /// What was read of the response; what is beyond `len` is free.
    buffer: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Http {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 16 * 1024], body: 0..0 })
    }

    /// Sends a whole request and reads the whole response. Returns its status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        let mut len = 0;
        let (head, status, length) = loop {
            len += self.read(len).await?;
            let read = self.buffer.get(..len).unwrap_or_default();
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(read.get(..end).unwrap_or_default())?;
                break (end + 4, status_of(head)?, length_of(head)?);
            }
        };
        while len < head + length {
            len += self.read(len).await?;
        }
        self.body = head..head + length;
        Ok(status)
    }

    /// The body of the last response.
    pub fn body(&self) -> &[u8] {
        self.buffer.get(self.body.clone()).unwrap_or_default()
    }

    async fn read(&mut self, len: usize) -> Result<usize> {
        if len == self.buffer.len() {
            self.buffer.resize(len * 2, 0);
        }
        match self.stream.read(self.buffer.get_mut(len..).unwrap_or_default()).await? {
            0 => Err("the server closed the connection".into()),
            read => Ok(read),
        }
    }
}

fn status_of(head: &str) -> Result<u16> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| "a response without a status".into())
}

/// The length of the body. The service sends no chunks to these requests.
fn length_of(head: &str) -> Result<usize> {
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                return Ok(value.trim().parse()?);
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err("a response in chunks".into());
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_response_is_understood() {
        let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\ncontent-length: 12";
        assert_eq!((status_of(head).unwrap(), length_of(head).unwrap()), (201, 12));
        assert_eq!(length_of("HTTP/1.1 204 No Content").unwrap(), 0);
        assert!(length_of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
        assert!(status_of("").is_err());
    }
}
