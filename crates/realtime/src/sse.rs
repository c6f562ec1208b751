//! Server-Sent Events (WHATWG HTML, section 9.2): the same events as on the WebSocket, for clients that only read.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::Method,
    web::{Bytes, Data},
};
use futures::stream;
use groundwork_core::{Error, Result, error::codes};
use groundwork_web::{
    Problem, Query, Routes, Scoped,
    http::{bearer::SignedIn, problem::ProblemBody, request_id::RequestId},
    openapi::describe::{DescribeOutput, OperationDoc},
};
use tokio::time::{Instant, sleep_until};
use utoipa::{
    openapi::ContentBuilder,
    openapi::schema::{ObjectBuilder, Type},
};

use crate::{
    Realtime,
    codes::{CURSOR_EXPIRED, Close, TOO_MANY_CONNECTIONS},
    cursor::Cursor,
    frame::Frame,
    hub::Visit,
    replay::{Stop, Stream},
    socket::{Since, reconnect, resync},
};

/// The request header of a client that resumes.
const LAST_EVENT_ID: &str = "last-event-id";
/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Adds `/events`.
pub(crate) fn routes(routes: &mut Routes) {
    routes
        .get("/events", "realtime_events", "Stream your events", open)
        .describe(
            "Sends your events as they happen, as Server-Sent Events. The `id` of each is a cursor; `Last-Event-ID` or \
             `since` resumes after it. `/asyncapi.json` describes the events.",
        )
        .errors(&[CURSOR_EXPIRED, TOO_MANY_CONNECTIONS]);
}

struct Events(HttpResponse);

impl Responder for Events {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl DescribeOutput for Events {
    fn describe(doc: &mut OperationDoc) {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let content = ContentBuilder::new().schema(Some(schema)).build();
        doc.answer_with(200, "A stream of events", "text/event-stream", content);
    }
}

async fn open(
    caller: Scoped<SignedIn>,
    request: HttpRequest,
    realtime: Data<Realtime>,
    query: Query<Since>,
) -> Result<Events, Problem> {
    realtime.require_log()?;
    let header = request.headers().get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("-"));
    let since = match (header, &query.0.since) {
        (Some(id), _) => Some(Cursor::decode("Last-Event-ID", id)?),
        (None, Some(since)) => Some(Cursor::decode("since", since)?),
        (None, None) => None,
    };
    let since = match since {
        Some(cursor) => Some(realtime.check_cursor(cursor).await?.after),
        None => None,
    };
    let mut response = HttpResponse::Ok();
    // For nginx, which would keep events back otherwise.
    response.content_type("text/event-stream").insert_header(("x-accel-buffering", "no"));
    if request.method() == Method::HEAD {
        return Ok(Events(response.finish()));
    }
    let visit = realtime.hub().visit();
    let stream = Stream::new(&realtime, (*caller).clone(), since, realtime.options().queue_frames).await?;
    realtime.check_again(&request).await?;
    let writer = Writer {
        stream: stream.with_presence(),
        heartbeat: realtime.options().heartbeat,
        realtime: (**realtime).clone(),
        path: request.path().to_owned(),
        request_id: RequestId::of(&request),
        is_new: true,
        is_over: false,
        _visit: visit,
    };
    Ok(Events(response.streaming(stream::unfold(writer, |mut writer| async {
        let chunk = writer.next().await?;
        Some((Ok::<_, Error>(Bytes::from(chunk)), writer))
    }))))
}

/// Writes the stream of one client.
struct Writer {
    stream: Stream,
    realtime: Realtime,
    heartbeat: Duration,
    path: String,
    request_id: RequestId,
    is_new: bool,
    is_over: bool,
    /// Until the client has been told why the stream ends.
    _visit: Visit,
}

impl Writer {
    /// The next part of the body; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if std::mem::take(&mut self.is_new) {
            return Some(self.greeting().await);
        }
        let expires_at = self.stream.caller().expires_at;
        let left = expires_at.since(self.realtime.db().now());
        if left.is_zero() {
            return Some(self.end(Close::TOKEN_EXPIRED));
        }
        tokio::select! {
            frame = self.stream.next() => Some(match frame {
                Ok(frame) => event(&frame),
                Err(Stop::Close(close)) => self.end(close),
                Err(Stop::Failed(error)) => self.fail(error),
            }),
            // A comment, which shows that the connection is alive.
            () = sleep_until(Instant::now() + self.heartbeat.min(left)) => Some(":\n\n".to_owned()),
        }
    }

    async fn greeting(&mut self) -> String {
        let user = self.stream.caller().user_id;
        let greeting = match self.realtime.feeds().greeting(self.realtime.db().reader(), user).await {
            Ok(greeting) => greeting,
            Err(error) => return self.fail(error),
        };
        let presence = self.realtime.greet_with_presence(user);
        let mut text = format!("retry: {}\n{}", RETRY.as_millis(), event(&self.stream.ready(greeting)));
        for frame in presence {
            text.push_str(&event(&frame));
        }
        text
    }

    /// The last event: what to do next.
    fn end(&mut self, close: Close) -> String {
        self.is_over = true;
        match close {
            Close::TOKEN_EXPIRED => self.fail(codes::TOKEN_EXPIRED.error("the access token has expired")),
            Close::SESSION_ENDED => {
                self.fail(codes::SESSION_ENDED.error("the session of the access token has ended"))
            }
            Close::TOO_SLOW | Close::LOG_RESTARTED => event(&resync(close)),
            close => event(&reconnect(close)),
        }
    }

    fn fail(&mut self, error: Error) -> String {
        self.is_over = true;
        event(&Frame::error(ProblemBody::of(error, &self.path, &self.request_id), None))
    }
}

/// Writes an event. JSON has no line breaks, so its data is one line.
fn event(frame: &Frame) -> String {
    let id = frame.cursor.as_ref().map(|cursor| format!("id: {cursor}\n")).unwrap_or_default();
    format!("{id}event: {}\ndata: {}\n\n", frame.kind, frame.text)
}
