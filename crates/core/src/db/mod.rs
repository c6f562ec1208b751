//! Opening a database, reading from it, and the transaction that a use case works in.
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
//!     .await?; // committed, or rolled back if the closure returned an error
//! assert_eq!(note.title, "One");
//! assert_eq!(Notes.count(db.reader(), Condition::all()).await?, 1);
//! # Ok(())
//! # }
//! ```

mod cached;
mod columns;
mod conn;
pub(crate) mod failure;
mod files;
mod health;
mod options;
mod postgres;
mod reader;
mod replica;
mod session;
mod sqlite;
mod trace;
mod tx;
mod url;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, QueryResult, Statement};
use tokio::sync::watch;

pub use self::{
    cached::{CachedStatement, Parameter, Parameters},
    columns::Columns,
    options::{DbOptions, Synchronous},
    reader::Reader,
    tx::Tx,
    url::{DatabaseUrl, PostgresUrl},
};
use self::{conn::Pool, health::Health, replica::Replica, sqlite::Role, tx::Committed, url::Target};
use crate::{
    Clock, Error, Ids, Result, Timestamp, Uuid,
    clock::{SystemClock, UuidV7},
    events::Observers,
};

/// A database, with the clock and the id source for its rows. Cheap to clone.
///
/// Reads and writes use separate connections, so that neither exhausts those of the other. SQLite has one writer at a time:
/// one connection writes, for which callers queue in order, and it never blocks the others (WAL).
#[derive(Clone)]
pub struct Db {
    reader: Reader,
    replica: Option<Arc<Replica>>,
    writer: Pool,
    schema: DatabaseConnection,
    health: Health,
    statement_timeout: Duration,
    url: DatabaseUrl,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    appended: Arc<watch::Sender<u64>>,
    observers: Observers,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Db {
    /// Connects to a database. Creates the file of a SQLite database if it does not exist, and restricts the files of the
    /// database to their owner.
    ///
    /// # Errors
    /// `unavailable` if the database can't be reached or opened within
    /// [`acquire_timeout`](DbOptions::acquire_timeout).
    pub async fn open(options: &DbOptions) -> Result<Self> {
        let (readers, writers, wait) = (options.readers(), options.writers(), options.acquire_timeout);
        let (reader, writer, schema, health) = match &options.url.0 {
            Target::Sqlite(_) if options.pooler.is_some() || options.replica.is_some() => {
                return Err(Error::internal("a pooler and a replica need PostgreSQL"));
            }
            Target::Sqlite(base) => {
                let file = base.get_filename();
                files::secure(file).map_err(|error| {
                    Error::internal(format!("{} can't be opened: {error}", file.display()))
                })?;
                let pool =
                    |role, size| sqlite::Pool::new(sqlite::connect_options(base, options, role), size, wait);
                let schema = DatabaseConnection::from(sqlite::schema_pool(base, options));
                let health = Health::sqlite(pool(Role::Read, 1));
                let reader = Pool::Sqlite(pool(Role::Read, readers));
                (reader, Pool::Sqlite(pool(Role::Write, writers)), schema, health)
            }
            Target::Postgres(base) => {
                // Asks the server itself, as it would wait in a pooler for busy connections.
                let health = Health::postgres(postgres::reading(base, options));
                let (reader, writer) = match &options.pooler {
                    Some(pooler) => postgres::pools_of_pooler(&pooler.0, options, &health),
                    None => postgres::pools(base, options, &health),
                };
                let schema = DatabaseConnection::from(postgres::schema_pool(base, options));
                (reader, writer, schema, health)
            }
        };
        // The writer comes first: it switches SQLite to WAL mode, which a reader cannot do.
        drop(writer.acquire().await?);
        drop(reader.acquire().await?);
        let replica = match (&options.url.0, &options.replica) {
            (Target::Postgres(base), Some(url)) => Some(Replica::open(base, &url.0, options, &health).await),
            _ => None,
        };
        Ok(Self {
            reader: Reader::new(reader, options.read_timeout),
            replica,
            writer,
            schema,
            health,
            statement_timeout: options.statement_timeout,
            url: options.url.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidV7::default()),
            appended: Arc::default(),
            observers: Observers::default(),
        })
    }

    /// Returns the same database with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the same database with another source of ids.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Returns a connection for reads outside a transaction.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Returns a connection for the reads of one request outside a transaction, which a replica may answer. It finds
    /// everything that was acknowledged or seen before this call, as [`reader`](Self::reader) does.
    pub async fn any_reader(&self) -> Reader {
        match &self.replica {
            Some(replica) if replica.is_current().await => self.reader.by_replica(replica),
            _ => self.reader.clone(),
        }
    }

