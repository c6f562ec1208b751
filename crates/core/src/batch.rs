//! Groups calls that arrive while another one is under way, so that they share its cost.
//!
//! A call to a database costs a round trip and, if it writes, a commit, however many rows it is about. While a call is
//! under way, those that arrive wait, and then go together as one. Nobody waits when nobody is ahead, so a single caller
//! sees no delay, and the busier the service is, the more calls share a commit.
//!
//! A [`Batcher`] runs one batch at a time for each key. Calls are taken in the order of their arrival.
//!
//! - A batch runs in a task of its own. A caller that goes away leaves its neighbours alone: a call that still waits is
//!   dropped, and one that is under way runs to its end.
//! - An error of the work, or a panic in it, is the answer to each call of that batch, and the next batch runs.
//! - The number of calls that wait is bounded for each key, and so is how long they wait before they begin.
//!
//! It holds no connection. When the database is closed, its work fails as any other.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! use groundwork_core::batch::{Batcher, Bounds};
//!
//! let lengths = Batcher::new(Bounds::default(), |words: Vec<&'static str>| {
//!     Box::pin(async move { Ok(words.into_iter().map(str::len).collect()) })
//! });
//! assert_eq!(lengths.call("lane", "word").await?, 4);
//! # Ok(())
//! # }
//! ```

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::{Error, Result, error::codes};

/// The work of a batch: it returns an answer for each call, in their order.
type Work<C, A> = dyn Fn(Vec<C>) -> Pin<Box<dyn Future<Output = Result<Vec<A>>> + Send>> + Send + Sync;

/// The bounds of a [`Batcher`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The maximum number of calls of a batch.
    pub size: usize,
    /// The maximum number of calls of a key that wait.
    pub waiting: usize,
    /// How long a call may wait before it begins.
    pub patience: Duration,
}

impl Default for Bounds {
    /// 100 calls at a time, 1000 waiting, for at most 5 s.
    fn default() -> Self {
        Self { size: 100, waiting: 1000, patience: Duration::from_secs(5) }
    }
}

/// Runs one batch of calls at a time for each key. Cheap to clone; the clones share the queues. Unused keys take no
/// memory.
pub struct Batcher<K, C, A>(Arc<Shared<K, C, A>>);

struct Shared<K, C, A> {
    bounds: Bounds,
    work: Box<Work<C, A>>,
    /// A key is here while a batch of it runs, with the calls that wait.
    lanes: Mutex<HashMap<K, VecDeque<Waiting<C, A>>>>,
    /// The number of the next call.
    next: AtomicU64,
}

struct Waiting<C, A> {
    /// Identifies the call.
    number: u64,
    call: C,
    answer: oneshot::Sender<Result<A>>,
    /// The runtime of the caller. Batches run where somebody waits for them, so that a runtime that ends takes nobody
    /// else's call with it.
    home: Handle,
}

impl<K, C, A> Clone for Batcher<K, C, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, C, A> fmt::Debug for Batcher<K, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("bounds", &self.0.bounds).finish_non_exhaustive()
    }
}

