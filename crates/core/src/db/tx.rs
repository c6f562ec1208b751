//! A transaction.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, sqlx};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::conn::{Conn, Pool};
use crate::{Error, Ids, Result, Timestamp};

/// A transaction, with the one moment that all of its rows carry. See [`Db::write`](super::Db::write).
///
/// Once a statement has failed, every later one fails too, and so does [`commit`](Tx::commit). That is so on PostgreSQL;
/// SQLite would go on, in some cases outside the transaction, which it has undone.
pub struct Tx {
    session: Mutex<Session>,
    backend: DbBackend,
    limit: Duration,
    now: Timestamp,
    ids: Arc<dyn Ids>,
}

/// The connection of a transaction. It goes back to its pool only after a commit or a rollback that succeeded; otherwise
/// it is closed, which undoes the transaction. So no transaction ever begins within another one that nobody ends.
struct Session {
    conn: Conn,
    ended: bool,
    failed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ended {
            self.conn.discard();
        }
    }
}

impl Session {
    async fn end(&mut self, limit: Duration, sql: &str) -> Result<(), DbErr> {
        self.conn.run(limit, sql).await.map_err(exec)?;
        self.ended = true;
        Ok(())
    }

    /// The connection for the next statement, which has failed until it is known to have succeeded.
    fn next(&mut self) -> Result<&mut Conn, DbErr> {
        if self.failed {
            return Err(DbErr::Custom("an earlier statement of the transaction failed".to_owned()));
        }
        self.failed = true;
        Ok(&mut self.conn)
    }
}

fn exec(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
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
    ) -> Result<Self> {
        let backend = pool.backend();
        let mut session = Session { conn: pool.acquire().await?, ended: false, failed: false };
        // Immediate: it has the write lock from the start, so that it can't fail half-way because another was faster.
        let sql = if backend == DbBackend::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        session.conn.run(limit, sql).await.map_err(exec)?;
        Ok(Self { session: Mutex::new(session), backend, limit, now, ids })
    }

    /// Makes all of it lasting.
    ///
    /// # Errors
    /// `internal` if a statement of the transaction failed, and the errors of the database. Nothing is kept then, except
    /// where the connection is lost while the server commits: in that case it is unknown.
    pub async fn commit(self) -> Result<()> {
        let mut session = self.session.into_inner();
        if session.failed {
            return Err(Error::internal("a transaction with a failed statement can't be committed"));
        }
        Ok(session.end(self.limit, "COMMIT").await?)
    }

    /// Undoes all of it.
    pub async fn rollback(self) -> Result<()> {
        let mut session = self.session.into_inner();
        Ok(session.end(self.limit, "ROLLBACK").await?)
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
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut session = self.session.lock().await;
        let done = session.next()?.execute(self.limit, statement).await.map_err(exec)?;
        session.failed = false;
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut session = self.session.lock().await;
        let done = session.next()?.run(self.limit, sql).await.map_err(exec)?;
        session.failed = false;
        Ok(done)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut session = self.session.lock().await;
        let row = session.next()?.fetch_optional(self.limit, statement).await.map_err(query)?;
        session.failed = false;
        Ok(row)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut session = self.session.lock().await;
        let rows = session.next()?.fetch_all(self.limit, statement).await.map_err(query)?;
        session.failed = false;
        Ok(rows)
    }
}
