//! Reads outside a transaction.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};

use super::conn::Pool;

/// Runs each statement on a free connection, outside a transaction. It cannot write, and a statement that takes longer
/// than [`DbOptions::read_timeout`](super::DbOptions::read_timeout) is cancelled with the code `query_timeout`.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Pool,
    limit: Duration,
}

impl Reader {
    pub(super) fn new(pool: Pool, limit: Duration) -> Self {
        Self { pool, limit }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let ended = self.pool.acquire().await?.execute(self.limit, statement).await;
        ended.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let ended = self.pool.acquire().await?.run(self.limit, sql).await;
        ended.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let ended = self.pool.acquire().await?.fetch_optional(self.limit, statement).await;
        ended.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let ended = self.pool.acquire().await?.fetch_all(self.limit, statement).await;
        ended.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }
}
