//! The WebSocket (RFC 6455): events out, frames of the client in.
//!
//! One task serves a connection. While a frame of the client is being handled, events still go out; the next frame waits, so
//! that frames take effect in their order.

use std::{future::Future, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::Version,
    web::{Data, Payload},
};
use actix_ws::{CloseCode, CloseReason, Closed, Session};
use bytestring::ByteString;
use groundwork_auth::Caller;
use groundwork_core::{
    Error, FieldErrors, Kind, Result, Text, Timestamp, Validate,
    error::codes,
    events::{self, Position},
};
use groundwork_web::{
    Problem, Query, Routes,
    http::{bearer, extract, problem::ProblemBody, request_id::RequestId},
    openapi::describe::{DescribeOutput, OperationDoc},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use utoipa::ToSchema;

use crate::{
    Realtime, Status,
    codes::{CURSOR_EXPIRED, Close, TOO_MANY_CONNECTIONS, TOO_MANY_FRAMES, UNKNOWN_TYPE},
    command::LocalFuture,
    control::{ControlFrame, Reconnect, Resync},
    cursor::Cursor,
    frame::Frame,
    hub::{Ended, Visit},
    incoming::{Incoming, Received, Wrong},
    replay::{Stop, Stream},
    stats::Counters,
};

/// How long a client may take to accept the last frames before its connection is dropped.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a client may take to accept a frame before that counts as a sign of life.
const LATE: Duration = Duration::from_secs(1);
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
    payload: Payload,
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
    let (response, session, messages) = actix_ws::handle(&request, payload)
        .map_err(|error| codes::MALFORMED.error(format!("not the handshake of a WebSocket: {error}")))?;
    let socket = Socket {
        incoming: Incoming::new(messages, realtime.options()),
        invalid: 0,
        _visit: realtime.hub().visit(),
        request_id: RequestId::of(&request),
        path: request.path().to_owned(),
        ended: None,
        session,
        realtime,
    };
    actix_web::rt::spawn(socket.serve(signed_in, cursor, permit));
    Ok(Upgrade(response))
}

/// Why a connection ends.
enum End {
    /// The server closes it.
    Close(Close),
    /// The client did, or the network.
    Gone,
}

/// What became of a frame of the client.
enum Done {
    Reply { client_id: Option<String>, result: Result<Json> },
    Authenticated { caller: Result<Caller>, token: String, since: Option<Result<Position>> },
    Resumed(Result<Position>),
}

type Work = Option<LocalFuture<'static, Done>>;

struct Socket {
    realtime: Realtime,
    session: Session,
    incoming: Incoming,
    invalid: u32,
    request_id: RequestId,
    path: String,
    ended: Option<Arc<Ended>>,
    /// Until the client has been told why the connection ends.
    _visit: Visit,
}

/// A caller, and the token that said so.
type SignedIn = (Caller, String);

impl Socket {
    async fn serve(
        mut self,
        signed_in: Option<SignedIn>,
        cursor: Option<Cursor>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        Counters::add(&self.realtime.hub().counters.opened, 1);
        if let Err(End::Close(close)) = self.talk(signed_in, cursor, permit).await {
            tracing::debug!(code = close.code, reason = close.reason, "closed a connection");
            let _ = timeout(FAREWELL, self.say_goodbye(close)).await;
        }
    }

