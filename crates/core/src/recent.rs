//! What the database said a moment ago, kept in memory for a short time.
//!
//! An answer is used again until its time to live is over, or until somebody [forgets](Recent::forget) it because it has
//! changed. An answer that was read while it was being changed is not kept: reading it began before
//! [`forget`](Recent::forget), so it may be the old one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! use std::time::Duration;
//!
//! use groundwork_core::{Clock, Recent, clock::SystemClock};
//!
//! let names = Recent::new(Duration::from_secs(5), 1000);
//! let now = SystemClock.now();
//! names.get_or_read(&7, now, async || Ok(Some("Ada"))).await?;
//! assert_eq!(names.get_or_read(&7, now, async || Ok(Some("Augusta"))).await?, Some("Ada"));
//! names.forget(&7);
//! assert_eq!(names.get_or_read(&7, now, async || Ok(Some("Augusta"))).await?, Some("Augusta"));
//! # Ok(())
//! # }
//! ```

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Result, Timestamp};

/// The number of parts, each with a lock of its own.
const PARTS: usize = 16;

/// Answers by their keys. Cheap to clone; the clones share the answers.
pub struct Recent<K, V>(Arc<Shared<K, V>>);

struct Shared<K, V> {
    ttl: Duration,
    /// The maximum number of answers in each half of a part.
    half: usize,
    parts: [Mutex<Part<K, V>>; PARTS],
    hasher: RandomState,
}

/// An answer that was used goes to the young half. When that is full, it becomes the old half, and what was in the old half
/// is dropped. So the memory is bounded, and what is in use stays.
struct Part<K, V> {
    young: HashMap<K, Answer<V>>,
    old: HashMap<K, Answer<V>>,
    /// How often something was forgotten here.
    forgotten: u64,
}

struct Answer<V> {
    value: V,
    asked_at: Timestamp,
}

impl<K, V> Default for Part<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), forgotten: 0 }
    }
}

