//! Opening a database, and the transaction that a use case works in.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::Repository;
//! use sea_orm::{ActiveValue::Set, Condition};
//!
//! let note = db
//!     .write(async |tx| {
//!         let row = note::ActiveModel { title: Set("One".into()), ..Default::default() };
//!         Notes.create(tx, row).await
//!     })
//!     .await?; // committed, or rolled back where the closure returned an error
//! assert_eq!(note.title, "One");
//! assert_eq!(Notes.count(db.reader(), Condition::all()).await?, 1);
//! # Ok(())
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    ExecResult, QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    Clock, Error, Ids, Result, Timestamp,
    clock::{SystemClock, UuidV7},
};

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// `sqlite://path/to/file.db` (made where it isn't there) or `postgres://user:password@host/name`.
    pub url: String,
    /// The most connections: on SQLite for reading, besides the one that writes.
    pub max_connections: u32,
    /// How long to wait for a free connection before the answer is `unavailable`.
    pub acquire_timeout: Duration,
    /// How long a statement may take on PostgreSQL.
    pub statement_timeout: Duration,
}

impl DbOptions {
    /// The usual bounds: 10 connections, 5 s to get one, 30 s for a statement.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// A database with the clock and the id source that its rows are made with. Cheap to clone.
///
/// SQLite has one writer at a time. So there it is two pools: one connection that writes, for which callers queue
/// in order, and several that only read and are never held up by it (WAL). On PostgreSQL both are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Db {
    /// Connects. Fails where the URL has no driver, or the database can't be reached or opened.
    pub async fn open(options: &DbOptions) -> Result<Self> {
        let (reader, writer) = if options.url.starts_with("sqlite:") {
            // The writer comes first: it makes the file, which the readers may not.
            let writer = connect_sqlite(options, false).await?;
            (connect_sqlite(options, true).await?, writer)
        } else {
            let pool = connect_postgres(options).await?;
            (pool.clone(), pool)
        };
        Ok(Self { reader, writer, clock: Arc::new(SystemClock), ids: Arc::new(UuidV7::default()) })
    }

    /// The same database with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same database with another source of ids.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// For reading, outside a transaction.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For migrations: a connection that may change the schema. Everything else writes in a [`Tx`].
    pub fn schema(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Runs `work` in a transaction: commits it when `work` returns `Ok`, and rolls it back when `work` returns `Err`,
    /// panics or is cancelled.
    ///
    /// Do not call it from inside `work`: on SQLite the inner call waits for the outer one's write lock.
    ///
    /// # Errors
    /// The error of `work`, or of the begin or the commit. After an error nothing of the transaction is kept, except
    /// where the connection is lost during the commit: then it is unknown whether the commit took effect.
    pub async fn write<T, E: From<Error>>(
        &self,
        work: impl AsyncFnOnce(&Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.begin().await?;
        match work(&tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The caller needs the first error. A failed rollback keeps nothing either.
                if let Err(error) = tx.rollback().await {
                    tracing::warn!(%error, "rollback failed");
                }
                Err(error)
            }
        }
    }

    /// Begins a transaction that may write. Dropping it without [`Tx::commit`] undoes it.
    ///
    /// On SQLite it is `BEGIN IMMEDIATE`: it has the write lock from the start, and so never fails half-way because
    /// another one got it first. Never begin a second one while holding the first.
    pub async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = match self.backend() {
            DbBackend::Sqlite => self.writer.begin_with_options(options).await?,
            _ => self.writer.begin().await?,
        };
        Ok(Tx { inner, now: self.clock.now(), ids: Arc::clone(&self.ids) })
    }

    /// Which database it is.
    pub fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }

    /// Closes the connections, after the work that is under way.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }
}

fn options_for(options: &DbOptions) -> ConnectOptions {
    let mut connect = ConnectOptions::new(&options.url);
    connect
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .connect_timeout(options.acquire_timeout)
        .sqlx_logging(false);
    connect
}

async fn connect_sqlite(options: &DbOptions, read_only: bool) -> Result<DatabaseConnection> {
    let mut connect = options_for(options);
    if !read_only {
        connect.max_connections(1);
    }
    // An embedded connection costs nothing to keep and can't have gone stale.
    connect.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
    connect.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .synchronous(SqliteSynchronous::Normal)
            .pragma("temp_store", "memory")
            .pragma("cache_size", "-16384");
        if read_only {
            sqlite.pragma("query_only", "on")
        } else {
            sqlite.journal_mode(SqliteJournalMode::Wal)
        }
    });
    Ok(Database::connect(connect).await?)
}

async fn connect_postgres(options: &DbOptions) -> Result<DatabaseConnection> {
    let mut connect = options_for(options);
    connect
        .statement_timeout(options.statement_timeout)
        .test_before_acquire_if_idle_for(Duration::from_secs(10));
    Ok(Database::connect(connect).await?)
}

/// A transaction under way, with the one moment that all of its rows carry.
#[derive(Debug)]
pub struct Tx {
    inner: DatabaseTransaction,
    now: Timestamp,
    ids: Arc<dyn Ids>,
}

impl Tx {
    /// Makes all of it lasting.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Undoes all of it at once, rather than when the connection is next used.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }

    /// When the transaction began.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new id.
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now)
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(stmt).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(stmt).await
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(stmt).await
    }
}

/// `error` with a unique violation turned into the refusal that `conflict` makes.
pub fn conflict_as(error: impl Into<Error>, conflict: impl FnOnce() -> Error) -> Error {
    let error = error.into();
    if error.is_unique_violation() { conflict() } else { error }
}
