//! The sources of time and ids. Both are injected through [`Db`](crate::Db), so that tests can set them.
//!
//! ```
//! use groundwork_core::{Clock, Ids, clock::{SystemClock, UuidV7}};
//!
//! let now = SystemClock.now();
//! let ids = UuidV7::default();
//! assert!(ids.next(now) < ids.next(now), "ids of one source are in order");
//! ```

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use time::OffsetDateTime;
use uuid::{ContextV7, Uuid};

use crate::Timestamp;

/// A source of the current time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current time in UTC, in microseconds.
    fn now(&self) -> Timestamp;
}

/// A source of ids.
pub trait Ids: fmt::Debug + Send + Sync {
    /// Returns a new id. It sorts after the ids that this source returned before.
    fn next(&self, now: Timestamp) -> Uuid;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::new(OffsetDateTime::now_utc())
    }
}

/// UUID version 7 (RFC 9562, section 5.7): the time first, then a counter, then random bits. Ids of one
/// source are strictly ordered; ids of several servers are ordered to the millisecond.
#[derive(Default)]
pub struct UuidV7(Mutex<ContextV7>);

impl Ids for UuidV7 {
    fn next(&self, now: Timestamp) -> Uuid {
        let (seconds, nanos) = now.unix_parts();
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }
}

impl fmt::Debug for UuidV7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UuidV7")
    }
}

/// Returns the lowest id possible at `moment`: lower ids are older. Use it to bound a search by id with a time, and allow
/// for the difference between the clocks of several servers.
pub fn first_id_at(moment: Timestamp) -> Uuid {
    let (seconds, nanos) = moment.unix_parts();
    let millis = seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
    // UUIDv7 begins with 48 bits of milliseconds.
    Uuid::from_u128(u128::from(millis) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_moment_are_in_order() {
        let (ids, now) = (UuidV7::default(), SystemClock.now());
        let made: Vec<_> = (0..1000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted());
        assert_eq!(made[0].get_version_num(), 7);
    }

    #[test]
    fn the_first_id_of_a_moment_is_below_those_made_then_and_above_earlier_ones() {
        let (ids, now) = (UuidV7::default(), SystemClock.now());
        let earlier = ids.next(now - std::time::Duration::from_millis(1));
        let first = first_id_at(now);
        assert!(earlier < first && first < UuidV7::default().next(now));
    }
}
