//! A transaction.

use std::{
    fmt,
    sync::{
        self, Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::{
    conn::Pool,
    session::{Session, exec, query},
};
use crate::{Error, Ids, Result, Timestamp, events::Observers};

/// A transaction, with one time that all of its rows share. See [`Db::write`](super::Db::write).
///
/// After a statement has failed, all later statements and [`commit`](Tx::commit) fail too. PostgreSQL works like this by
/// itself; SQLite would continue, in some cases outside the transaction, which it has already rolled back.
pub struct Tx {
    session: Mutex<Session>,
    backend: DbBackend,
    limit: Duration,
    now: Timestamp,
    ids: Arc<dyn Ids>,
    committed: Committed,
}

/// What follows a commit. Dropping it does nothing.
pub(super) struct Committed {
    has_appended: AtomicBool,
    appended: Arc<watch::Sender<u64>>,
    observers: Observers,
    work: sync::Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Committed {
    pub fn new(appended: Arc<watch::Sender<u64>>, observers: Observers) -> Self {
        Self { has_appended: AtomicBool::new(false), appended, observers, work: sync::Mutex::default() }
    }
}

/// Does what follows a commit when it is dropped: after the commit, whatever its outcome, and also if the caller stops waiting
/// for it, as it may take effect all the same.
struct Committing(Committed);

impl Drop for Committing {
    fn drop(&mut self) {
        let work = self.0.work.get_mut().unwrap_or_else(sync::PoisonError::into_inner);
        for work in std::mem::take(work) {
            work();
        }
        if *self.0.has_appended.get_mut() {
            self.0.appended.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("backend", &self.backend).field("now", &self.now).finish_non_exhaustive()
    }
}

impl Tx {
    pub(super) async fn begin(
        pool: &Pool,
        limit: Duration,
        now: Timestamp,
        ids: Arc<dyn Ids>,
        committed: Committed,
    ) -> Result<Self> {
        let session = Mutex::new(Session::begin(pool, limit).await?);
        Ok(Self { session, backend: pool.backend(), limit, now, ids, committed })
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// `internal` if a statement of the transaction failed, and the errors of the database. Nothing is kept after an error,
    /// except if the connection is lost during the commit: then it is unknown whether the commit took effect.
    pub async fn commit(self) -> Result<()> {
        let mut session = self.session.into_inner();
        if session.has_failed() {
            return Err(Error::internal("a transaction with a failed statement can't be committed"));
        }
        let _committing = Committing(self.committed);
        Ok(session.end(self.limit, "COMMIT").await?)
    }

    /// Rolls the transaction back.
    pub async fn rollback(self) -> Result<()> {
        let mut session = self.session.into_inner();
        Ok(session.end(self.limit, "ROLLBACK").await?)
    }

    /// Returns the time at which the transaction began, which all of its rows carry.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes that the transaction has appended events, for [`Db::appended`](super::Db::appended). The functions of
    /// [`events`](crate::events) do so; a statement that inserts events by itself has to.
    pub fn mark_appended(&self) {
        self.committed.has_appended.store(true, Ordering::Relaxed);
    }

    /// Calls `work` after the commit, for what is kept outside the database and has to follow it, such as forgetting what was
    /// read before. Also if the outcome of the commit is unknown; not if the transaction is rolled back. `work` must not block.
    pub fn after_commit(&self, work: impl FnOnce() + Send + 'static) {
        let mut all = self.committed.work.lock().unwrap_or_else(sync::PoisonError::into_inner);
        all.push(Box::new(work));
    }

    /// The observers of the transaction's events.
    pub(crate) fn observers(&self) -> &Observers {
        &self.committed.observers
    }

    /// Returns a new id.
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.now)
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut session = self.session.lock().await;
        let done = session.next()?.execute(self.limit, statement).await.map_err(exec)?;
        session.succeeded();
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut session = self.session.lock().await;
        let done = session.next()?.run(self.limit, sql).await.map_err(exec)?;
        session.succeeded();
        Ok(done)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut session = self.session.lock().await;
        let row = session.next()?.fetch_optional(self.limit, statement).await.map_err(query)?;
        session.succeeded();
        Ok(row)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut session = self.session.lock().await;
        let rows = session.next()?.fetch_all(self.limit, statement).await.map_err(query)?;
        session.succeeded();
        Ok(rows)
    }
}
