//! The frames of the server that are not events of the log. They have no `id`, and are never stored.

use groundwork_core::{Timestamp, Uuid};
use groundwork_web::http::problem::ProblemBody;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::Status;

/// A frame of the server that is not an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlFrame {
    /// You are authenticated. The first frame of a connection, and the answer to a fresh `auth`. After `cursor_expired` it
    /// has the cursor from which the stream goes on.
    Ready {
        /// The connection.
        data: Ready,
    },
    /// A frame with a `client_id` took effect.
    Ack {
        /// The `client_id` of the frame.
        #[schema(example = "b1c7")]
        client_id: String,
        /// The result, by the type of the frame.
        data: Json,
    },
    /// A frame was refused, or the connection ends for this reason. In Server-Sent Events it is the last event.
    Error {
        /// The `client_id` of the frame that was refused. Null if it had none, or if the error is not about a frame.
        #[schema(example = "b1c7")]
        client_id: Option<String>,
        /// The error, as in a response of the API.
        data: Box<ProblemBody>,
    },
    /// The answer to `ping`.
    Pong {},
    /// Another user is online, away or offline.
    Presence {
        /// The user.
        data: UserPresence,
    },
    /// The server stops sending before you have everything. Close code 4409 or 4410 follows and tells what to do.
    ResyncRequired {
        /// The reason.
        data: Resync,
    },
    /// The connection ends. Connect again after a delay, with the last cursor.
    Reconnect {
        /// The delay.
        data: Reconnect,
    },
}

impl ControlFrame {
    /// Its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Ack { .. } => "ack",
            Self::Error { .. } => "error",
            Self::Pong {} => "pong",
            Self::Presence { .. } => "presence",
            Self::ResyncRequired { .. } => "resync_required",
            Self::Reconnect { .. } => "reconnect",
        }
    }
}

/// What a connection is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Your user.
    pub user_id: Uuid,
    /// The session of the access token.
    pub session_id: Uuid,
    /// The cursor to resume from, until an event brings a later one.
    #[schema(example = "SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAq")]
    pub cursor: String,
    /// When the access token expires. Send `auth` with a fresh one before.
    pub expires_at: Timestamp,
    /// The interval of the server's pings, in seconds. A client that sends nothing for twice this time, not even the
    /// answer to a ping, is disconnected.
    #[schema(example = 25)]
    pub heartbeat_seconds: u64,
    /// What a service adds.
    #[serde(flatten)]
    #[schema(ignore)]
    pub greeting: Map<String, Json>,
}

/// Whether a user is online.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct UserPresence {
    /// The user.
    pub user_id: Uuid,
    /// The status.
    pub status: Status,
    /// When the user was last online. Null while they are, and if it is not known or not shown.
    pub last_seen_at: Option<Timestamp>,
}

/// Why a client has to connect again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Resync {
    /// The reason, as in the close frame.
    #[schema(example = "too_slow")]
    pub reason: String,
}

/// When to connect again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reconnect {
    /// How long to wait, in milliseconds. It is random, so that not all clients come at once.
    #[schema(example = 1234)]
    pub after_ms: u16,
    /// The reason, as in the close frame.
    #[schema(example = "server_restarts")]
    pub reason: String,
}

/// That somebody does something, for a short time.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct HintData {
    /// The user.
    pub user_id: Uuid,
    /// Whether it goes on. It is false when it has ended.
    #[schema(example = true)]
    pub active: bool,
    /// When it ends by itself, in milliseconds; 0 if it has ended.
    #[schema(example = 6000)]
    pub expires_in_ms: u64,
}