impl<K, C, A> Batcher<K, C, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
    A: Send + 'static,
{
    /// Creates one that runs `work` for each batch.
    pub fn new(
        bounds: Bounds,
        work: impl Fn(Vec<C>) -> Pin<Box<dyn Future<Output = Result<Vec<A>>> + Send>> + Send + Sync + 'static,
    ) -> Self {
        let bounds = Bounds { size: bounds.size.max(1), ..bounds };
        Self(Arc::new(Shared {
            bounds,
            work: Box::new(work),
            lanes: Mutex::default(),
            next: AtomicU64::default(),
        }))
    }

    /// Runs the call: at once if no batch of its key is under way, and otherwise with the others that wait.
    ///
    /// # Errors
    /// `busy`: at once if too many calls wait already, and for a call that has not begun after `patience`. Otherwise those
    /// of the work.
    pub async fn call(&self, key: K, call: C) -> Result<A> {
        let (answer, mut answered) = oneshot::channel();
        let Some(number) = self.enter(&key, call, answer)? else {
            return answered.await.unwrap_or_else(|_| Err(unanswered()));
        };
        let waiting = tokio::time::timeout(self.0.bounds.patience, &mut answered).await;
        let ended = match waiting {
            Ok(ended) => ended,
            Err(_) if self.leave(&key, number) => {
                return Err(codes::BUSY.error("other requests are being handled; try again in a moment"));
            }
            // It has begun, and its outcome is known when it ends.
            Err(_) => answered.await,
        };
        ended.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Starts a batch with the call, or queues it and returns its number.
    fn enter(&self, key: &K, call: C, answer: oneshot::Sender<Result<A>>) -> Result<Option<u64>> {
        let home = Handle::try_current().map_err(Error::internal)?;
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { number, call, answer, home };
        let mut lanes = self.0.lanes();
        let Some(queue) = lanes.get_mut(key) else {
            lanes.insert(key.clone(), VecDeque::new());
            drop(lanes);
            self.start(key.clone(), vec![waiting]);
            return Ok(None);
        };
        if queue.len() >= self.0.bounds.waiting {
            return Err(codes::BUSY.error("too many requests are waiting; try again in a moment"));
        }
        queue.push_back(waiting);
        Ok(Some(number))
    }

    /// Removes a call that has not begun. Returns whether it was there.
    fn leave(&self, key: &K, number: u64) -> bool {
        let mut lanes = self.0.lanes();
        let Some(queue) = lanes.get_mut(key) else { return false };
        let place = queue.iter().position(|waiting| waiting.number == number);
        place.and_then(|place| queue.remove(place)).is_some()
    }

    fn start(&self, key: K, batch: Vec<Waiting<C, A>>) {
        let Some(home) = batch.first().map(|first| first.home.clone()) else { return };
        let turn = Turn { batcher: self.clone(), key: Some(key) };
        home.spawn(run(turn, batch));
    }

    /// Starts the next batch of a key, or forgets the key if nobody waits.
    fn next(&self, key: K) {
        let mut lanes = self.0.lanes();
        let Some(queue) = lanes.get_mut(&key) else { return };
        let mut batch = Vec::new();
        while batch.len() < self.0.bounds.size
            && let Some(waiting) = queue.pop_front()
        {
            // Nobody waits for the answer of a caller that has gone away.
            if !waiting.answer.is_closed() {
                batch.push(waiting);
            }
        }
        if batch.is_empty() {
            lanes.remove(&key);
            return;
        }
        drop(lanes);
        self.start(key, batch);
    }
}

impl<K, C, A> Shared<K, C, A> {
    fn lanes(&self) -> MutexGuard<'_, HashMap<K, VecDeque<Waiting<C, A>>>> {
        // No code that can panic runs while it is locked.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a batch. The next one begins when it is dropped: also after a panic, and if its runtime ends.
struct Turn<K, C, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
    A: Send + 'static,
{
    batcher: Batcher<K, C, A>,
    key: Option<K>,
}

impl<K, C, A> Drop for Turn<K, C, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
    A: Send + 'static,
{
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.batcher.next(key);
        }
    }
}

async fn run<K, C, A>(turn: Turn<K, C, A>, batch: Vec<Waiting<C, A>>)
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
    A: Send + 'static,
{
    let (calls, answers): (Vec<C>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.call, waiting.answer)).unzip();
    let done = (turn.batcher.0.work)(calls).await;
    // The next batch is under way while this one's callers go on.
    drop(turn);
    match done {
        Ok(done) if done.len() == answers.len() => {
            for (answer, done) in answers.into_iter().zip(done) {
                // A caller that has gone away needs no answer.
                let _ = answer.send(Ok(done));
            }
        }
        Ok(_) => {
            let error =
                Error::internal("the work of a batch returned another number of answers than it has calls");
            refuse_all(answers, &error);
        }
        Err(error) => refuse_all(answers, &error),
    }
}

fn refuse_all<A>(answers: Vec<oneshot::Sender<Result<A>>>, error: &Error) {
    for answer in answers {
        let _ = answer.send(Err(error.copy()));
    }
}

/// The error of a call whose batch panicked, or whose runtime ended.
fn unanswered() -> Error {
    Error::internal("the batch of this call ended without an answer")
}

#[cfg(test)]
mod tests;
