//! One connection: a queue of frames with a bound, and the reason why it ended.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use groundwork_core::Uuid;
use tokio::sync::{Notify, mpsc};

use super::Hub;
use crate::{codes::Close, frame::Frame};

/// What the hub and the connection's task share.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    close: OnceLock<Close>,
    told: Notify,
    /// [`LIVE`], [`REPLAYING`] or [`MISSED`]. One value, so that no frame is dropped between two checks.
    mode: AtomicU8,
}

/// What is in the queue is all that the connection gets.
const LIVE: u8 = 0;
/// The connection reads the log, so a full queue only means that it has to read on.
const REPLAYING: u8 = 1;
/// As before, and the queue was full: it has to read on.
const MISSED: u8 = 2;

impl Ended {
    pub fn end(&self, close: Close) {
        let _ = self.close.set(close);
        self.told.notify_one();
    }

    /// Waits until the server ends the connection. For one task.
    pub async fn ended(&self) -> Close {
        loop {
            if let Some(close) = self.close.get() {
                return *close;
            }
            self.told.notified().await;
        }
    }

    /// The queue is full. Returns whether the connection can go on, as it reads the log anyway.
    pub fn overflow(&self) -> bool {
        let mode = self.mode.compare_exchange(REPLAYING, MISSED, Ordering::SeqCst, Ordering::SeqCst);
        if mode == Err(LIVE) {
            self.end(Close::TOO_SLOW);
        }
        mode != Err(LIVE)
    }
}

/// A connection that is attached to the hub until it is dropped.
pub(crate) struct Connection {
    pub user: Uuid,
    pub ended: Arc<Ended>,
    pub(super) id: u64,
    pub frames: mpsc::Receiver<Arc<Frame>>,
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
    pub fn begin_replay(&mut self) {
        self.ended.mode.store(REPLAYING, Ordering::SeqCst);
    }

    /// Whether frames were dropped since the replay began.
    pub fn has_missed(&self) -> bool {
        self.ended.mode.load(Ordering::SeqCst) == MISSED
    }

    /// The connection has read the log to its end. If frames were dropped meanwhile, it has to read on, and this returns
    /// what is not in the log of those that wait.
    pub fn end_replay(&mut self) -> Option<Vec<Arc<Frame>>> {
        let is_live = self.ended.mode.compare_exchange(REPLAYING, LIVE, Ordering::SeqCst, Ordering::SeqCst);
        if is_live != Err(MISSED) {
            return None;
        }
        // What is dropped from here on comes with the next read, which begins later.
        self.begin_replay();
        let mut kept = Vec::new();
        while let Ok(frame) = self.frames.try_recv() {
            kept.extend(frame.position.is_none().then_some(frame));
        }
        Some(kept)
    }
}
