//! The WebSocket (RFC 6455): events out, frames of the client in.
//!
//! This is what opens one; `serving` has the rest.

use std::sync::Arc;

use actix_http::ws;
use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::Version, web::Data};
use groundwork_core::{FieldErrors, Result, Text, Validate, error::codes};
use groundwork_web::{
    Problem, Query, Routes,
    http::{bearer, request_id::RequestId},
    openapi::describe::{DescribeOutput, OperationDoc},
    service::upgrade,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Realtime,
    codes::{Close, TOO_MANY_FRAMES, UNKNOWN_TYPE},
    control::{ControlFrame, Reconnect, Resync},
    cursor::Cursor,
    frame::Frame,
    serving::{Asked, Begin, Socket},
};

/// The longest time that clients are asked to stay away when the server stops.
const MAX_AWAY_MS: u16 = 5000;
/// The most characters of an access token.
pub type AccessToken = Text<1, 8192>;
/// A cursor as text.
pub type CursorText = Text<1, 64>;

/// Where to begin.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The last cursor that you have. The events after it come first. Without it, events come from now on.
    #[serde(default)]
    pub since: Option<CursorText>,
}

/// Authenticates the connection, or goes on with a fresh token of the same user.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "eyJhbGciOiJIUzI1NiJ9.e30.Qx1", "cursor": "SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAr"}))]
pub struct AuthFrame {
    /// The access token.
    pub token: AccessToken,
    /// The last cursor that you have, to resume. The events after it come first.
    #[serde(default)]
    pub cursor: Option<CursorText>,
}

/// Goes back to a cursor: all events after it come again, in order.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cursor": "SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAr"}))]
pub struct ResumeFrame {
    /// The cursor.
    pub cursor: CursorText,
}

/// Asks for a `pong`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PingFrame {}

/// Whether the user of the connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// There.
    Online,
    /// Connected, but not there.
    Away,
}

/// Says whether the user is there.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceFrame {
    /// The status of this connection. A user is as present as the most present of their connections.
    pub status: Availability,
}

/// A frame of the client that every service takes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Authenticates the connection. Must be the first frame, unless the request has an `Authorization` header. Later it
    /// renews the access token before it expires, or resumes with `cursor`.
    Auth(AuthFrame),
    /// Goes back to a cursor: all events after it come again, in order.
    Resume(ResumeFrame),
    /// Asks for a `pong`.
    Ping(PingFrame),
    /// Says whether the user is there.
    Presence(PresenceFrame),
}

macro_rules! no_rules {
    ($($frame:ty),*) => {
        $(impl Validate for $frame {
            fn validate(&self, _: &mut FieldErrors) {}
        })*
    };
}
no_rules!(AuthFrame, ResumeFrame, PingFrame, PresenceFrame);

/// Adds `/ws`.
pub(crate) fn routes(routes: &mut Routes) {
    routes
        .get("/ws", "realtime_socket", "Open a WebSocket", open)
        .describe(
            "Sends your events as they happen, and takes frames. `/asyncapi.json` describes the frames. Authenticate with the \
             `Authorization` header, or with the first frame: `{\"type\": \"auth\", \"token\": \"…\"}`.",
        )
        .errors(&[
            codes::UNAUTHENTICATED,
            codes::INVALID_TOKEN,
            codes::TOKEN_EXPIRED,
            codes::SESSION_ENDED,
            codes::MALFORMED,
            // In frames, after the connection was opened.
            TOO_MANY_FRAMES,
            UNKNOWN_TYPE,
        ]);
}

/// The response that opens a WebSocket.
struct Upgrade(HttpResponse);

impl Responder for Upgrade {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl DescribeOutput for Upgrade {
    fn describe(doc: &mut OperationDoc) {
        doc.answer(101, "The connection is a WebSocket from now on", None);
    }
}

async fn open(
    request: HttpRequest,
    realtime: Data<Realtime>,
    query: Query<Since>,
) -> Result<Upgrade, Problem> {
    let realtime = (**realtime).clone();
    realtime.require_log()?;
    if request.version() < Version::HTTP_11 {
        return Err(codes::MALFORMED.error("a WebSocket takes HTTP/1.1").into());
    }
    let cursor = query.0.since.map(|since| Cursor::decode("since", &since)).transpose()?;
    let (signed_in, permit) = if request.headers().contains_key("authorization") {
        let token = bearer::token_of(&request)?;
        (Some((realtime.authenticator().authenticate(&token).await?, token)), None)
    } else {
        let permit = Arc::clone(realtime.unauthenticated()).try_acquire_owned();
        let busy = || codes::BUSY.error("too many connections are waiting for their authentication");
        (None, Some(permit.map_err(|_| busy())?))
    };
    let mut handshake = ws::handshake(request.head())
        .map_err(|error| codes::MALFORMED.error(format!("not the handshake of a WebSocket: {error}")))?;
    let asked = Asked { path: request.path().to_owned(), request_id: RequestId::of(&request) };
    let visit = realtime.hub().visit();
    let mut response = HttpResponse::from(handshake.finish()).map_into_boxed_body();
    upgrade::hand_over(&mut response, move |upgraded| {
        Socket::new(realtime, upgraded, asked, visit).serve(Begin { signed_in, cursor, permit })
    });
    Ok(Upgrade(response))
}

/// The frame that tells a client to come back later.
pub(crate) fn reconnect(close: Close) -> Frame {
    let data = Reconnect { after_ms: away_ms(), reason: close.reason.to_owned() };
    Frame::control(&ControlFrame::Reconnect { data })
}

/// The frame that tells a client that it does not get everything here.
pub(crate) fn resync(close: Close) -> Frame {
    Frame::control(&ControlFrame::ResyncRequired { data: Resync { reason: close.reason.to_owned() } })
}

/// A random time, so that the clients of a server that stops do not all come back at once.
fn away_ms() -> u16 {
    let mut bytes = [0; 2];
    if getrandom::fill(&mut bytes).is_err() {
        return MAX_AWAY_MS;
    }
    u16::from_be_bytes(bytes) % MAX_AWAY_MS
}
