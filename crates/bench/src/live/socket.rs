//! A WebSocket that only listens, with as little memory and work as the client of a broker.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::Result;

/// The connections that have one address of this machine as their source: there are about 28,000 ports, and one that was
/// used stays taken for a minute.
const PER_ADDRESS: usize = 10_000;
/// The connections so far.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Connects.
pub async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let place = CONNECTIONS.fetch_add(1, Ordering::Relaxed) / PER_ADDRESS;
    let source = Ipv4Addr::new(127, 0, u8::try_from(place / 250 + 1)?, u8::try_from(place % 250 + 1)?);
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a connection reads from, and what it has read.
#[derive(Debug)]
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads from a connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The connection.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns what was read and not taken, of which `length` tells how long the first frame is, if all of it is there.
    pub async fn frame(&mut self, length: impl Fn(&[u8]) -> Option<usize>) -> Result<Vec<u8>> {
        loop {
            if let Some(length) = length(&self.buffer).filter(|length| *length <= self.buffer.len()) {
                let rest = self.buffer.split_off(length);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            self.buffer.reserve(1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }
}

/// A WebSocket of a user.
#[derive(Debug)]
pub struct Socket(Reader);

impl Socket {
    /// Connects, and waits until the service delivers.
    pub async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let mut stream = connect(address).await?;
        let request = format!(
            "GET /api/v1/ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut reader = Reader::new(stream);
        let head = |read: &[u8]| read.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4);
        let answer = reader.frame(head).await?;
        if !answer.starts_with(b"HTTP/1.1 101") {
            return Err(format!("no WebSocket: {}", String::from_utf8_lossy(&answer)).into());
        }
        let mut socket = Self(reader);
        while !is_of(&socket.text().await?, "ready") {}
        Ok(socket)
    }

    /// Returns the next text frame, and answers pings until it comes.
    pub async fn text(&mut self) -> Result<Vec<u8>> {
        loop {
            let mut frame = self.0.frame(frame_length).await?;
            let head = head_length(&frame).ok_or("no head")?;
            match frame.first().map(|byte| byte & 0x0f) {
                Some(1) => return Ok(frame.split_off(head)),
                Some(9) => {
                    // A masked pong without a payload; the key of the mask is 0.
                    self.0.stream().write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
                }
                Some(8) => {
                    let reason = frame.split_off((head + 2).min(frame.len()));
                    return Err(format!("the service closed: {}", String::from_utf8_lossy(&reason)).into());
                }
                _ => {}
            }
        }
    }
}

/// Whether a frame of the service has this type.
pub fn is_of(frame: &[u8], kind: &str) -> bool {
    let begin = frame.get(..frame.len().min(64)).unwrap_or_default();
    String::from_utf8_lossy(begin).contains(&format!("\"type\":\"{kind}\""))
}

/// The length of the head of a WebSocket frame from a server, which masks nothing.
fn head_length(read: &[u8]) -> Option<usize> {
    Some(match read.get(1)? & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    })
}

fn frame_length(read: &[u8]) -> Option<usize> {
    let head = head_length(read)?;
    let length = match head {
        2 => usize::from(read.get(1)? & 0x7f),
        _ => read.get(2..head)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    Some(head + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_frame_is_known_from_its_head() {
        assert_eq!(frame_length(&[0x81]), None);
        assert_eq!(frame_length(&[0x81, 5]), Some(7));
        assert_eq!(frame_length(&[0x81, 126, 1, 0]), Some(260));
        assert_eq!(frame_length(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some(65546));
        assert!(is_of(br#"{"type":"ready","data":{}}"#, "ready"));
    }
}
