//! The socket of a WebSocket connection: bytes out and in, without a buffer while nothing is under way.

use std::{future::poll_fn, io, rc::Rc, time::Duration};

use actix_http::ws::{OpCode, Parser};
use actix_web::{
    rt::net::TcpStream,
    web::{Buf, Bytes, BytesMut},
};
use actix_ws::{CloseCode, CloseReason};

use crate::codes::Close;

/// How much is read at once.
const READ: usize = 16 * 1024;
/// How long a client may take to close a connection that the server closes.
const LINGER: Duration = Duration::from_secs(1);

/// What goes out. One task writes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    io: Rc<TcpStream>,
    /// What the system has not accepted yet. Frames are never cut off, also if who waits for this gives up.
    rest: Bytes,
}

impl Outgoing {
    pub fn new(io: Rc<TcpStream>) -> Self {
        Self { io, rest: Bytes::new() }
    }

    /// Begins to send bytes. Returns whether the system has accepted all; otherwise [`flush`](Self::flush) waits for that.
    pub fn start(&mut self, bytes: &Bytes) -> io::Result<bool> {
        if self.rest.is_empty() {
            self.rest = bytes.clone();
        } else {
            let mut both = BytesMut::with_capacity(self.rest.len() + bytes.len());
            both.extend_from_slice(&self.rest);
            both.extend_from_slice(bytes);
            self.rest = both.freeze();
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match self.io.try_write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.rest.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.rest = Bytes::new();
        Ok(true)
    }

    /// Waits until the system has accepted all. Cancel-safe.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.write()? {
            poll_fn(|cx| self.io.poll_write_ready(cx)).await?;
        }
        Ok(())
    }

    /// Sends a last frame, and waits a moment for the client to close the connection. With something unread, the system would
    /// reset the connection, and the client might lose the frame.
    pub async fn close(&mut self, close: Close) -> io::Result<()> {
        self.start(&close_frame(close))?;
        self.flush().await?;
        socket2::SockRef::from(&*self.io).shutdown(std::net::Shutdown::Write)?;
        tokio::time::timeout(LINGER, self.until_closed()).await?
    }

    /// Reads and forgets what the client still sends.
    async fn until_closed(&self) -> io::Result<()> {
        let mut input = BytesMut::new();
        while read(&self.io, &mut input)? {
            input.clear();
            readable(&self.io).await?;
        }
        Ok(())
    }
}

/// Waits until there may be something to read.
pub(crate) async fn readable(io: &TcpStream) -> io::Result<()> {
    poll_fn(|cx| io.poll_read_ready(cx)).await
}

/// Adds what there is to read to `input`. Returns false at the end of the stream.
pub(crate) fn read(io: &TcpStream, input: &mut BytesMut) -> io::Result<bool> {
    let mut buffer = [0; READ];
    match io.try_read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(count) => {
            input.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// A ping without data.
pub(crate) fn ping_frame() -> Bytes {
    Bytes::from_static(&[0x89, 0])
}

/// The answer to a ping.
pub(crate) fn pong_frame(data: &Bytes) -> Bytes {
    let mut frame = BytesMut::new();
    Parser::write_message(&mut frame, data, OpCode::Pong, true, false);
    frame.freeze()
}

fn close_frame(close: Close) -> Bytes {
    let reason =
        CloseReason { code: CloseCode::from(close.code), description: Some(close.reason.to_owned()) };
    let mut frame = BytesMut::new();
    Parser::write_close(&mut frame, Some(reason), false);
    frame.freeze()
}
