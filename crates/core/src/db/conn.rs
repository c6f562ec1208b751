//! A connection to either database, for one statement at a time.

use std::{fmt, io, sync::Arc, time::Duration};

use sea_orm::{
    DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values,
    sqlx::{self, AssertSqlSafe, Executor, PgPool, Postgres, pool::PoolConnection, postgres::PgConnection},
};
use sea_query_sqlx::SqlxValues;
use tracing::Instrument;

use super::{failure, health::Health, postgres, sqlite, trace};

/// How much longer than the server's own limit to wait for the result of a statement. The server cancels a statement that
/// takes too long, unless it has stopped or the network is down.
const GRACE: Duration = Duration::from_secs(1);

/// The pool of connections to either database.
#[derive(Clone)]
pub(super) enum Pool {
    Postgres(PgPool, Health, Link),
    Sqlite(sqlite::Pool),
}

/// What connections of a pool lead to.
#[derive(Clone)]
pub(super) enum Link {
    /// PostgreSQL itself.
    Direct,
    /// A pooler, which gives each transaction another connection to PostgreSQL. Each begins with this text, which sets what is
    /// otherwise set for a connection.
    Pooler(Arc<str>),
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.backend())
    }
}

impl Pool {
    pub(super) fn backend(&self) -> DbBackend {
        match self {
            Self::Postgres(..) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// What begins a transaction.
    pub(super) fn begin(&self) -> &str {
        match self {
            Self::Postgres(_, _, Link::Direct) => postgres::READ_COMMITTED,
            Self::Postgres(_, _, Link::Pooler(begin)) => begin,
            // It has the write lock from the start, so that it can't fail half-way because another was faster.
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
        }
    }

    /// Whether each statement has to be in a transaction, and without a name, as the next one may reach another connection to
    /// the server.
    pub(super) fn is_pooler(&self) -> bool {
        matches!(self, Self::Postgres(_, _, Link::Pooler(_)))
    }

    /// Waits for a free connection. Returns an error as soon as the database is known to be down.
    pub(super) async fn acquire(&self) -> Result<Conn, DbErr> {
        let raw = match self {
            Self::Postgres(pool, health, _) => tokio::select! {
                biased;
                connection = pool.acquire() => Raw::Postgres(connection.map_err(unavailable)?),
                error = health.lost() => return Err(error),
            },
            Self::Sqlite(pool) => Raw::Sqlite(pool.acquire().await.map_err(unavailable)?),
        };
        Ok(Conn { raw, is_named: !self.is_pooler(), in_use: false })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(pool, ..) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

fn unavailable(cause: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(cause.into()))
}

enum Raw {
    Postgres(PoolConnection<Postgres>),
    Sqlite(sqlite::Lease),
}

/// A connection in use. When dropped it returns to its pool, and is reused only if its last statement has completed and
/// the connection is sound.
pub(super) struct Conn {
    raw: Raw,
    /// Whether statements are prepared under a name, for the next time.
    is_named: bool,
    /// Whether a statement is in progress, which is still so after its future is dropped before completion.
    in_use: bool,
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.in_use {
            self.discard();
        }
    }
}

/// Runs one statement on the connection of either database, with its time limit, its span and its state.
macro_rules! run {
    ($self:ident, $limit:expr, $sql:expr, $connection:ident => $work:expr) => {{
        let span = trace::statement($self.backend(), $sql);
        $self.in_use = true;
        let ended = match &mut $self.raw {
            Raw::Postgres(connection) => {
                let $connection: &mut PgConnection = &mut *connection;
                let limit = $limit + GRACE;
                let work = tokio::time::timeout(limit, async { $work });
                work.instrument(span.clone()).await.unwrap_or_else(|_| Err(silent()))
            }
            Raw::Sqlite(lease) => {
                let $connection = lease.bounded($limit)?;
                let ended = async { $work }.instrument(span.clone()).await;
                lease.done();
                ended
            }
        };
        $self.in_use = false;
        trace::ended(&span, ended.as_ref().err());
        if ended.as_ref().is_err_and(is_broken) {
            $self.discard();
        }
        ended
    }};
}

impl Conn {
    pub(super) fn backend(&self) -> DbBackend {
        match self.raw {
            Raw::Postgres(_) => DbBackend::Postgres,
            Raw::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// Discards the connection. Closing it rolls back its transaction.
    pub(super) fn discard(&mut self) {
        match &mut self.raw {
            Raw::Postgres(connection) => connection.close_on_drop(),
            Raw::Sqlite(lease) => lease.discard(),
        }
    }

    /// Runs SQL as it stands, without parameters.
    pub(super) async fn run(&mut self, limit: Duration, sql: &str) -> Result<ExecResult, sqlx::Error> {
        run!(self, limit, sql, connection => {
            connection.execute(AssertSqlSafe(sql)).await.map(ExecResult::from)
        })
    }

    /// Whether the statement is prepared under a name. One with a pattern is not: the pattern is found in an index if few rows have
    /// it, and in the table if many have, and for a name PostgreSQL chooses one plan for all values after some executions.
    fn is_named(&self, sql: &str) -> bool {
        self.is_named && !sql.contains(" ILIKE ")
    }

    pub(super) async fn execute(
        &mut self,
        limit: Duration,
        statement: Statement,
    ) -> Result<ExecResult, sqlx::Error> {
        let (sql, values) = parts(statement);
        let is_named = self.is_named(&sql);
        run!(self, limit, &sql, connection => {
            let query = sqlx::query_with(AssertSqlSafe(sql.as_str()), values).persistent(is_named);
            query.execute(connection).await.map(ExecResult::from)
        })
    }

    pub(super) async fn fetch_all(
        &mut self,
        limit: Duration,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        let is_named = self.is_named(&sql);
        run!(self, limit, &sql, connection => {
            let query = sqlx::query_with(AssertSqlSafe(sql.as_str()), values).persistent(is_named);
            let rows = query.fetch_all(connection).await;
            rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
        })
    }

    pub(super) async fn fetch_optional(
        &mut self,
        limit: Duration,
        statement: Statement,
    ) -> Result<Option<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        let is_named = self.is_named(&sql);
        run!(self, limit, &sql, connection => {
            let query = sqlx::query_with(AssertSqlSafe(sql.as_str()), values).persistent(is_named);
            let row = query.fetch_optional(connection).await;
            row.map(|row| row.map(QueryResult::from))
        })
    }
}

fn parts(statement: Statement) -> (String, SqlxValues) {
    (statement.sql, SqlxValues(statement.values.unwrap_or(Values(Vec::new()))))
}

/// The error for a server that neither answers nor cancels the statement.
fn silent() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the database did not answer").into()
}

/// Returns whether the connection is unusable after this error.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => failure::ends_session(&**error),
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::TypeNotFound { .. } => false,
        _ => true,
    }
}
