//! One WebSocket connection after its handshake.
//!
//! One task serves a connection. While a frame of the client is being handled, events still go out; the next frame waits, so
//! that frames take effect in their order.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::web::Bytes;
use bytestring::ByteString;
use groundwork_auth::Caller;
use groundwork_core::{
    Error, Kind, Result, Timestamp,
    error::codes,
    events::{self, Position},
};
use groundwork_web::{
    http::{extract, problem::ProblemBody, request_id::RequestId},
    service::upgrade::Upgraded,
};
use serde_json::{Map, Value as Json};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Realtime, Status,
    codes::{CURSOR_EXPIRED, Close, TOO_MANY_CONNECTIONS, TOO_MANY_FRAMES, UNKNOWN_TYPE},
    command::LocalFuture,
    control::ControlFrame,
    cursor::Cursor,
    frame::Frame,
    hub::{Outbox, Visit},
    incoming::{Incoming, Received, Wrong},
    replay::{Stop, Stream},
    socket::{AuthFrame, Availability, CursorText, PingFrame, PresenceFrame, ResumeFrame, reconnect, resync},
    stats::Counters,
    wire::{self, Outgoing},
};

/// How long a client may take to accept the last frames before its connection is dropped.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a client may take to accept a frame before that counts as a sign of life.
const LATE: Duration = Duration::from_secs(1);
/// Frames that wait together leave together, up to this number of bytes.
const BATCH: usize = 16 * 1024;

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

/// One WebSocket connection.
pub(crate) struct Socket {
    realtime: Realtime,
    outgoing: Outgoing,
    incoming: Incoming,
    invalid: u32,
    request: Rc<Asked>,
    outbox: Option<Arc<Outbox>>,
    /// Until the client has been told why the connection ends.
    _visit: Visit,
}

/// The request that opened the connection, for the problems in its frames.
pub(crate) struct Asked {
    pub path: String,
    pub request_id: RequestId,
}

/// A caller, and the token that said so.
pub(crate) type SignedIn = (Caller, String);

/// How a client begins.
pub(crate) struct Begin {
    pub signed_in: Option<SignedIn>,
    pub cursor: Option<Cursor>,
    /// While the client has not authenticated.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Socket {
    pub fn new(realtime: Realtime, upgraded: Upgraded, request: Asked, visit: Visit) -> Self {
        // A frame is small, and must not wait for the answer to the one before it.
        if let Err(error) = upgraded.io.set_nodelay(true) {
            tracing::debug!(%error, "a connection sends frames with a delay");
        }
        let io = Rc::new(upgraded.io);
        Self {
            outgoing: Outgoing::new(Rc::clone(&io)),
            incoming: Incoming::new(io, upgraded.read, realtime.options()),
            invalid: 0,
            request: Rc::new(request),
            outbox: None,
            _visit: visit,
            realtime,
        }
    }

    /// Serves the connection until it ends. What is rare is boxed in here, as each of many idle connections has the memory of
    /// the largest state of this future.
    pub async fn serve(mut self, begin: Begin) {
        Counters::add(&self.realtime.hub().counters.opened, 1);
        let end = match Box::pin(self.open(begin)).await {
            Ok(mut stream) => self.go_on(&mut stream).await,
            Err(end) => Err(end),
        };
        if let Err(End::Close(close)) = end {
            tracing::debug!(code = close.code, reason = close.reason, "closed a connection");
            let _ = Box::pin(timeout(FAREWELL, self.say_goodbye(close))).await;
        }
    }

    /// Authenticates the client, and attaches the connection to the hub.
    async fn open(&mut self, begin: Begin) -> Result<Stream, End> {
        let Begin { signed_in, cursor, permit } = begin;
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
        self.outbox = Some(Arc::clone(&stream.connection().outbox));
        self.check_again(&token).await?;
        let stream = stream.with_presence();
        self.greet(&stream).await?;
        for frame in self.realtime.greet_with_presence(stream.caller().user_id) {
            self.send(&frame.wire).await?;
        }
        Ok(stream)
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
        self.send(&stream.ready(greeting).wire).await
    }

