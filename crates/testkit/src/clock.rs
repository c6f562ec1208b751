//! A clock that stands still until a test moves it.
//!
//! ```
//! use std::time::Duration;
//!
//! use groundwork_core::Clock;
//! use groundwork_testkit::TestClock;
//!
//! let clock = TestClock::default();
//! let before = clock.now();
//! clock.advance(Duration::from_hours(24));
//! let elapsed = Duration::from_hours(24) + TestClock::TICK;
//! assert_eq!(clock.now(), before + elapsed, "however long the machine took");
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use groundwork_core::{Clock, Timestamp, clock::SystemClock};

/// A clock that does not run. It starts at a whole second, moves by [`TICK`](Self::TICK) with each reading, so that no
/// two readings are equal, and otherwise only by [`advance`](Self::advance). Clones share their time.
#[derive(Clone, Debug)]
pub struct TestClock {
    start: Timestamp,
    micros: Arc<AtomicU64>,
}

impl TestClock {
    /// How far one reading is after the one before: the resolution of a [`Timestamp`].
    pub const TICK: Duration = Duration::from_micros(1);

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self { start: SystemClock.now().whole_seconds(), micros: Arc::default() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let micros = self.micros.fetch_add(1, Ordering::SeqCst);
        self.start + Duration::from_micros(micros)
    }
}
