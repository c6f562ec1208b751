//! Limits how many tasks of this process work on the same key at a time, and how many wait for it.
//!
//! A task that waits for a row lock holds a connection to the database. Without a bound, the tasks that wait for one row
//! use up all connections, and everybody else waits as well. A gate lets a few of them through to the database; the others
//! wait in memory.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! use std::time::Duration;
//!
//! use groundwork_core::Gate;
//!
//! let gate = Gate::new(1, 0, Duration::from_secs(1));
//! let pass = gate.enter("general").await?;
//! assert_eq!(gate.enter("general").await.unwrap_err().code().name, "busy");
//! gate.enter("other").await?; // another key is another queue
//! drop(pass);
//! gate.enter("general").await?;
//! # Ok(())
//! # }
//! ```

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Result, error::codes};

/// A gate with a queue for each key. Cheap to clone; the clones share the queues. Unused keys take no memory.
pub struct Gate<K>(Arc<Shared<K>>);

struct Shared<K> {
    at_once: usize,
    waiting: usize,
    patience: Duration,
    queues: Mutex<HashMap<K, Queue>>,
}

struct Queue {
    /// The number of tasks that have passed or wait.
    tasks: usize,
    slots: Arc<Semaphore>,
}

impl<K> Clone for Gate<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Gate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("at_once", &self.0.at_once).field("waiting", &self.0.waiting).finish()
    }
}

impl<K: Clone + Eq + Hash> Gate<K> {
    /// Creates a gate that lets `at_once` tasks of a key pass at a time, and `waiting` more wait for at most `patience`.
    pub fn new(at_once: usize, waiting: usize, patience: Duration) -> Self {
        Self(Arc::new(Shared { at_once, waiting, patience, queues: Mutex::default() }))
    }

    /// Waits for the turn of the key, in order. The turn ends when the pass is dropped.
    ///
    /// # Errors
    /// `busy`: at once if too many tasks wait already, and after `patience`.
    pub async fn enter(&self, key: K) -> Result<Pass<K>> {
        let (slots, mut pass) = self.queue(key)?;
        let slot = tokio::time::timeout(self.0.patience, slots.acquire_owned()).await;
        pass.slot = slot.ok().and_then(std::result::Result::ok);
        if pass.slot.is_none() {
            return Err(codes::BUSY.error("other requests are changing the same data; try again in a moment"));
        }
        Ok(pass)
    }

    /// Joins the queue of the key. The pass leaves it when it is dropped.
    fn queue(&self, key: K) -> Result<(Arc<Semaphore>, Pass<K>)> {
        let mut queues = self.0.queues();
        let new = || Queue { tasks: 0, slots: Arc::new(Semaphore::new(self.0.at_once)) };
        let queue = queues.entry(key.clone()).or_insert_with(new);
        if queue.tasks >= self.0.at_once.saturating_add(self.0.waiting) {
            return Err(codes::BUSY
                .error("too many requests are waiting to change the same data; try again in a moment"));
        }
        queue.tasks += 1;
        let pass = Pass { gate: self.clone(), key, slot: None };
        Ok((Arc::clone(&queue.slots), pass))
    }
}

impl<K> Shared<K> {
    fn queues(&self) -> MutexGuard<'_, HashMap<K, Queue>> {
        // No code that can panic runs while it is locked.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a task.
#[must_use = "the turn ends when the pass is dropped"]
pub struct Pass<K: Clone + Eq + Hash> {
    gate: Gate<K>,
    key: K,
    slot: Option<OwnedSemaphorePermit>,
}

impl<K: Clone + Eq + Hash> fmt::Debug for Pass<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

impl<K: Clone + Eq + Hash> Drop for Pass<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut queue) = self.gate.0.queues().entry(self.key.clone()) {
            queue.get_mut().tasks -= 1;
            if queue.get().tasks == 0 {
                queue.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(gate: &Gate<u8>) -> usize {
        gate.0.queues().len()
    }

    /// Two pass, one waits, the next is refused at once. A cancelled task frees its place, and an unused key is removed.
    #[tokio::test]
    async fn bounds_each_key_and_forgets_it() {
        let gate = Gate::new(2, 1, Duration::from_mins(1));
        let first = gate.enter(1).await.unwrap();
        let second = gate.enter(1).await.unwrap();
        let third = gate.enter(1);
        tokio::pin!(third);
        tokio::select! {
            biased;
            _ = &mut third => unreachable!("both turns are taken"),
            refused = gate.enter(1) => assert_eq!(refused.unwrap_err().code(), codes::BUSY),
        }
        drop(first);
        let third = third.await.unwrap();
        {
            let given_up = gate.enter(1);
            tokio::pin!(given_up);
            assert!(futures_poll(given_up.as_mut()).await.is_pending());
        }
        drop((second, third));
        assert_eq!(keys(&gate), 0);
        let impatient = Gate::new(0, 1, Duration::ZERO);
        assert_eq!(impatient.enter(1).await.unwrap_err().code(), codes::BUSY);
        assert_eq!(keys(&impatient), 0);
    }

    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
    }
}
