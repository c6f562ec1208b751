//! Reading the log for one user: resuming a connection, and the paged feed.

use std::{collections::VecDeque, sync::Arc};

use actix_web::web::{Bytes, BytesMut};
use futures::future::BoxFuture;
use groundwork_auth::Caller;
use groundwork_core::{
    Error, Result,
    events::{
        self, Extent, Model as Event, Position,
        feed::{Personal, Span},
    },
};
use serde_json::{Map, Value as Json};

use crate::{
    Realtime,
    codes::{CURSOR_EXPIRED, Close},
    control::{ControlFrame, Ready},
    cursor::Cursor,
    frame::{Frame, Head},
    hub::Connection,
    merge::Merger,
    stats::Counters,
};

/// The number of events in one page of a connection that resumes.
const PAGE: u64 = 200;

/// A page of the log, as one user sees it.
#[derive(Debug)]
pub(crate) struct Page {
    pub frames: Vec<Arc<Frame>>,
    /// Everything up to here is in the page, or not for this user.
    pub end: Position,
    pub has_more: bool,
}

impl Realtime {
    /// Checks a cursor that a client sent. Returns its place, and that up to which the log can be read now.
    ///
    /// # Errors
    /// `cursor_expired` if events after it may be gone, or if the log was restored or moved.
    pub(crate) async fn check_cursor(&self, cursor: Cursor) -> Result<Span> {
        let Extent { epoch, floor, horizon } = events::extent(self.db().reader()).await?;
        // A place that the log has not reached yet: the client would get nothing until it has.
        if epoch != cursor.epoch || floor > cursor.position || cursor.position > horizon {
            return Err(expired());
        }
        Ok(Span { after: cursor.position, until: horizon })
    }

    /// Reads the events after `after` that the caller may learn of now.
    ///
    /// # Errors
    /// `cursor_expired` if some of them may be gone.
    pub(crate) async fn page(&self, caller: &Caller, after: Position, limit: u64) -> Result<Page> {
        let until = events::horizon(self.db().reader()).await?;
        self.page_of(caller, Span { after, until }, limit).await
    }

    /// Reads the events of the span that the caller may learn of now.
    ///
    /// # Errors
    /// `cursor_expired` if some of them may be gone.
    pub(crate) async fn page_of(&self, caller: &Caller, span: Span, limit: u64) -> Result<Page> {
        let reader = self.db().reader();
        let Span { after, until } = span;
        let found = self.feeds().catch_up(reader, caller.user_id, span, limit).await?;
        // Read after the events: what was removed before they were read is below the floor by now.
        if events::floor(reader).await? > after {
            return Err(expired());
        }
        let has_more = found.len() as u64 >= limit;
        let end = found.last().filter(|_| has_more).map_or(until.max(after), Event::place);
        Counters::add(&self.hub().counters.replayed, found.len() as u64);
        Ok(Page { frames: self.frames(caller, after, end, &found).await?, end, has_more })
    }

    /// The frames of a page. What is merged comes at its end.
    async fn frames(
        &self,
        caller: &Caller,
        after: Position,
        end: Position,
        found: &[Event],
    ) -> Result<Vec<Arc<Frame>>> {
        let (reader, user) = (self.db().reader(), caller.user_id);
        let shown = self.feeds().show(reader, found).await?;
        let wanted: Vec<_> = shown
            .iter()
            .zip(found)
            .enumerate()
            .filter(|(_, (shown, event))| match shown.as_ref().map(|shown| shown.personal) {
                Some(Personal::Audience) => true,
                Some(Personal::Concerned) => event.user_id == Some(user),
                Some(Personal::Nobody) | None => false,
            })
            .map(|(index, _)| (index, user))
            .collect();
        let mut personal = self.feeds().personal(reader, found, &wanted).await?;
        let (mut frames, mut merger, mut before) = (Vec::new(), Merger::default(), after);
        for (index, (event, shown)) in found.iter().zip(shown).enumerate() {
            let place = std::mem::replace(&mut before, event.place());
            let Some(shown) = shown.filter(|shown| sees(caller, shown.scope)) else { continue };
            let own = personal.remove(&(index, user));
            if let (None, Some(merge)) = (&own, &shown.merge) {
                merger.push(place, event, &shown, merge);
                continue;
            }
            let mut data = shown.data;
            data.extend(own.unwrap_or_else(Map::new));
            let cursor = self.cursor(merger.reached(event.place()));
            frames.push(Arc::new(Frame::event(&Head::of(event, shown.scope), cursor.encode(), &data)));
        }
        for (group, reached) in merger.take(end) {
            let cursor = self.cursor(reached);
            frames.push(Arc::new(Frame::event(&group.head(), cursor.encode(), &group.data())));
        }
        Ok(frames)
    }
}

fn expired() -> Error {
    CURSOR_EXPIRED.error("the events after this cursor are no longer kept; load the present state afresh")
}

pub(crate) fn sees(caller: &Caller, scope: &str) -> bool {
    scope.is_empty() || caller.scopes.contains(scope)
}

/// Why a [`Stream`] ended.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The server closes the connection.
    Close(Close),
    /// The log can't be read for it.
    Failed(Error),
}

