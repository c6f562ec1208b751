//! A clock that a test can set.
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
//! assert!(clock.now() >= before + Duration::from_hours(24));
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use groundwork_core::{Clock, Timestamp, clock::SystemClock};

/// The machine's clock, and how far a test has put it forward.
#[derive(Clone, Debug, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// Puts the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}
