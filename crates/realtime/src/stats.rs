//! Counters for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use utoipa::ToSchema;

/// What has happened since the server started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Frames put into a queue.
    pub queued: AtomicU64,
    /// Frames dropped at a full queue.
    pub dropped: AtomicU64,
    /// Connections that were closed as too slow.
    pub overflows: AtomicU64,
    /// Events that the tail has read.
    pub read: AtomicU64,
    /// How often the tail has read the log.
    pub reads: AtomicU64,
    /// Events sent from the log to clients that resumed or caught up.
    pub replayed: AtomicU64,
    /// Connections opened, over all.
    pub opened: AtomicU64,
    /// Frames that clients sent.
    pub received: AtomicU64,
    /// Frames of clients that were refused as invalid.
    pub invalid: AtomicU64,
    /// How far the tail is behind, in milliseconds, as of its last read.
    pub lag_ms: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// The state of live delivery on this server. Counts are since its start.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Stats {
    /// Open connections.
    pub connections: u64,
    /// Users with an open connection.
    pub users: u64,
    /// Subjects that they follow.
    pub subjects: u64,
    /// The length of the longest queue, in frames.
    pub longest_queue: u64,
    /// Connections opened.
    pub opened: u64,
    /// Frames queued for clients.
    pub queued: u64,
    /// Frames dropped at full queues.
    pub dropped: u64,
    /// Connections closed as too slow.
    pub overflows: u64,
    /// Events read from the log's tail.
    pub read: u64,
    /// Reads of the log's tail.
    pub reads: u64,
    /// Events sent from the log to clients that caught up.
    pub replayed: u64,
    /// Frames received from clients.
    pub received: u64,
    /// Frames refused as invalid.
    pub invalid: u64,
    /// How far the tail of the log is behind, in milliseconds.
    pub lag_ms: u64,
    /// Signals sent to other servers.
    pub bus_sent: u64,
    /// Signals received from other servers.
    pub bus_received: u64,
    /// Signals dropped at a full queue.
    pub bus_dropped: u64,
}