/// The frames of one connection, in order: first those of the log since a cursor, then the live ones. The connection is
/// attached before the log is read, so nothing falls between; what comes twice is left out by its place.
pub(crate) struct Stream {
    realtime: Realtime,
    caller: Caller,
    connection: Connection,
    ready: VecDeque<Arc<Frame>>,
    replay: Option<BoxFuture<'static, Result<Page>>>,
    /// Live frames up to here are known to the client, or not for it.
    reached: Position,
    /// The cursor of what was taken from the stream.
    cursor: String,
    has_presence: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.has_presence {
            self.realtime.disconnected(self.connection.user, self.connection.id());
        }
    }
}

impl Stream {
    /// A stream from now on, or since a place in the log.
    pub async fn new(
        realtime: &Realtime,
        caller: Caller,
        since: Option<Position>,
        queue: usize,
    ) -> Result<Self> {
        let reader = realtime.db().reader();
        let connection = realtime.hub().attach(realtime.feeds(), reader, &caller, queue).await?;
        // Who resumes begins at their own place.
        let reached = match since {
            Some(since) => since,
            None => events::horizon(reader).await?,
        };
        let mut stream = Self {
            realtime: realtime.clone(),
            caller,
            connection,
            ready: VecDeque::new(),
            replay: None,
            reached,
            cursor: realtime.cursor(reached).encode(),
            has_presence: false,
        };
        if let Some(since) = since {
            stream.resume(since);
        }
        Ok(stream)
    }

    /// Counts the user as online from now on, until the stream ends.
    pub fn with_presence(mut self) -> Self {
        self.has_presence = true;
        self.realtime.connected(self.connection.user, self.connection.id());
        self
    }

    /// The cursor of a client that has everything that was taken from the stream.
    pub fn cursor(&self) -> String {
        self.cursor.clone()
    }

    /// The first frame of the connection. `greeting` is what the service adds.
    pub fn ready(&self, greeting: Map<String, Json>) -> Frame {
        let caller = &self.caller;
        let data = Ready {
            user_id: caller.user_id,
            session_id: caller.session_id,
            cursor: self.cursor(),
            expires_at: caller.expires_at,
            heartbeat_seconds: self.realtime.options().heartbeat.as_secs(),
            greeting,
        };
        Frame::control(&ControlFrame::Ready { data })
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Goes on with a fresh token of the same user.
    pub fn renew(&mut self, caller: Caller) {
        self.connection.hub().renew(&self.connection, &caller);
        self.caller = caller;
    }

    /// Goes back to a place in the log.
    pub fn resume(&mut self, since: Position) {
        self.connection.begin_replay();
        self.ready.clear();
        self.cursor = self.realtime.cursor(since).encode();
        self.read_on(since);
    }

    fn read_on(&mut self, after: Position) {
        self.reached = after;
        let (realtime, caller) = (self.realtime.clone(), self.caller.clone());
        self.replay = Some(Box::pin(async move { realtime.page(&caller, after, PAGE).await }));
    }

    /// Waits for the next frame. Cancel-safe: everything under way is kept in the stream.
    pub async fn next(&mut self) -> Result<Arc<Frame>, Stop> {
        let frame = self.find().await?;
        self.passed(&frame);
        Ok(frame)
    }

    /// The bytes of a frame that was taken, for a WebSocket, and of those that wait behind it, up to so many bytes.
    pub fn with_more(&mut self, first: &Arc<Frame>, limit: usize) -> Bytes {
        let mut bytes = first.wire.clone();
        let mut joined = BytesMut::new();
        while bytes.len().max(joined.len()) < limit
            && let Some(frame) = self.take()
        {
            if joined.is_empty() {
                joined = BytesMut::with_capacity(limit);
                joined.extend_from_slice(&bytes);
            }
            joined.extend_from_slice(&frame.wire);
        }
        if !joined.is_empty() {
            bytes = joined.freeze();
        }
        bytes
    }

    /// Takes the next frame, if one is there already.
    fn take(&mut self) -> Option<Arc<Frame>> {
        let frame = match self.ready.pop_front() {
            Some(frame) => frame,
            None if self.replay.is_some() => return None,
            None => loop {
                let frame = self.connection.outbox.take()?;
                if !self.is_known(&frame) {
                    break frame;
                }
            },
        };
        self.passed(&frame);
        Some(frame)
    }

    /// Whether the client has the frame, or it is not for it.
    fn is_known(&self, frame: &Frame) -> bool {
        frame.position.is_some_and(|position| position <= self.reached)
    }

    fn passed(&mut self, frame: &Frame) {
        if let Some(cursor) = &frame.cursor {
            self.cursor.clone_from(cursor);
        }
    }

    async fn find(&mut self) -> Result<Arc<Frame>, Stop> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let Some(replay) = &mut self.replay else {
                let frame = self.connection.outbox.next().await.map_err(Stop::Close)?;
                if self.is_known(&frame) {
                    continue;
                }
                return Ok(frame);
            };
            let page = tokio::select! {
                biased;
                close = self.connection.outbox.ended() => return Err(Stop::Close(close)),
                page = replay => page,
            };
            self.replay = None;
            let page = page.map_err(Stop::Failed)?;
            self.ready.extend(page.frames);
            if page.has_more {
                self.read_on(page.end);
            } else if let Some(hints) = self.connection.end_replay() {
                self.ready.extend(hints);
                self.read_on(page.end);
            } else {
                self.reached = page.end;
            }
        }
    }
}