    /// Serves the connection until it ends, which is an error.
    async fn talk(
        &mut self,
        signed_in: Option<SignedIn>,
        cursor: Option<Cursor>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), End> {
        let ((caller, token), cursor) = if let Some(signed_in) = signed_in {
            (signed_in, cursor)
        } else {
            let limit = self.realtime.options().auth_timeout;
            let late = |_| End::Close(Close::UNAUTHENTICATED);
            let hub = Arc::clone(self.realtime.hub());
            let (signed_in, since) = tokio::select! {
                first = timeout(limit, self.authenticate()) => first.map_err(late)??,
                () = hub.stopping() => return Err(End::Close(Close::RESTART)),
            };
            (signed_in, since.or(cursor))
        };
        drop(permit);
        let since = match cursor {
            None => None,
            Some(cursor) => match self.realtime.check_cursor(cursor).await {
                Ok(span) => Some(span.after),
                Err(error) if error.code() == CURSOR_EXPIRED => {
                    self.refuse(error, None).await?;
                    None
                }
                Err(error) => return Err(self.failed(error).await),
            },
        };
        let queue = self.realtime.options().queue_frames;
        let stream = match Stream::new(&self.realtime, caller, since, queue).await {
            Ok(stream) => stream,
            Err(error) => return Err(self.failed(error).await),
        };
        self.ended = Some(Arc::clone(&stream.connection().ended));
        self.check_again(&token).await?;
        let mut stream = stream.with_presence();
        self.greet(&stream).await?;
        for frame in self.realtime.greet_with_presence(stream.caller().user_id) {
            self.send(frame.text.clone()).await?;
        }
        self.go_on(&mut stream).await
    }