    /// Returns whether the replica answers reads at present; `None` without a replica.
    pub async fn ping_replica(&self) -> Option<bool> {
        match &self.replica {
            Some(replica) => Some(replica.is_current().await),
            None => None,
        }
    }

    /// Returns connections for migrations, which may change the schema and have no limits on statements and locks.
    /// Everything else writes in a [`Tx`].
    pub fn schema(&self) -> &DatabaseConnection {
        &self.schema
    }

    /// Runs `work` in a transaction: commits it when `work` returns `Ok`, and rolls it back when `work` returns `Err`,
    /// panics or is cancelled.
    ///
    /// On SQLite the transaction has the write lock from the start, so that it can't fail half-way because another was
    /// faster. Do not call `write` from inside `work`: the inner call would wait for the outer one's lock.
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
                // The caller needs the first error. After a failed rollback the connection is closed, which discards
                // the transaction.
                if let Err(error) = tx.rollback().await {
                    tracing::debug!(%error, "the rollback failed; the database had already rolled back the transaction");
                }
                Err(error)
            }
        }
    }

    /// Begins a transaction, for tests that inspect an unfinished one. Everything else uses [`Db::write`], which always
    /// commits. Dropping the transaction without [`Tx::commit`] rolls it back, and closes its connection.
    pub async fn begin(&self) -> Result<Tx> {
        let committed = Committed::new(Arc::clone(&self.appended), self.observers.clone());
        Tx::begin(&self.writer, self.statement_timeout, self.clock.now(), Arc::clone(&self.ids), committed)
            .await
    }

    /// Runs one statement that is a transaction of its own and appends [events](crate::events): one round trip instead of
    /// three. Only for a statement that does everything by itself. It has to lock the subjects of its events before the
    /// snapshot by which it appends them, as a function of PostgreSQL with several statements does. Observers of events are
    /// told by the log only.
    ///
    /// # Errors
    /// Those of the database. Nothing is kept if [`Error::had_no_effect`]; after other errors that is unknown.
    pub async fn append_once(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let limit = self.statement_timeout;
        let ended = self.writer.once(limit, async |conn| conn.fetch_all(limit, statement).await).await;
        // Also after an error: it may have taken effect.
        self.appended.send_modify(|count| *count = count.wrapping_add(1));
        Ok(ended?)
    }

    /// Returns a receiver that changes after each commit of this handle, or a clone of it, that appended
    /// [events](crate::events). Those of other processes are only found by reading.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// Returns the observers of the [events](crate::events) of this handle and its clones. A transaction tells them of its own
    /// events after its commit, in [`events::append`](crate::events::append).
    pub fn observers(&self) -> &Observers {
        &self.observers
    }

    /// Returns the database system.
    pub fn backend(&self) -> DbBackend {
        self.writer.backend()
    }

    /// Returns the current time of the clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a new id.
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now())
    }

    /// Checks whether the database responds, on a separate connection, so that it works while all other connections are in
    /// use. Gives up after one second.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.health.ping().await?)
    }

    /// Closes the connections, after the work in progress. One after the other, and the writer last: of two SQLite
    /// connections that close at the same moment, neither takes itself for the last one, which merges the WAL into the
    /// file.
    pub async fn close(self) -> Result<()> {
        let schema = self.schema.close().await;
        self.health.close().await;
        self.reader.pool().close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
        self.writer.close().await;
        Ok(schema?)
    }
}

/// Writes a consistent copy of a SQLite database to the new file `to`, also while a server uses the database. Only the
/// owner may read the copy. Its data is on the disk when this returns.
///
/// # Errors
/// `internal` if there is no database at `url`, if `to` exists or can't be written, and for PostgreSQL, whose tool for it
/// is `pg_dump`.
pub async fn backup(url: &DatabaseUrl, to: &Path) -> Result<()> {
    match &url.0 {
        Target::Sqlite(options) => files::copy(options, to).await,
        Target::Postgres(_) => {
            Err(Error::internal("this copies a SQLite database only; use pg_dump for PostgreSQL"))
        }
    }
}

/// Returns the result of `conflict` if `error` is a unique violation, and otherwise `error`.
pub fn conflict_as(error: impl Into<Error>, conflict: impl FnOnce() -> Error) -> Error {
    let error = error.into();
    if error.is_unique_violation() { conflict() } else { error }
}
