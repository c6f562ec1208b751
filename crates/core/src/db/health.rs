//! Checks whether the database responds, on a separate connection, so that the result does not depend on busy pools.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions, Connection, Executor,
        postgres::{PgConnectOptions, PgConnection},
    },
};
use tokio::sync::Mutex;

use super::sqlite;

/// How long the database may take to answer.
const LIMIT: Duration = Duration::from_millis(900);
/// How long a result is reused.
const FRESH: Duration = Duration::from_millis(200);
/// How long a request waits for a connection before the database is checked.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct Health(Arc<Mutex<State>>);

struct State {
    target: Target,
    last: Option<(Instant, Result<(), DbErr>)>,
}

enum Target {
    Postgres { options: Box<PgConnectOptions>, connection: Option<PgConnection> },
    Sqlite(sqlite::Pool),
    Closed,
}

impl Health {
    pub(super) fn postgres(options: PgConnectOptions) -> Self {
        Self::new(Target::Postgres { options: Box::new(options), connection: None })
    }

    pub(super) fn sqlite(pool: sqlite::Pool) -> Self {
        Self::new(Target::Sqlite(pool))
    }

    fn new(target: Target) -> Self {
        Self(Arc::new(Mutex::new(State { target, last: None })))
    }

    /// Checks the database, with a time limit of one second.
    pub(super) async fn ping(&self) -> Result<(), DbErr> {
        let asked = tokio::time::timeout(LIMIT, async {
            let mut state = self.0.lock().await;
            if let Some((when, answer)) = &state.last
                && when.elapsed() < FRESH
            {
                return answer.clone();
            }
            let answer = state.target.ask().await.map_err(unreachable);
            state.last = Some((Instant::now(), answer.clone()));
            answer
        });
        asked.await.unwrap_or_else(|_| Err(unreachable(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    /// Returns when the database does not respond, so that a request need not wait for a connection any longer.
    pub(super) async fn lost(&self) -> DbErr {
        tokio::time::sleep(PATIENCE).await;
        loop {
            if let Err(error) = self.ping().await {
                return error;
            }
            tokio::time::sleep(LIMIT).await;
        }
    }

    pub(super) async fn close(&self) {
        let mut state = self.0.lock().await;
        state.last = None;
        match std::mem::replace(&mut state.target, Target::Closed) {
            Target::Postgres { connection: Some(connection), .. } => {
                let _ = connection.close().await;
            }
            Target::Sqlite(pool) => pool.close().await,
            _ => {}
        }
    }
}

fn unreachable(cause: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(cause.into()))
}

impl Target {
    async fn ask(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres { options, connection } => {
                // Taken out of the slot: a connection whose statement was cancelled must not be reused.
                if let Some(mut kept) = connection.take()
                    && kept.ping().await.is_ok()
                {
                    *connection = Some(kept);
                    return Ok(());
                }
                // The connection may be one to a server that has since restarted. A new connection decides.
                let mut new = options.connect().await?;
                new.ping().await?;
                *connection = Some(new);
                Ok(())
            }
            Self::Sqlite(pool) => {
                let mut lease = pool.acquire().await?;
                let asked = lease.bounded(LIMIT)?.execute("SELECT 1 FROM sqlite_schema LIMIT 1").await;
                lease.done();
                if asked.is_err() {
                    lease.discard();
                }
                asked.map(|_| ())
            }
            Self::Closed => Err(sqlx::Error::PoolClosed),
        }
    }
}