    async fn go_on(&mut self, stream: &mut Stream) -> Result<(), End> {
        let heartbeat = self.realtime.options().heartbeat;
        let mut work: Work = None;
        let mut ping_at = Instant::now() + heartbeat;
        // Set anew only when it has to be earlier, or is over, and not for each frame.
        let mut timer = std::pin::pin!(sleep_until(ping_at));
        loop {
            let expires_at = stream.caller().expires_at;
            let wake_at = self.wake_at(ping_at, expires_at, work.is_some());
            if timer.is_elapsed() || wake_at < timer.deadline() {
                timer.as_mut().reset(wake_at);
            }
            tokio::select! {
                // What the client sent goes first: it may be the sign of life that is waited for, and its rate has a bound.
                biased;
                received = self.incoming.next(), if work.is_none() => {
                    work = Box::pin(self.received(stream, received, expires_at)).await?;
                }
                done = finish(&mut work) => Box::pin(self.conclude(stream, done)).await?,
                frame = stream.next() => match frame {
                    Ok(frame) => {
                        let bytes = stream.with_more(&frame, BATCH);
                        self.send(&bytes).await?;
                    }
                    Err(Stop::Close(close)) => return Err(End::Close(close)),
                    Err(Stop::Failed(error)) => Box::pin(self.restart(stream, error)).await?,
                },
                () = &mut timer => {}
            }
            if work.is_none() && self.is_expired(expires_at) && expires_at == stream.caller().expires_at {
                return Err(End::Close(Close::TOKEN_EXPIRED));
            }
            let now = Instant::now();
            if work.is_none() && now.duration_since(self.incoming.heard) >= 2 * heartbeat {
                return Err(End::Close(Close::SILENT));
            }
            if ping_at <= now {
                ping_at = now + heartbeat;
                self.send(&wire::ping_frame()).await?;
            }
        }
    }

    /// When there is something to do besides frames.
    fn wake_at(&self, ping_at: Instant, expires_at: Timestamp, is_working: bool) -> Instant {
        // While a frame is being handled, the client's next ones are not read, and the token may be being renewed.
        if is_working {
            return ping_at;
        }
        let silent_at = self.incoming.heard + 2 * self.realtime.options().heartbeat;
        let end = Instant::now() + expires_at.since(self.realtime.db().now());
        ping_at.min(silent_at).min(end)
    }

    /// The log can't be read for the stream.
    async fn restart(&mut self, stream: &mut Stream, error: Error) -> Result<(), End> {
        if error.code() == CURSOR_EXPIRED {
            return self.start_afresh(stream, error).await;
        }
        Err(self.failed(error).await)
    }

    /// Begins to handle what the client sent.
    async fn received(
        &mut self,
        stream: &Stream,
        received: Result<Received, Wrong>,
        expires_at: Timestamp,
    ) -> Result<Work, End> {
        match self.read(received).await? {
            Some(text) => self.take(stream, &text, expires_at).await,
            None => Ok(None),
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
                self.send(&wire::pong_frame(&bytes)).await?;
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
                    self.send(&Frame::control(&ControlFrame::Ack { client_id, data }).wire).await
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

    /// Sends bytes. A client that does not accept them in time, or whose queue overflows meanwhile, is too slow. One that
    /// accepts them late shows life by that.
    async fn send(&mut self, bytes: &Bytes) -> Result<(), End> {
        if self.outgoing.start(bytes).map_err(|_| End::Gone)? {
            return Ok(());
        }
        Box::pin(self.wait_until_sent()).await
    }

    async fn wait_until_sent(&mut self) -> Result<(), End> {
        let since = Instant::now();
        let sent = timeout(2 * self.realtime.options().heartbeat, self.outgoing.flush());
        let sent = match &self.outbox {
            None => sent.await,
            Some(outbox) => tokio::select! {
                biased;
                sent = sent => sent,
                close = outbox.ended() => return Err(End::Close(close)),
            },
        };
        sent.map_err(|_| End::Close(Close::TOO_SLOW))?.map_err(|_| End::Gone)?;
        if since.elapsed() >= LATE {
            self.incoming.heard = Instant::now();
        }
        Ok(())
    }

    fn error_frame(&self, error: Error, client_id: Option<&str>) -> Frame {
        Frame::error(
            ProblemBody::of(error, &self.request.path, &self.request.request_id),
            client_id.map(str::to_owned),
        )
    }

    async fn refuse(&mut self, error: Error, client_id: Option<&str>) -> Result<(), End> {
        let frame = self.error_frame(error, client_id);
        self.send(&frame.wire).await
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
    async fn say_goodbye(&mut self, close: Close) {
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
            && self.outgoing.start(&frame.wire).is_err()
        {
            return;
        }
        let _ = self.outgoing.close(close).await;
    }
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
