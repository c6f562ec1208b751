//! One connection: a queue of frames with a bound, and the reason why it ended.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
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
    /// The connection is reading the log, so a full queue only means that it has to read on.
    is_replaying: AtomicBool,
    has_missed: AtomicBool,
}

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
        if self.is_replaying.load(Ordering::SeqCst) {
            self.has_missed.store(true, Ordering::SeqCst);
            return true;
        }
        self.end(Close::TOO_SLOW);
        false
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
        self.ended.has_missed.store(false, Ordering::SeqCst);
        self.ended.is_replaying.store(true, Ordering::SeqCst);
    }

    /// The connection has read the log to its end. Returns false if frames were dropped meanwhile, so that it has to read on.
    pub fn end_replay(&mut self) -> bool {
        self.ended.is_replaying.store(false, Ordering::SeqCst);
        if !self.ended.has_missed.load(Ordering::SeqCst) {
            return true;
        }
        while self.frames.try_recv().is_ok() {}
        self.begin_replay();
        false
    }
}
