//! What is sent to clients. A frame is written once, and shared by all connections that get it.

use bytestring::ByteString;
use groundwork_core::{
    Timestamp, Uuid,
    events::{Model as Event, Position},
};
use groundwork_web::http::problem::ProblemBody;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

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

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    at: Timestamp,
    version: Option<i64>,
    #[serde(flatten)]
    subject: Map<String, Json>,
    data: &'a Map<String, Json>,
}

impl Frame {
    /// The frame of an event. `cursor` is what the client has reached with it.
    pub fn event(head: &Head<'_>, cursor: String, data: &Map<String, Json>) -> Self {
        let (kind, id) = head.subject;
        let mut subject = Map::new();
        subject.insert(format!("{kind}_id"), json!(id));
        let envelope =
            Envelope { kind: head.kind, id: &cursor, at: head.at, version: head.version, subject, data };
        Self {
            kind: head.kind.to_owned(),
            position: Some(head.position),
            scope: head.scope,
            text: text_of(&envelope),
            cursor: Some(cursor),
        }
    }

    /// A frame that is not an event of the log.
    pub fn control(kind: &str, members: Json) -> Self {
        let mut body = Map::new();
        body.insert("type".to_owned(), json!(kind));
        if let Json::Object(members) = members {
            body.extend(members);
        }
        Self { kind: kind.to_owned(), position: None, cursor: None, scope: "", text: text_of(&body) }
    }

    /// The answer to a frame that was refused.
    pub fn error(problem: &ProblemBody, client_id: Option<&str>) -> Self {
        Self::control("error", json!({"client_id": client_id, "data": problem}))
    }
}

/// Writes JSON. What is written here has only string keys, so that it can't fail.
fn text_of(value: &impl Serialize) -> ByteString {
    serde_json::to_string(value).unwrap_or_default().into()
}
