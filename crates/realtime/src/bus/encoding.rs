//! How signals are written on the bus: JSON objects with a `type`. Servers of another version take part, so a type that
//! is not known is ignored, and so are fields. A change that older servers would misread takes a new type.

use serde::{Deserialize, Serialize};

use super::{Hint, MAX_SIGNAL_BYTES, MAX_TTL_MS, Signal};

/// [`Signal::LogGrew`], encoded.
pub(super) const LOG_GREW: &[u8] = br#"{"type":"log_grew"}"#;

/// The same, as the first and the last signal of a connection, which the sender recognizes when they come back.
pub(super) const FIRST: &[u8] = br#"{"type":"log_grew","is_first":true}"#;
pub(super) const LAST: &[u8] = br#"{"type":"log_grew","is_last":true}"#;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Sent<'a> {
    Hint(&'a Hint),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Received {
    LogGrew,
    Hint(Hint),
    #[serde(other)]
    Unknown,
}

/// A payload that no server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Encodes a hint, or returns `None` if it exceeds a bound.
pub(super) fn encode(hint: &Hint) -> Option<Vec<u8>> {
    let bytes = serde_json::to_vec(&Sent::Hint(hint)).ok()?;
    (bytes.len() <= MAX_SIGNAL_BYTES && hint.ttl_ms <= MAX_TTL_MS).then_some(bytes)
}

/// Decodes a payload. Returns `None` for a signal that only newer servers know.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Signal>, Malformed> {
    if payload.len() > MAX_SIGNAL_BYTES {
        return Err(Malformed);
    }
    match serde_json::from_slice(payload).map_err(|_| Malformed)? {
        Received::LogGrew => Ok(Some(Signal::LogGrew)),
        Received::Hint(hint) if hint.ttl_ms > MAX_TTL_MS => Err(Malformed),
        Received::Hint(hint) => Ok(Some(Signal::Hint(hint))),
        Received::Unknown => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use groundwork_core::Uuid;
    use serde_json::json;

    use super::*;

    fn hint(text: &str) -> Hint {
        let (subjects, user_id) = (vec![Uuid::from_u128(1)], Uuid::from_u128(2));
        Hint { kind: "typing".to_owned(), subjects, user_id, data: json!({"text": text}), ttl_ms: 6000 }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for payload in [LOG_GREW, FIRST, LAST] {
            assert_eq!(decode(payload), Ok(Some(Signal::LogGrew)));
        }
        let bytes = encode(&hint("ä\n")).unwrap();
        assert_eq!(decode(&bytes), Ok(Some(Signal::Hint(hint("ä\n")))));
    }

    #[test]
    fn what_newer_servers_say_is_ignored() {
        assert_eq!(decode(br#"{"type":"revoked","user_id":7}"#), Ok(None));
        assert_eq!(decode(br#"{"type":"log_grew","by":3}"#), Ok(Some(Signal::LogGrew)));
    }

    #[test]
    fn everything_is_bounded() {
        assert_eq!(encode(&hint(&"x".repeat(MAX_SIGNAL_BYTES))), None);
        assert_eq!(encode(&Hint { ttl_ms: MAX_TTL_MS + 1, ..hint("") }), None);
        let long = json!({"type": "log_grew", "text": "x".repeat(MAX_SIGNAL_BYTES)}).to_string();
        assert_eq!(decode(long.as_bytes()), Err(Malformed));
        let deep = format!(r#"{{"type":"hint","data":{}}}"#, "[".repeat(MAX_SIGNAL_BYTES / 2));
        for payload in ["", "null", "{}", "\u{0}", r#"{"type":"hint"}"#, r#"{"type":5}"#, &deep] {
            assert_eq!(decode(payload.as_bytes()), Err(Malformed), "{payload}");
        }
        assert_eq!(decode(&[0xff; 40]), Err(Malformed));
    }
}
