//! What is sent to clients. A frame is written once, and shared by all connections that get it.

use actix_web::web::Bytes;
use bytestring::ByteString;
use groundwork_core::{
    Timestamp, Uuid,
    events::{Model as Event, Position},
};
use groundwork_web::http::problem::ProblemBody;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use crate::control::{ControlFrame, HintData};

/// A frame, ready to send.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The type.
    pub kind: String,
    /// The place of its event in the log; of the last one, for several. None for what is not stored.
    pub position: Option<Position>,
    /// The cursor that the client has reached with it.
    pub cursor: Option<String>,
    /// The scope that a caller needs to see it; empty for none.
    pub scope: &'static str,
    /// Its JSON.
    pub text: ByteString,
    /// The WebSocket frame of it, as all connections send it. It shares the memory of the text.
    pub wire: Bytes,
}

/// The fields of an event in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub kind: &'a str,
    pub at: Timestamp,
    pub subject: (&'a str, Uuid),
    pub version: Option<i64>,
    pub position: Position,
    pub scope: &'static str,
}

impl<'a> Head<'a> {
    pub fn of(event: &'a Event, scope: &'static str) -> Self {
        Self {
            kind: &event.kind,
            at: event.created_at,
            subject: (&event.subject_kind, event.subject_id),
            version: event.version,
            position: event.place(),
            scope,
        }
    }
}

/// An event. The id of its subject is in a member that is named after the subject's kind, such as `bookmark_id`.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventFrame<'a> {
    /// The type.
    #[serde(rename = "type")]
    #[schema(example = "bookmark.created")]
    pub kind: &'a str,
    /// The cursor after this event.
    #[schema(example = "SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAr")]
    pub id: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// The version of its subject after it. Each version of a subject occurs in one event only. Null if the event has none.
    #[schema(example = 12)]
    pub version: Option<i64>,
    /// The id of the subject, by `<kind>_id`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub subject: Map<String, Json>,
    /// Its data, by type.
    #[schema(value_type = Object)]
    pub data: &'a Map<String, Json>,
}

/// A hint that ends by itself, such as that somebody is typing.
#[derive(Serialize)]
struct HintFrame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    subject: Map<String, Json>,
    data: HintData,
}

/// The member that names a subject.
fn subject_of((kind, id): (&str, Uuid)) -> Map<String, Json> {
    Map::from_iter([(format!("{kind}_id"), json!(id))])
}

impl Frame {
    /// The frame of an event. `cursor` is what the client has reached with it.
    pub fn event(head: &Head<'_>, cursor: String, data: &Map<String, Json>) -> Self {
        let envelope = EventFrame {
            kind: head.kind,
            id: &cursor,
            at: head.at,
            version: head.version,
            subject: subject_of(head.subject),
            data,
        };
        let (wire, text) = written(&envelope);
        Self {
            kind: head.kind.to_owned(),
            position: Some(head.position),
            scope: head.scope,
            text,
            wire,
            cursor: Some(cursor),
        }
    }

    /// A frame that is not an event of the log.
    pub fn control(frame: &ControlFrame) -> Self {
        let cursor = match frame {
            ControlFrame::Ready { data } => Some(data.cursor.clone()),
            _ => None,
        };
        let (wire, text) = written(frame);
        Self { kind: frame.kind().to_owned(), position: None, cursor, scope: "", text, wire }
    }

    /// A hint about what a user does in a subject.
    pub fn hint(kind: &str, subject: (&str, Uuid), data: HintData) -> Self {
        let (wire, text) = written(&HintFrame { kind, subject: subject_of(subject), data });
        Self { kind: kind.to_owned(), position: None, cursor: None, scope: "", text, wire }
    }

    /// The answer to a frame that was refused.
    pub fn error(problem: ProblemBody, client_id: Option<String>) -> Self {
        Self::control(&ControlFrame::Error { client_id, data: Box::new(problem) })
    }
}

/// The most bytes before the payload of a frame of the server, which has no mask.
const MAX_HEAD: usize = 10;

/// Writes JSON, and the head of a WebSocket frame before it (RFC 6455, section 5.2). What is written here has only string
/// keys, so that it can't fail.
fn written(value: &impl Serialize) -> (Bytes, ByteString) {
    let mut bytes = vec![0; MAX_HEAD];
    if serde_json::to_writer(&mut bytes, value).is_err() {
        bytes.truncate(MAX_HEAD);
    }
    let head = head_of(bytes.len() - MAX_HEAD);
    let start = MAX_HEAD - head.len();
    if let Some(place) = bytes.get_mut(start..MAX_HEAD) {
        place.copy_from_slice(&head);
    }
    let bytes = Bytes::from(bytes);
    let text = ByteString::try_from(bytes.slice(MAX_HEAD..)).unwrap_or_default();
    (bytes.slice(start..), text)
}

/// The head of a whole frame of text.
fn head_of(length: usize) -> Vec<u8> {
    const TEXT: u8 = 0x81;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => vec![TEXT, length],
        (_, Ok(length)) => [&[TEXT, 126][..], &length.to_be_bytes()].concat(),
        _ => [&[TEXT, 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use actix_codec::Decoder;
    use actix_http::ws;
    use actix_web::web::BytesMut;

    use super::*;

    #[test]
    fn wire_and_text_say_the_same() {
        for length in [0, 1, 123, 124, 125, 126, 127, 65_533, 65_534, 65_535, 200_000] {
            let (wire, text) = written(&"x".repeat(length));
            assert_eq!(text.len(), length + 2);
            let mut codec = ws::Codec::new().client_mode().max_size(1_000_000);
            let mut input = BytesMut::from(&*wire);
            assert_eq!(codec.decode(&mut input).unwrap(), Some(ws::Frame::Text(text.into_bytes())));
            assert!(input.is_empty());
        }
    }
}