impl<K, V> Clone for Recent<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    /// Shows neither keys nor answers, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// Keeps about `entries` answers at most, each for less than `ttl`; none if `ttl` is zero.
    pub fn new(ttl: Duration, entries: usize) -> Self {
        let parts = std::array::from_fn(|_| Mutex::default());
        let half = entries.div_ceil(2 * PARTS);
        Self(Arc::new(Shared { ttl, half, parts, hasher: RandomState::new() }))
    }

    /// Returns the answer that is kept for `key`, or else that of `read`, which is kept if it is not `None`. `now` is the
    /// time before `read` is called.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn get_or_read(
        &self,
        key: &K,
        now: Timestamp,
        read: impl AsyncFnOnce() -> Result<Option<V>>,
    ) -> Result<Option<V>> {
        if self.0.ttl.is_zero() {
            return read().await;
        }
        let before = {
            let mut part = self.part(key);
            if let Some(value) = self.kept(&mut part, key, now) {
                return Ok(Some(value));
            }
            part.forgotten
        };
        let read = read().await?;
        if let Some(value) = &read {
            let mut part = self.part(key);
            if part.forgotten == before {
                part.keep(key.clone(), Answer { value: value.clone(), asked_at: now }, self.0.half);
            }
        }
        Ok(read)
    }

    /// Drops the answer for `key`, and any answer that is being read now.
    pub fn forget(&self, key: &K) {
        let mut part = self.part(key);
        part.forgotten = part.forgotten.wrapping_add(1);
        part.young.remove(key);
        part.old.remove(key);
    }

    /// Drops all answers, as [`forget`](Self::forget) does.
    pub fn forget_all(&self) {
        for part in &self.0.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            *part = Part { forgotten: part.forgotten.wrapping_add(1), ..Part::default() };
        }
    }

    /// Returns the number of answers that are kept, also of those whose time is over.
    pub fn len(&self) -> usize {
        let len = |part: &Mutex<Part<K, V>>| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.young.len() + part.old.len()
        };
        self.0.parts.iter().map(len).sum()
    }

    /// Returns whether no answer is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kept(&self, part: &mut Part<K, V>, key: &K, now: Timestamp) -> Option<V> {
        // An answer from the future was read before the clock was set back, and its age is not known.
        let is_fresh = |answer: &Answer<V>| answer.asked_at <= now && now.since(answer.asked_at) < self.0.ttl;
        if let Some(answer) = part.young.get(key) {
            return is_fresh(answer).then(|| answer.value.clone());
        }
        let answer = part.old.remove(key).filter(is_fresh)?;
        let value = answer.value.clone();
        part.keep(key.clone(), answer, self.0.half);
        Some(value)
    }

    #[expect(clippy::indexing_slicing, reason = "the index is a remainder of the length")]
    fn part(&self, key: &K) -> MutexGuard<'_, Part<K, V>> {
        let hash = self.0.hasher.hash_one(key);
        let index = usize::try_from(hash % PARTS as u64).unwrap_or_default();
        self.0.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> Part<K, V> {
    fn keep(&mut self, key: K, answer: Answer<V>, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const TTL: Duration = Duration::from_secs(5);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    async fn ask(recent: &Recent<u32, u32>, key: u32, now: Timestamp, answer: u32) -> u32 {
        recent.get_or_read(&key, now, async || Ok(Some(answer))).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_used_until_its_time_is_over() {
        let recent = Recent::new(TTL, 100);
        assert_eq!(ask(&recent, 1, at(10), 1).await, 1);
        assert_eq!(ask(&recent, 1, at(14), 2).await, 1);
        assert_eq!(ask(&recent, 1, at(15), 3).await, 3, "its age counts from when it was asked");
        assert_eq!(ask(&recent, 1, at(14), 4).await, 4, "the clock was set back");
        assert_eq!(ask(&recent, 2, at(14), 5).await, 5);
    }

    #[tokio::test]
    async fn without_a_time_to_live_it_always_asks() {
        let recent = Recent::new(Duration::ZERO, 100);
        assert_eq!((ask(&recent, 1, at(1), 1).await, ask(&recent, 1, at(1), 2).await), (1, 2));
        assert!(recent.is_empty());
    }

    #[tokio::test]
    async fn neither_an_error_nor_nothing_is_kept() {
        let recent: Recent<u32, u32> = Recent::new(TTL, 100);
        assert_eq!(recent.get_or_read(&1, at(1), async || Ok(None)).await.unwrap(), None);
        recent.get_or_read(&1, at(1), async || Err(Error::internal("no"))).await.unwrap_err();
        assert!(recent.is_empty());
    }

    /// What was read before it was forgotten is returned to who asked, and not kept.
    #[tokio::test]
    async fn an_answer_that_was_forgotten_while_it_was_read_is_not_kept() {
        for forget in [|recent: &Recent<u32, u32>| recent.forget(&1), |recent: &_| Recent::forget_all(recent)]
        {
            let recent = Recent::new(TTL, 100);
            let read = async || {
                forget(&recent);
                Ok(Some(1))
            };
            assert_eq!(recent.get_or_read(&1, at(1), read).await.unwrap(), Some(1));
            assert_eq!(ask(&recent, 1, at(1), 2).await, 2);
            assert_eq!(ask(&recent, 1, at(1), 3).await, 2);
        }
    }

    #[tokio::test]
    async fn memory_is_bounded_and_what_is_in_use_stays() {
        let recent = Recent::new(TTL, 1000);
        for key in 0..100_000 {
            ask(&recent, key, at(1), 0).await;
            assert_eq!(ask(&recent, 1_000_000, at(1), key).await, 0, "asked for all the time");
        }
        assert!(recent.len() <= 1000 + 2 * PARTS, "{}", recent.len());
        assert!(recent.len() >= 400, "{}", recent.len());
    }
}
