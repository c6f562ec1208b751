//! A connection in a transaction.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::conn::{Conn, Pool};

/// The connection of a transaction. It returns to its pool only after a successful commit or rollback; otherwise it is
/// closed, which rolls back the transaction. So no transaction begins inside an unfinished one.
pub(super) struct Session {
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
    /// Begins a transaction on a free connection.
    pub(super) async fn begin(pool: &Pool, limit: Duration) -> Result<Self, DbErr> {
        let mut session = Self { conn: pool.acquire().await?, ended: false, failed: false };
        session.conn.run(limit, pool.begin()).await.map_err(exec)?;
        Ok(session)
    }

    /// Ends the transaction, by `COMMIT` or `ROLLBACK`.
    pub(super) async fn end(&mut self, limit: Duration, sql: &str) -> Result<(), DbErr> {
        self.conn.run(limit, sql).await.map_err(exec)?;
        self.ended = true;
        Ok(())
    }

    /// Returns the connection for the next statement, which counts as failed until it [succeeded](Self::succeeded).
    pub(super) fn next(&mut self) -> Result<&mut Conn, DbErr> {
        if self.failed {
            return Err(DbErr::Custom("an earlier statement of the transaction failed".to_owned()));
        }
        self.failed = true;
        Ok(&mut self.conn)
    }

    pub(super) fn succeeded(&mut self) {
        self.failed = false;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }
}

impl Pool {
    /// Runs one statement, which is a transaction of its own. Through a pooler it has to be begun and ended: that a statement is
    /// parsed and that it is run are two messages, which may reach different connections to the server otherwise.
    pub(super) async fn once<T>(
        &self,
        limit: Duration,
        run: impl AsyncFnOnce(&mut Conn) -> Result<T, sqlx::Error>,
    ) -> Result<T, DbErr> {
        if !self.is_pooler() {
            return run(&mut self.acquire().await?).await.map_err(query);
        }
        let mut session = Session::begin(self, limit).await?;
        let outcome = run(session.next()?).await.map_err(query);
        let ended = session.end(limit, if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
        let value = outcome?;
        ended.map(|()| value)
    }
}

pub(super) fn exec(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

pub(super) fn query(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
