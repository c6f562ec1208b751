//! One connection: a queue of frames with a bound, and the reason why it ended.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use groundwork_core::Uuid;

use super::Hub;
use crate::{codes::Close, frame::Frame};

/// The number of frames for which a queue that is empty keeps its memory.
const KEPT: usize = 4;

/// What the hub and the connection's task share. One task waits for it.
#[derive(Debug)]
pub(crate) struct Outbox(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    frames: VecDeque<Arc<Frame>>,
    limit: usize,
    mode: Mode,
    close: Option<Close>,
    task: Option<Waker>,
}

/// What a full queue means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// What is in the queue is all that the connection gets.
    Live,
    /// The connection reads the log, so a full queue only means that it has to read on.
    Replaying,
    /// As before, and the queue was full: it has to read on.
    Missed,
}

/// What became of a frame for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for the connection.
    Queued,
    /// The queue is full. The connection reads it from the log.
    Dropped,
    /// The queue is full, and the connection ends for that.
    Overflowed,
}

impl Outbox {
    pub fn new(limit: usize) -> Self {
        let waiting = Waiting {
            frames: VecDeque::new(),
            limit: limit.max(1),
            mode: Mode::Live,
            close: None,
            task: None,
        };
        Self(Mutex::new(waiting))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame.
    pub fn push(&self, frame: &Arc<Frame>) -> Pushed {
        let mut waiting = self.waiting();
        if waiting.frames.len() < waiting.limit {
            waiting.frames.push_back(Arc::clone(frame));
            let task = waiting.task.take();
            drop(waiting);
            wake(task);
            return Pushed::Queued;
        }
        if waiting.mode != Mode::Live {
            waiting.mode = Mode::Missed;
            return Pushed::Dropped;
        }
        drop(waiting);
        self.end(Close::TOO_SLOW);
        Pushed::Overflowed
    }

    /// The server ends the connection. The first reason counts.
    pub fn end(&self, close: Close) {
        let mut waiting = self.waiting();
        waiting.close.get_or_insert(close);
        let task = waiting.task.take();
        drop(waiting);
        wake(task);
    }

    /// Waits until the server ends the connection.
    pub async fn ended(&self) -> Close {
        poll_fn(|cx| self.waiting().poll_ended(cx)).await
    }

    /// Waits for the next frame, or until the server ends the connection, which goes first. Cancel-safe.
    pub async fn next(&self) -> Result<Arc<Frame>, Close> {
        poll_fn(|cx| {
            let mut waiting = self.waiting();
            if let Poll::Ready(close) = waiting.poll_ended(cx) {
                return Poll::Ready(Err(close));
            }
            waiting.pop().map_or(Poll::Pending, |frame| Poll::Ready(Ok(frame)))
        })
        .await
    }

    /// Takes the next frame if there is one.
    pub fn take(&self) -> Option<Arc<Frame>> {
        self.waiting().pop()
    }

    /// The number of frames that wait.
    pub fn len(&self) -> usize {
        self.waiting().frames.len()
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

impl Waiting {
    fn poll_ended(&mut self, cx: &Context<'_>) -> Poll<Close> {
        if let Some(close) = self.close {
            return Poll::Ready(close);
        }
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn pop(&mut self) -> Option<Arc<Frame>> {
        let frame = self.frames.pop_front();
        if self.frames.is_empty() && self.frames.capacity() > KEPT {
            self.frames = VecDeque::new();
        }
        frame
    }
}

/// A connection that is attached to the hub until it is dropped.
pub(crate) struct Connection {
    pub user: Uuid,
    pub outbox: Arc<Outbox>,
    pub(super) id: u64,
    pub(super) hub: Arc<Hub>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.detach(self.user, self.id);
    }
}

impl Connection {
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// The connection reads the log from now on. What waits for it is in the log, or not stored.
    pub fn begin_replay(&self) {
        self.outbox.waiting().mode = Mode::Replaying;
    }

    /// Whether frames were dropped since the replay began.
    pub fn has_missed(&self) -> bool {
        self.outbox.waiting().mode == Mode::Missed
    }

    /// The connection has read the log to its end. If frames were dropped meanwhile, it has to read on, and this returns
    /// what is not in the log of those that wait.
    pub fn end_replay(&self) -> Option<Vec<Arc<Frame>>> {
        let mut waiting = self.outbox.waiting();
        if waiting.mode != Mode::Missed {
            waiting.mode = Mode::Live;
            return None;
        }
        // What is dropped from here on comes with the next read, which begins later.
        waiting.mode = Mode::Replaying;
        let frames = std::mem::take(&mut waiting.frames);
        Some(frames.into_iter().filter(|frame| frame.position.is_none()).collect())
    }
}
