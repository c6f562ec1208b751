//! Connections to SQLite.
//!
//! This module has its own pool. A progress handler enforces the time limit of a statement. It needs the deadline of the
//! statement that runs on its connection, and sqlx's pool cannot store that with a connection. Setting the handler again for
//! each statement is not an alternative: `lock_handle` can hang when it is called often.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::sqlx::{
    self, ConnectOptions, Connection, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{DbOptions, Synchronous};

/// The number of virtual machine instructions between two checks of the deadline: about 20 µs.
const INSTRUCTIONS: i32 = 1000;
/// How long a migration waits for the write lock.
const SCHEMA_LOCK_TIMEOUT: Duration = Duration::from_mins(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Read,
    Write,
}

/// Returns the options of every connection to the database.
pub(super) fn connect_options(
    base: &SqliteConnectOptions,
    options: &DbOptions,
    role: Role,
) -> SqliteConnectOptions {
    let sqlite = base
        .clone()
        .foreign_keys(true)
        .busy_timeout(options.lock_timeout)
        .synchronous(match options.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        })
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-16384")
        .disable_statement_logging();
    match role {
        Role::Read => sqlite.pragma("query_only", "on"),
        Role::Write => sqlite
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Deleted text is overwritten with zeros rather than left in the file.
            .pragma("secure_delete", "on"),
    }
}

/// Returns a pool for migrations, without a time limit. It opens a connection when one is needed, and closes it afterwards.
pub(super) fn schema_pool(base: &SqliteConnectOptions, options: &DbOptions) -> SqlitePool {
    let sqlite = connect_options(base, options, Role::Write).busy_timeout(SCHEMA_LOCK_TIMEOUT);
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .after_release(|_, _| Box::pin(async { Ok(false) }))
        .connect_lazy_with(sqlite)
}

/// The deadline of the statement that runs on a connection.
#[derive(Debug)]
struct Deadline {
    start: Instant,
    /// In microseconds after `start`.
    at: AtomicU64,
}

impl Deadline {
    fn new() -> Self {
        Self { start: Instant::now(), at: AtomicU64::new(u64::MAX) }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn set(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.at.store(self.elapsed().saturating_add(limit), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.at.store(u64::MAX, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != u64::MAX && self.elapsed() >= at
    }
}

struct Handle {
    raw: SqliteConnection,
    deadline: Arc<Deadline>,
}

/// A pool of connections, for which callers queue in order.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    options: SqliteConnectOptions,
    acquire_timeout: Duration,
    size: u32,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Handle>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("sqlite::Pool").field("size", &self.0.size).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(options: SqliteConnectOptions, size: u32, acquire_timeout: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(size as usize));
        Self(Arc::new(Shared { options, acquire_timeout, size, slots, idle: Mutex::default() }))
    }

    /// Waits for a free connection, or opens one.
    pub(super) async fn acquire(&self) -> Result<Lease, sqlx::Error> {
        let slot = Arc::clone(&self.0.slots).acquire_owned();
        let slot = tokio::time::timeout(self.0.acquire_timeout, slot).await;
        let slot = slot.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.0.idle().pop();
        let handle = match idle {
            Some(handle) => handle,
            None => connect(&self.0.options, self.0.acquire_timeout).await?,
        };
        Ok(Lease { handle: Some(handle), pool: Arc::clone(&self.0), _slot: slot })
    }

    /// Closes the connections once the work in progress has finished. No connection is available after that.
    pub(super) async fn close(&self) {
        let all = self.0.slots.acquire_many(self.0.size).await;
        self.0.slots.close();
        drop(all);
        let idle = std::mem::take(&mut *self.0.idle());
        for handle in idle {
            if let Err(error) = handle.raw.close().await {
                tracing::warn!(%error, "closing a SQLite connection failed");
            }
        }
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Handle>> {
        // The list stays valid even if a thread panics while it holds the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(options: &SqliteConnectOptions, limit: Duration) -> Result<Handle, sqlx::Error> {
    let open = async {
        let mut raw = options.connect().await?;
        let deadline = Arc::new(Deadline::new());
        let seen = Arc::clone(&deadline);
        raw.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || !seen.is_over());
        Ok(Handle { raw, deadline })
    };
    tokio::time::timeout(limit, open).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// A connection in use. It returns to its pool when dropped, unless it was discarded.
pub(super) struct Lease {
    handle: Option<Handle>,
    pool: Arc<Shared>,
    /// Released after the connection has returned to the pool.
    _slot: OwnedSemaphorePermit,
}

impl Lease {
    /// The connection for one statement, which is interrupted after `limit`.
    pub(super) fn bounded(&mut self, limit: Duration) -> Result<&mut SqliteConnection, sqlx::Error> {
        let handle = self.handle.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        handle.deadline.set(limit);
        Ok(&mut handle.raw)
    }

    /// Clears the deadline after the statement.
    pub(super) fn done(&mut self) {
        if let Some(handle) = &self.handle {
            handle.deadline.clear();
        }
    }

    /// Interrupts the current statement and closes the connection, which rolls back its transaction.
    pub(super) fn discard(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.deadline.set(Duration::ZERO);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && !self.pool.slots.is_closed()
        {
            self.pool.idle().push(handle);
        }
    }
}
