//! What clients send over a WebSocket: whole frames, counted and bounded.
//!
//! Each part of a frame that comes in several parts counts as a frame, and nothing of a frame is kept beyond its limit, so
//! that neither many parts nor large ones cost the server more than plain frames do.

use std::rc::Rc;

use actix_codec::Decoder;
use actix_http::ws::{Codec, Frame};
use actix_web::{
    rt::net::TcpStream,
    web::{Bytes, BytesMut},
};
use actix_ws::{Item, ProtocolError};
use bytestring::ByteString;
use tokio::time::Instant;

use crate::{codes::Close, options::Options, wire};

/// The most bytes before the payload of a frame of a client.
const MAX_HEAD: usize = 14;

/// The frames of one client.
pub(crate) struct Incoming {
    io: Rc<TcpStream>,
    codec: Codec,
    /// A part of a frame; without memory while there is none.
    input: BytesMut,
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
    /// `input` is what was read already.
    pub fn new(io: Rc<TcpStream>, input: BytesMut, options: &Options) -> Self {
        Self {
            io,
            codec: Codec::new().max_size(options.frame_bytes),
            input,
            bucket: Bucket::new(options.frames_per_second),
            limit: options.frame_bytes,
            parts: BytesMut::new(),
            is_text: false,
            heard: Instant::now(),
        }
    }

    /// Waits for the next frame, or a part of one. Cancel-safe.
    pub async fn next(&mut self) -> Result<Received, Wrong> {
        loop {
            if let Some(frame) = self.decode()? {
                return self.take(frame);
            }
            wire::readable(&self.io).await.map_err(|_| Wrong::Gone)?;
            if !wire::read(&self.io, &mut self.input).map_err(|_| Wrong::Gone)? {
                return Err(Wrong::Gone);
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Frame>, Wrong> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let frame = self.codec.decode(&mut self.input).map_err(|error| match error {
            ProtocolError::Overflow => Wrong::Refused(Close::TOO_LARGE),
            _ => Wrong::Refused(Close::INVALID),
        })?;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        // A frame within the limit would be complete.
        if frame.is_none() && self.input.len() > self.limit + MAX_HEAD {
            return Err(Wrong::Refused(Close::TOO_LARGE));
        }
        Ok(frame)
    }

    fn take(&mut self, frame: Frame) -> Result<Received, Wrong> {
        self.heard = Instant::now();
        if !self.bucket.take() {
            return Err(Wrong::Refused(Close::TOO_MANY_FRAMES));
        }
        Ok(match frame {
            Frame::Text(text) => Received::Text(text_of(text)?),
            Frame::Binary(_) => Received::Binary,
            Frame::Ping(bytes) => Received::Ping(bytes),
            Frame::Pong(_) => Received::Sign,
            Frame::Close(_) => Received::Close,
            Frame::Continuation(part) => return self.add(part),
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
        Ok(Received::Text(text_of(whole)?))
    }
}

fn text_of(bytes: Bytes) -> Result<ByteString, Wrong> {
    ByteString::try_from(bytes).map_err(|_| Wrong::Refused(Close::INVALID))
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
