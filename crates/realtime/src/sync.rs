//! The paged feed: the same events as on the WebSocket, for clients that ask from time to time.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::header, web::Data};
use groundwork_core::{Result, error::codes, events};
use groundwork_web::{
    Problem, Query, Routes, Scoped,
    http::bearer::SignedIn,
    openapi::describe::{DescribeOutput, OperationDoc},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

use crate::{
    Realtime,
    codes::{CURSOR_EXPIRED, Close, TOO_MANY_CONNECTIONS},
    cursor::Cursor,
    frame::EventFrame,
    hub::Connection,
    replay::Page,
    socket::CursorText,
};

/// How many frames wait for a request that waits. It only has to learn that there are some.
const QUEUE: usize = 8;

/// Which events.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncQuery {
    /// The last cursor that you have. Without it, the answer is the present cursor and no event.
    #[serde(default)]
    since: Option<CursorText>,
    /// The maximum number of events, from 1 to 500.
    #[serde(default = "default_limit")]
    #[schema(minimum = 1, maximum = 500, default = 100)]
    limit: u64,
    /// How long to wait for an event if there is none, in seconds, from 0 to 30.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 30, default = 0)]
    wait: u64,
}

fn default_limit() -> u64 {
    100
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SyncPage<'a> {
    /// The events, in order.
    pub items: Vec<EventFrame<'a>>,
    /// The cursor for the next request.
    #[schema(example = "SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAr")]
    pub cursor: String,
    /// Whether there are more events now.
    pub has_more: bool,
}

/// Adds `/sync`.
pub(crate) fn routes(routes: &mut Routes) {
    routes
        .get("/sync", "realtime_sync", "List your events", sync)
        .describe(
            "Lists your events since a cursor, in order. With `wait`, waits for one if there is none (long polling). The \
             cursors are those of `/ws` and `/events`.",
        )
        .errors(&[CURSOR_EXPIRED, TOO_MANY_CONNECTIONS]);
}

/// A page, whose items are JSON already.
struct Answer {
    items: Vec<bytestring::ByteString>,
    cursor: String,
    has_more: bool,
}

impl Answer {
    fn new(realtime: &Realtime, page: &Page) -> Self {
        Self {
            items: page.frames.iter().map(|frame| frame.text.clone()).collect(),
            cursor: realtime.cursor(page.end).encode(),
            has_more: page.has_more,
        }
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let items: Vec<&str> = self.items.iter().map(|item| &**item).collect();
        let (cursor, has_more) = (json!(self.cursor), self.has_more);
        let body = format!(r#"{{"items":[{}],"cursor":{cursor},"has_more":{has_more}}}"#, items.join(","));
        HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
    }
}

impl DescribeOutput for Answer {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.output::<SyncPage<'_>>();
        doc.answer(200, "A page of events", Some(content));
    }
}

async fn sync(
    caller: Scoped<SignedIn>,
    request: HttpRequest,
    realtime: Data<Realtime>,
    query: Query<SyncQuery>,
) -> Result<Answer, Problem> {
    realtime.require_log()?;
    let SyncQuery { since, limit, wait } = query.0;
    let reader = realtime.db().reader();
    let Some(since) = since else {
        let end = events::horizon(reader).await?;
        return Ok(Answer::new(&realtime, &Page { frames: Vec::new(), end, has_more: false }));
    };
    let span = realtime.check_cursor(Cursor::decode("since", &since)?).await?;
    if wait == 0 {
        return Ok(Answer::new(&realtime, &realtime.page_of(&caller, span, limit).await?));
    }
    let mut since = span.after;
    // Attached before the log is read, so that no event falls between.
    let connection = realtime.hub().attach(realtime.feeds(), reader, &caller, QUEUE).await?;
    realtime.check_again(&request).await?;
    let until = Instant::now() + Duration::from_secs(wait);
    loop {
        // A full queue does not end it, as it reads the log anyway.
        connection.begin_replay();
        let page = realtime.page(&caller, since, limit).await?;
        if !page.frames.is_empty() || page.has_more || Instant::now() >= until {
            return Ok(Answer::new(&realtime, &page));
        }
        since = page.end;
        tokio::select! {
            biased;
            event = wait_for_event(&connection) => match event {
                Ok(()) => {}
                Err(Close::SESSION_ENDED) => {
                    return Err(codes::SESSION_ENDED.error("the session of the access token has ended").into());
                }
                Err(_) => return Ok(Answer::new(&realtime, &page)),
            },
            () = sleep_until(until) => {}
        }
    }
}

/// Waits for events. Hints are not worth reading the log for, and all events that wait are read at once.
///
/// # Errors
/// The reason for which the server ends the connection.
async fn wait_for_event(connection: &Connection) -> Result<(), Close> {
    loop {
        let frame = connection.outbox.next().await?;
        if frame.position.is_some() || connection.has_missed() {
            while connection.outbox.take().is_some() {}
            return Ok(());
        }
    }
}
