//! What servers tell each other. Nothing depends on it but speed: the log has every event, and each server reads its
//! tail. A [`Bus`] carries two signals: that the log grew, and hints that are never stored.
//!
//! ```
//! use groundwork_realtime::bus::{Bus, BusState, Signal};
//!
//! let bus = Bus::local();
//! bus.send(Signal::LogGrew); // goes nowhere, as there is no other server
//! assert_eq!(bus.status().state, BusState::Local);
//! ```

mod encoding;
mod nats;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use groundwork_core::Uuid;
use groundwork_web::service::settings::{NatsUrl, RealtimeSettings, Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

/// The greatest size of an encoded signal, in bytes. A larger one is neither sent nor accepted.
pub const MAX_SIGNAL_BYTES: usize = 16 * 1024;

/// The longest time to live of a hint, in milliseconds.
pub const MAX_TTL_MS: u64 = 60 * 60 * 1000;

/// The number of hints that wait to be sent, and of signals that wait for each receiver.
pub const QUEUE: usize = 1024;

/// What a server tells the others.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// The log has new events.
    LogGrew,
    /// Something that is not in the log.
    Hint(Hint),
}

/// A hint that is never stored, such as typing and presence. The bus does not look inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// What it is about.
    pub kind: String,
    /// Whom it concerns: the subjects whose followers may learn of it.
    pub subjects: Vec<Uuid>,
    /// The user who caused it.
    pub user_id: Uuid,
    /// The content.
    pub data: serde_json::Value,
    /// How long it is valid, in milliseconds, at most [`MAX_TTL_MS`].
    pub ttl_ms: u64,
}

/// How to reach NATS.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// The setting `NATS_URL`.
    pub url: NatsUrl,
    /// What the NATS subjects begin with, so that several services may share a NATS server: `groundwork.notes.0a1b`.
    /// Only servers with the same prefix hear each other. Characters other than letters, digits, `-`, `_` and `.` are
    /// replaced by `_`.
    pub prefix: String,
}

/// Whether the bus reaches other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusState {
    /// There are no other servers.
    Local,
    /// Signals go to the other servers and come from them.
    Connected,
    /// NATS is out of reach. The bus tries to connect.
    Disconnected,
}

/// The state of the bus, and what it did since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusStatus {
    /// Whether it reaches other servers.
    pub state: BusState,
    /// The number of signals sent.
    pub sent: u64,
    /// The number of signals received from other servers.
    pub received: u64,
    /// The number of hints not sent, as the queue was full, the hint too large, or NATS out of reach; and of signals not
    /// received, as they came faster than they were read.
    pub dropped: u64,
    /// The number of signals of other servers that were malformed or too large. They were ignored.
    pub malformed: u64,
}

/// The connection of this server to the others. A handle, cheap to clone. The connection ends with the last handle, or
/// with [`close`](Self::close).
#[derive(Clone)]
pub struct Bus(Arc<Link>);

struct Link {
    shared: Arc<Shared>,
    /// `None` for a single server.
    nats: Option<nats::Nats>,
}

impl Bus {
    /// The bus that the settings say, for the servers of the service with that name that sign tokens with the same secret.
    /// So deployments that share a NATS server don't hear each other.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, if `NATS_URL` is set.
    pub fn of(settings: &RealtimeSettings, service: &str, secret: &Secret) -> Self {
        let Some(url) = &settings.nats_url else { return Self::local() };
        let digest = Sha256::digest(format!("bus {}", secret.expose()));
        let deployment =
            digest.iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Self::nats(&NatsOptions { url: url.clone(), prefix: format!("groundwork.{service}.{deployment}") })
    }

    /// The bus of a single server: signals go nowhere, and none come.
    pub fn local() -> Self {
        Self(Arc::new(Link { shared: Arc::new(Shared::new()), nats: None }))
    }

    /// The bus of several servers. Connects in the background, and again for as long as it takes. The log says once that
    /// NATS is out of reach, and when it is back.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn nats(options: &NatsOptions) -> Self {
        let shared = Arc::new(Shared::new());
        let nats = nats::Nats::start(options, Arc::clone(&shared));
        Self(Arc::new(Link { shared, nats: Some(nats) }))
    }

    /// Sends a signal to the other servers. Never waits.
    ///
    /// [`Signal::LogGrew`] is sent at most every few milliseconds, once for all calls in between, and after an outage once
    /// for all calls during it. A hint is dropped if too many others wait, or while NATS is out of reach.
    pub fn send(&self, signal: Signal) {
        let Some(nats) = &self.0.nats else { return };
        match signal {
            Signal::LogGrew => nats.log_grew(),
            Signal::Hint(hint) => nats.hint(&hint),
        }
    }

    /// Returns a receiver of the signals of other servers, from now on. When a connection is made, it gets
    /// [`Signal::LogGrew`], as signals may have been missed; a receiver that lags should read the log for the same reason.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.0.shared.signals.subscribe()
    }

    /// Returns the state and the counters.
    pub fn status(&self) -> BusStatus {
        let state = self.0.nats.as_ref().map_or(BusState::Local, nats::Nats::state);
        let Shared { sent, received, dropped, malformed, .. } = &*self.0.shared;
        let [sent, received, dropped, malformed] =
            [sent, received, dropped, malformed].map(|counter| counter.load(Ordering::Relaxed));
        BusStatus { state, sent, received, dropped, malformed }
    }

    /// Sends what waits, and ends the connection. Takes two seconds at most.
    pub async fn close(&self) {
        if let Some(nats) = &self.0.nats {
            nats.close().await;
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bus").field(&self.status()).finish()
    }
}

/// What the handles share with the task of the connection.
struct Shared {
    /// To the receivers.
    signals: broadcast::Sender<Arc<Signal>>,
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    malformed: AtomicU64,
}

impl Shared {
    fn new() -> Self {
        let count = || AtomicU64::new(0);
        let signals = broadcast::Sender::new(QUEUE);
        Self { signals, sent: count(), received: count(), dropped: count(), malformed: count() }
    }

    /// Gives a signal to the receivers. There may be none.
    fn deliver(&self, signal: Signal) {
        let _ = self.signals.send(Arc::new(signal));
    }
}

/// Adds one.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