    /// Checks the token once more when the connection is attached. Otherwise, if the session ended after the first check
    /// and before the connection was attached, nothing would end the connection.
    async fn check_again(&mut self, token: &str) -> Result<(), End> {
        match self.realtime.authenticator().authenticate(token).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_authenticated(error).await),
        }
    }

    /// Refuses a token, or says that it can't be checked now.
    async fn not_authenticated(&mut self, error: Error) -> End {
        let is_temporary = matches!(error.code().kind, Kind::Unavailable | Kind::Internal);
        if let Err(end) = self.refuse(error, None).await {
            return end;
        }
        End::Close(if is_temporary { Close::TRY_LATER } else { Close::UNAUTHENTICATED })
    }

    /// Waits for the first frame, which has to authenticate.
    async fn authenticate(&mut self) -> Result<(SignedIn, Option<Cursor>), End> {
        let text = loop {
            if let Some(text) = self.receive().await? {
                break text;
            }
        };
        let first = async {
            let (kind, members) = parse(&text)?;
            if kind != "auth" {
                return Err(codes::UNAUTHENTICATED.error("the first frame must be of type auth"));
            }
            let frame: AuthFrame = extract::checked(&Json::Object(members))?;
            let cursor = frame.cursor.map(|cursor| Cursor::decode("cursor", &cursor)).transpose()?;
            let caller = self.realtime.authenticator().authenticate(&frame.token).await?;
            Ok(((caller, frame.token.to_string()), cursor))
        };
        match first.await {
            Ok(authenticated) => Ok(authenticated),
            Err(error) => Err(self.not_authenticated(error).await),
        }
    }

    async fn greet(&mut self, stream: &Stream) -> Result<(), End> {
        let reader = self.realtime.db().reader();
        let greeting = match self.realtime.feeds().greeting(reader, stream.caller().user_id).await {
            Ok(greeting) => greeting,
            Err(error) => return Err(self.failed(error).await),
        };
        self.send(stream.ready(greeting).text).await
    }

    async fn go_on(&mut self, stream: &mut Stream) -> Result<(), End> {
        let heartbeat = self.realtime.options().heartbeat;
        let mut work: Work = None;
        let mut ping_at = Instant::now() + heartbeat;
        loop {
            let expires_at = stream.caller().expires_at;
            let now = self.realtime.db().now();
            let mut wake_at = ping_at;
            // While a frame is being handled, the client's next ones are not read, and the token may be being renewed.
            if work.is_none() {
                let limit = (self.incoming.heard + 2 * heartbeat).min(Instant::now() + expires_at.since(now));
                wake_at = wake_at.min(limit);
            }
            tokio::select! {
                frame = stream.next() => match frame {
                    Ok(frame) => self.send(frame.text.clone()).await?,
                    Err(Stop::Close(close)) => return Err(End::Close(close)),
                    Err(Stop::Failed(error)) if error.code() == CURSOR_EXPIRED => {
                        self.start_afresh(stream, error).await?;
                    }
                    Err(Stop::Failed(error)) => return Err(self.failed(error).await),
                },
                done = finish(&mut work) => self.conclude(stream, done).await?,
                received = self.incoming.next(), if work.is_none() => {
                    if let Some(text) = self.read(received).await? {
                        work = self.take(stream, &text, expires_at).await?;
                    }
                }
                () = sleep_until(wake_at) => {}
            }
            if work.is_none() && self.is_expired(expires_at) && expires_at == stream.caller().expires_at {
                return Err(End::Close(Close::TOKEN_EXPIRED));
            }
            if work.is_none() && self.incoming.heard.elapsed() >= 2 * heartbeat {
                return Err(End::Close(Close::SILENT));
            }
            if ping_at <= Instant::now() {
                ping_at = Instant::now() + heartbeat;
                accepted(self.session.ping(b""), self.ended.as_deref(), &mut self.incoming, 2 * heartbeat)
                    .await?;
            }
        }
    }

    fn is_expired(&self, at: Timestamp) -> bool {
        self.realtime.db().now() >= at
    }

    /// Waits for a text frame; `None` for anything else.
    async fn receive(&mut self) -> Result<Option<ByteString>, End> {
        let received = self.incoming.next().await;
        self.read(received).await
    }

    async fn read(&mut self, received: Result<Received, Wrong>) -> Result<Option<ByteString>, End> {
        let received = match received {
            Ok(received) => received,
            Err(Wrong::Gone) => return Err(End::Gone),
            Err(Wrong::Refused(Close::TOO_MANY_FRAMES)) => {
                let limit = self.realtime.options().frames_per_second;
                let detail = format!("a connection may send at most {limit} frames per second");
                self.refuse(TOO_MANY_FRAMES.error(detail), None).await?;
                return Err(End::Close(Close::TOO_MANY_FRAMES));
            }
            Err(Wrong::Refused(close)) => return Err(End::Close(close)),
        };
        Counters::add(&self.realtime.hub().counters.received, 1);
        match received {
            Received::Text(text) => Ok(Some(text)),
            Received::Binary => {
                self.refuse_invalid(codes::MALFORMED.error("frames must be text"), None).await?;
                Ok(None)
            }
            Received::Ping(bytes) => {
                let limit = 2 * self.realtime.options().heartbeat;
                accepted(self.session.pong(&bytes), self.ended.as_deref(), &mut self.incoming, limit).await?;
                Ok(None)
            }
            Received::Sign => Ok(None),
            Received::Close => Err(End::Close(Close::NORMAL)),
        }
    }

    /// Begins to handle a frame.
    async fn take(&mut self, stream: &Stream, text: &str, expires_at: Timestamp) -> Result<Work, End> {
        let (kind, members) = match parse(text) {
            Ok(parts) => parts,
            Err(error) => return self.refuse_invalid(error, None).await.map(|()| None),
        };
        if kind != "auth" && self.is_expired(expires_at) {
            return Err(End::Close(Close::TOKEN_EXPIRED));
        }
        let client_id = members.get("client_id").and_then(Json::as_str).map(str::to_owned);
        match self.begin(stream, &kind, members) {
            Ok(work) => Ok(work),
            Err(error) => self.refuse_invalid(error, client_id.as_deref()).await.map(|()| None),
        }
    }

    fn begin(&self, stream: &Stream, kind: &str, members: Map<String, Json>) -> Result<Work> {
        let realtime = self.realtime.clone();
        let value = Json::Object(members);
        let decode = |cursor: CursorText| Cursor::decode("cursor", &cursor);
        Ok(Some(match kind {
            "auth" => {
                let frame: AuthFrame = extract::checked(&value)?;
                let cursor = frame.cursor.map(decode).transpose()?;
                Box::pin(async move {
                    let caller = realtime.authenticator().authenticate(&frame.token).await;
                    let since = match cursor {
                        Some(cursor) => Some(realtime.check_cursor(cursor).await.map(|span| span.after)),
                        None => None,
                    };
                    Done::Authenticated { caller, token: frame.token.to_string(), since }
                })
            }
            "resume" => {
                let frame: ResumeFrame = extract::checked(&value)?;
                let cursor = decode(frame.cursor)?;
                Box::pin(
                    async move { Done::Resumed(realtime.check_cursor(cursor).await.map(|span| span.after)) },
                )
            }
            "ping" => {
                let PingFrame {} = extract::checked(&value)?;
                let pong = Frame::control(&ControlFrame::Pong {});
                realtime.hub().send_to_connection(stream.connection(), &Arc::new(pong));
                return Ok(None);
            }
            "presence" => {
                let PresenceFrame { status } = extract::checked(&value)?;
                let status = match status {
                    Availability::Online => Status::Online,
                    Availability::Away => Status::Away,
                };
                let connection = stream.connection();
                realtime.set_status(connection.user, connection.id(), status);
                return Ok(None);
            }
            kind => {
                let commands = realtime.commands().filter(|commands| commands.types().contains(&kind));
                let Some(commands) = commands.cloned() else { return Err(unknown_type(&realtime)) };
                let Json::Object(members) = value else { return Ok(None) };
                let client_id = members.get("client_id").and_then(Json::as_str).map(str::to_owned);
                let (kind, caller) = (kind.to_owned(), stream.caller().clone());
                Box::pin(async move {
                    let result = commands.handle(&realtime, &caller, &kind, members).await;
                    Done::Reply { client_id, result }
                })
            }
        }))
    }

    /// Answers a frame that was handled.
    async fn conclude(&mut self, stream: &mut Stream, done: Done) -> Result<(), End> {
        match done {
            Done::Reply { client_id, result: Ok(data) } => match client_id {
                Some(client_id) => {
                    self.send(Frame::control(&ControlFrame::Ack { client_id, data }).text).await
                }
                None => Ok(()),
            },
            Done::Reply { client_id, result: Err(error) } => {
                let is_invalid = matches!(error.code().kind, Kind::Invalid | Kind::Malformed);
                if is_invalid {
                    self.refuse_invalid(error, client_id.as_deref()).await
                } else {
                    self.refuse(error, client_id.as_deref()).await
                }
            }
            Done::Authenticated { caller, token, since } => {
                let caller = match caller {
                    Ok(caller) => caller,
                    Err(error) if matches!(error.code().kind, Kind::Unavailable | Kind::Internal) => {
                        return self.refuse(error, None).await;
                    }
                    Err(error) => {
                        self.refuse(error, None).await?;
                        return Err(End::Close(Close::UNAUTHENTICATED));
                    }
                };
                if caller.user_id != stream.caller().user_id {
                    self.refuse(codes::FORBIDDEN.error("the token is of another user"), None).await?;
                    return Err(End::Close(Close::OTHER_USER));
                }
                stream.renew(caller);
                self.check_again(&token).await?;
                if let Some(since) = since {
                    self.resume(stream, since).await?;
                }
                self.greet(stream).await
            }
            Done::Resumed(since) => self.resume(stream, since).await,
        }
    }

    async fn resume(&mut self, stream: &mut Stream, since: Result<Position>) -> Result<(), End> {
        match since {
            Ok(since) => {
                stream.resume(since);
                Ok(())
            }
            Err(error) if error.code() == CURSOR_EXPIRED => self.start_afresh(stream, error).await,
            Err(error) => self.refuse(error, None).await,
        }
    }

    /// The cursor is no longer valid: the stream goes on from now, and the client has to load the rest.
    async fn start_afresh(&mut self, stream: &mut Stream, error: Error) -> Result<(), End> {
        self.refuse(error, None).await?;
        let present = match events::horizon(self.realtime.db().reader()).await {
            Ok(present) => present,
            Err(error) => return Err(self.failed(error).await),
        };
        stream.resume(present);
        self.greet(stream).await
    }

    async fn send(&mut self, text: ByteString) -> Result<(), End> {
        let limit = 2 * self.realtime.options().heartbeat;
        accepted(self.session.text(text), self.ended.as_deref(), &mut self.incoming, limit).await
    }

    fn error_frame(&self, error: Error, client_id: Option<&str>) -> Frame {
        Frame::error(ProblemBody::of(error, &self.path, &self.request_id), client_id.map(str::to_owned))
    }

    async fn refuse(&mut self, error: Error, client_id: Option<&str>) -> Result<(), End> {
        let frame = self.error_frame(error, client_id);
        self.send(frame.text).await
    }

    /// Refuses a frame that is not valid. Too many of them end the connection.
    async fn refuse_invalid(&mut self, error: Error, client_id: Option<&str>) -> Result<(), End> {
        self.invalid += 1;
        Counters::add(&self.realtime.hub().counters.invalid, 1);
        self.refuse(error, client_id).await?;
        if self.invalid > self.realtime.options().invalid_frames {
            return Err(End::Close(Close::INVALID));
        }
        Ok(())
    }

    /// The connection can't be served.
    async fn failed(&mut self, error: Error) -> End {
        let is_too_many = error.code() == TOO_MANY_CONNECTIONS;
        if let Err(end) = self.refuse(error, None).await {
            return end;
        }
        End::Close(if is_too_many { Close::TOO_MANY_CONNECTIONS } else { Close::TRY_LATER })
    }

    /// Tells the client why the connection ends, and what to do.
    async fn say_goodbye(mut self, close: Close) {
        let frame =
            match close {
                Close::RESTART => Some(reconnect(close)),
                Close::TOO_SLOW | Close::LOG_RESTARTED => Some(resync(close)),
                Close::TOKEN_EXPIRED => {
                    Some(self.error_frame(codes::TOKEN_EXPIRED.error("the access token has expired"), None))
                }
                Close::SESSION_ENDED => Some(self.error_frame(
                    codes::SESSION_ENDED.error("the session of the access token has ended"),
                    None,
                )),
                _ => None,
            };
        if let Some(frame) = frame
            && self.session.text(frame.text).await.is_err()
        {
            return;
        }
        let reason =
            CloseReason { code: CloseCode::from(close.code), description: Some(close.reason.to_owned()) };
        let _ = self.session.close(Some(reason)).await;
    }
}

