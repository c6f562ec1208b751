//! A connection to PostgreSQL that sends one prepared statement again and again, with as little work as `pgbench`.
//!
//! The protocol is version 3. The server has to trust the connection, as the bench's own server does.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Result;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    /// The part of `input` that is not yet taken.
    taken: usize,
    len: usize,
}

/// What a statement returned.
#[derive(Debug, Default)]
pub struct Rows {
    /// The values of the rows as text; null is empty.
    pub rows: Vec<Vec<String>>,
    /// The number of rows that were returned.
    pub count: u64,
}

impl Wire {
    /// Connects to a server on this machine as the user `postgres`.
    pub async fn open(port: u16, database: &str) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, out: Vec::new(), input: vec![0; 16 * 1024], taken: 0, len: 0 };
        let start = format!("\0\x03\0\0user\0postgres\0database\0{database}\0\0");
        wire.out.extend_from_slice(&(u32::try_from(start.len())? + 4).to_be_bytes());
        wire.out.extend_from_slice(start.as_bytes());
        wire.flush().await?;
        wire.answer(false).await?;
        Ok(wire)
    }

    /// Runs statements without parameters.
    pub async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.message(b'Q', |out| text(out, sql))?;
        self.flush().await?;
        self.answer(true).await
    }

    /// Prepares the statement that [`execute`](Self::execute) runs.
    pub async fn prepare(&mut self, sql: &str) -> Result<()> {
        self.message(b'P', |out| {
            text(out, "bench");
            text(out, sql);
            out.extend_from_slice(&[0, 0]);
        })?;
        self.message(b'S', |_| {})?;
        self.flush().await?;
        self.answer(false).await?;
        Ok(())
    }

    /// Runs the prepared statement once with these values, in one round trip. Returns the number of rows.
    pub async fn execute(&mut self, values: &[String]) -> Result<u64> {
        let count = u16::try_from(values.len())?;
        self.message(b'B', |out| {
            out.push(0);
            text(out, "bench");
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&count.to_be_bytes());
            for value in values {
                let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
            }
            // All results in binary.
            out.extend_from_slice(&[0, 1, 0, 1]);
        })?;
        self.message(b'E', |out| out.extend_from_slice(&[0; 5]))?;
        self.message(b'S', |_| {})?;
        self.flush().await?;
        Ok(self.answer(false).await?.count)
    }

    /// Appends a message: its tag, its length, and what `write` appends.
    fn message(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.out.push(tag);
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        write(&mut self.out);
        let len = u32::try_from(self.out.len() - at)?.to_be_bytes();
        self.out.get_mut(at..at + 4).ok_or("no length")?.copy_from_slice(&len);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Reads until the server is ready for the next statement.
    async fn answer(&mut self, keep: bool) -> Result<Rows> {
        let (mut rows, mut failure) = (Rows::default(), None);
        loop {
            let (tag, from, to) = self.next().await?;
            let body = self.input.get(from..to).unwrap_or_default();
            match tag {
                b'Z' => break,
                b'E' => failure = Some(error_text(body)),
                b'R' if body != [0; 4] => return Err("the server asks for a password; it must trust".into()),
                b'D' => {
                    rows.count += 1;
                    if keep {
                        rows.rows.push(row_of(body));
                    }
                }
                _ => {}
            }
        }
        failure.map_or(Ok(rows), |failure| Err(failure.into()))
    }

    /// Returns the tag of the next message, and where its body is.
    async fn next(&mut self) -> Result<(u8, usize, usize)> {
        self.fill(5).await?;
        let head = self.input.get(self.taken..self.taken + 5).and_then(<[u8]>::split_first_chunk::<1>);
        let ([tag], len) = head.ok_or("no head")?;
        let (tag, len) = (*tag, u32::from_be_bytes(len.try_into()?) as usize);
        self.fill(len + 1).await?;
        let (from, to) = (self.taken + 5, self.taken + len + 1);
        self.taken = to;
        Ok((tag, from, to))
    }

    /// Reads until there are at least `wanted` bytes that are not taken.
    async fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.taken == self.len {
            (self.taken, self.len) = (0, 0);
        }
        if self.taken + wanted > self.input.len() {
            self.input.copy_within(self.taken..self.len, 0);
            (self.taken, self.len) = (0, self.len - self.taken);
            if wanted > self.input.len() {
                self.input.resize(wanted.next_power_of_two(), 0);
            }
        }
        while self.len - self.taken < wanted {
            let read = self.stream.read(self.input.get_mut(self.len..).unwrap_or_default()).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.len += read;
        }
        Ok(())
    }
}

/// Appends a text that ends with a zero.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// The message of an error, whose fields are a letter and a text each.
fn error_text(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let message = fields.filter_map(<[u8]>::split_first).find(|(letter, _)| **letter == b'M');
    message.map_or_else(|| "unknown".into(), |(_, text)| String::from_utf8_lossy(text).into_owned())
}

/// The values of a row, as text.
fn row_of(body: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0);
        let (value, after) = after.split_at_checked(len).unwrap_or((after, &[]));
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_errors_are_understood() {
        assert_eq!(row_of(b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff"), ["ab", ""]);
        assert_eq!(error_text(b"SERROR\0C42P01\0Mno such table\0\0"), "no such table");
    }
}
