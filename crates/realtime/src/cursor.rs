//! The cursor of a client: a place in the log, and the epoch of the log that it belongs to.
//!
//! It is opaque for clients. It is the same on a WebSocket, in Server-Sent Events and in the paged feed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_core::{
    Error, Result,
    events::{Epoch, Position},
};

/// A place in the log that a client has reached: it has been sent everything up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch of the log. Another one means that the log was restored or moved.
    pub epoch: Epoch,
    /// The place.
    pub position: Position,
}

impl Cursor {
    /// Writes the cursor as text, in the alphabet of base64url.
    pub fn encode(self) -> String {
        let Position { stamp, number } = self.position;
        let mut bytes = [0; 24];
        let parts = self.epoch.to_bytes().into_iter().chain(stamp.to_be_bytes()).chain(number.to_be_bytes());
        for (place, byte) in bytes.iter_mut().zip(parts) {
            *place = byte;
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// `invalid`, naming `field`, for text that is not a cursor.
    pub fn decode(field: &str, text: &str) -> Result<Self> {
        let wrong = || Error::invalid(field, "bad_cursor", "is not a cursor of this service");
        let bytes: [u8; 24] =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
        let (epoch, place) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (stamp, number) = place.split_first_chunk::<8>().ok_or_else(wrong)?;
        let number: [u8; 8] = number.try_into().map_err(|_| wrong())?;
        let position = Position { stamp: i64::from_be_bytes(*stamp), number: i64::from_be_bytes(number) };
        Ok(Self { epoch: Epoch::from_bytes(*epoch), position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let position = Position { stamp: 7, number: i64::MAX };
        let cursor = Cursor { epoch: Epoch::from_bytes([9; 8]), position };
        assert_eq!(Cursor::decode("since", &cursor.encode()).unwrap(), cursor);
        for wrong in ["", "x", "äöü", &format!("{}A", cursor.encode())] {
            assert_eq!(Cursor::decode("since", wrong).unwrap_err().code().name, "invalid", "{wrong}");
        }
    }
}