/// Waits until what is sent is accepted. A client that does not read it in time, or whose queue overflows meanwhile, is
/// too slow. One that reads late shows life by that.
async fn accepted(
    sent: impl Future<Output = Result<(), Closed>>,
    ended: Option<&Ended>,
    incoming: &mut Incoming,
    limit: Duration,
) -> Result<(), End> {
    let since = Instant::now();
    let sent = timeout(limit, sent);
    let sent = match ended {
        None => sent.await,
        Some(ended) => tokio::select! {
            biased;
            sent = sent => sent,
            close = ended.ended() => return Err(End::Close(close)),
        },
    };
    sent.map_err(|_| End::Close(Close::TOO_SLOW))?.map_err(|_| End::Gone)?;
    if since.elapsed() >= LATE {
        incoming.heard = Instant::now();
    }
    Ok(())
}

/// Waits for the work under way; without end if there is none.
async fn finish(work: &mut Work) -> Done {
    match work {
        None => std::future::pending().await,
        Some(future) => {
            let done = future.await;
            *work = None;
            done
        }
    }
}

/// Reads a frame: its type, and its other members.
fn parse(text: &str) -> Result<(String, Map<String, Json>)> {
    let value: Json = serde_json::from_str(text)
        .map_err(|error| codes::MALFORMED.error(format!("the frame is not valid JSON: {error}")))?;
    let Json::Object(mut members) = value else {
        return Err(codes::MALFORMED.error("a frame must be a JSON object"));
    };
    match members.remove("type") {
        Some(Json::String(kind)) => Ok((kind, members)),
        Some(_) => Err(Error::invalid("type", "wrong_type", "must be a string")),
        None => Err(Error::invalid("type", "missing", "is required")),
    }
}

fn unknown_type(realtime: &Realtime) -> Error {
    let own = realtime.commands().map(|commands| commands.types()).unwrap_or_default();
    let types: Vec<&str> = ["auth", "resume", "ping", "presence"].iter().chain(own).copied().collect();
    UNKNOWN_TYPE.error(format!("type must be one of {}", types.join(", ")))
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
