//! Reads outside a transaction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, sqlx};

use super::{
    conn::{Conn, Pool},
    failure,
    replica::Replica,
};
use crate::error::codes;

/// Runs each statement on a free connection, outside a transaction. It cannot write, and a statement that takes longer
/// than [`DbOptions::read_timeout`](super::DbOptions::read_timeout) is cancelled with the code `query_timeout`.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Pool,
    limit: Duration,
    replica: Option<Chosen>,
}

/// The replica that a reader reads from, until it fails.
#[derive(Clone, Debug)]
struct Chosen {
    replica: Arc<Replica>,
    /// The primary answers from then on, as the replica might have less than what was already read.
    has_failed: Arc<AtomicBool>,
}

impl Chosen {
    fn fail(&self, error: &DbErr) {
        self.has_failed.store(true, Ordering::Relaxed);
        if failure::code(error) == codes::UNAVAILABLE {
            self.replica.failed(error);
        }
    }
}

impl Reader {
    pub(super) fn new(pool: Pool, limit: Duration) -> Self {
        Self { pool, limit, replica: None }
    }

    /// Returns the same reader, which lets the replica answer.
    pub(super) fn by_replica(&self, replica: &Arc<Replica>) -> Self {
        let replica = Chosen { replica: Arc::clone(replica), has_failed: Arc::default() };
        Self { replica: Some(replica), ..self.clone() }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs a statement on the replica, if one is chosen, and otherwise or if that fails on the primary. A statement that
    /// took too long is not repeated.
    async fn run<S: Clone, T>(
        &self,
        statement: S,
        run: impl AsyncFn(&mut Conn, Duration, S) -> Result<T, sqlx::Error>,
    ) -> Result<T, DbErr> {
        let on = async |reader: &Self, statement: S| {
            reader.pool.once(reader.limit, async |conn| run(conn, reader.limit, statement).await).await
        };
        if let Some(chosen) = &self.replica
            && !chosen.has_failed.load(Ordering::Relaxed)
        {
            match on(chosen.replica.standby(), statement.clone()).await {
                Err(error) if failure::code(&error) != codes::QUERY_TIMEOUT => chosen.fail(&error),
                ended => return ended,
            }
        }
        on(self, statement).await
    }
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(statement, async |conn, limit, sql| conn.execute(limit, sql).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql: Arc<str> = sql.into();
        self.run(sql, async |conn, limit, sql| conn.run(limit, &sql).await).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(statement, async |conn, limit, sql| conn.fetch_optional(limit, sql).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(statement, async |conn, limit, sql| conn.fetch_all(limit, sql).await).await
    }
}
