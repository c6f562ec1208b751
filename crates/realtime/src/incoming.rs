//! What clients send over a WebSocket: whole frames, counted and bounded.
//!
//! Each part of a frame that comes in several parts counts as a frame, and nothing of a frame is kept beyond its limit, so
//! that neither many parts nor large ones cost the server more than plain frames do.

use actix_web::web::{Bytes, BytesMut};
use actix_ws::{Item, Message, MessageStream, ProtocolError};
use bytestring::ByteString;
use futures::StreamExt;
use tokio::time::Instant;

use crate::{codes::Close, options::Options};

/// The frames of one client.
pub(crate) struct Incoming {
    stream: MessageStream,
    bucket: Bucket,
    limit: usize,
    parts: BytesMut,
    is_text: bool,
    /// When the client sent something.
    pub heard: Instant,
}

/// What a client sent.
#[derive(Debug)]
pub(crate) enum Received {
    Text(ByteString),
    Binary,
    Ping(Bytes),
    /// An answer to a ping, or a part of a frame.
    Sign,
    Close,
}

/// Why no more frames are read.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// The network or the client has closed the connection.
    Gone,
    /// The client broke a rule.
    Refused(Close),
}

impl Incoming {
    pub fn new(stream: MessageStream, options: &Options) -> Self {
        Self {
            stream: stream.max_frame_size(options.frame_bytes),
            bucket: Bucket::new(options.frames_per_second),
            limit: options.frame_bytes,
            parts: BytesMut::new(),
            is_text: false,
            heard: Instant::now(),
        }
    }

    /// Waits for the next frame, or a part of one. Cancel-safe.
    pub async fn next(&mut self) -> Result<Received, Wrong> {
        let message = match self.stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(ProtocolError::Overflow)) => return Err(Wrong::Refused(Close::TOO_LARGE)),
            Some(Err(ProtocolError::Io(error))) if error.kind() != std::io::ErrorKind::InvalidData => {
                return Err(Wrong::Gone);
            }
            Some(Err(_)) => return Err(Wrong::Refused(Close::INVALID)),
            None => return Err(Wrong::Gone),
        };
        self.heard = Instant::now();
        if !self.bucket.take() {
            return Err(Wrong::Refused(Close::TOO_MANY_FRAMES));
        }
        Ok(match message {
            Message::Text(text) => Received::Text(text),
            Message::Binary(_) => Received::Binary,
            Message::Ping(bytes) => Received::Ping(bytes),
            Message::Pong(_) | Message::Nop => Received::Sign,
            Message::Close(_) => Received::Close,
            Message::Continuation(part) => return self.add(part),
        })
    }

    fn add(&mut self, part: Item) -> Result<Received, Wrong> {
        let (bytes, is_last) = match part {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if !self.parts.is_empty() => {
                drop(bytes);
                return Err(Wrong::Refused(Close::INVALID));
            }
            Item::FirstText(bytes) => {
                self.is_text = true;
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.is_text = false;
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        if self.parts.len() + bytes.len() > self.limit {
            return Err(Wrong::Refused(Close::TOO_LARGE));
        }
        self.parts.extend_from_slice(&bytes);
        if !is_last {
            return Ok(Received::Sign);
        }
        let whole = std::mem::take(&mut self.parts).freeze();
        if !self.is_text {
            return Ok(Received::Binary);
        }
        let text = ByteString::try_from(whole).map_err(|_| Wrong::Refused(Close::INVALID))?;
        Ok(Received::Text(text))
    }
}

/// How many frames a client may send now.
struct Bucket {
    rate: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_second: u32) -> Self {
        let rate = f64::from(per_second);
        Self { rate, left: 2.0 * rate, at: Instant::now() }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.rate;
        (self.left, self.at) = ((self.left + gained).min(2.0 * self.rate), now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}
