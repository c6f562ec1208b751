//! Connections to PostgreSQL.

use std::time::Duration;

use sea_orm::sqlx::{
    ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::DbOptions;

/// A connection that was idle for longer is tested before it is used: the server may have restarted meanwhile.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// The session settings of connections that write.
pub(super) fn writing(base: &PgConnectOptions, options: &DbOptions) -> PgConnectOptions {
    base.clone().disable_statement_logging().options([
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        ("idle_in_transaction_session_timeout", millis(options.idle_in_transaction_timeout)),
        // Also for a statement that is a transaction of its own, whatever the default of the server is.
        ("default_transaction_isolation", "read committed".to_owned()),
    ])
}

/// The session settings of connections that only read.
pub(super) fn reading(base: &PgConnectOptions, options: &DbOptions) -> PgConnectOptions {
    base.clone().disable_statement_logging().options([
        ("statement_timeout", millis(options.read_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        ("default_transaction_read_only", "on".to_owned()),
    ])
}

pub(super) fn pool(connect: PgConnectOptions, size: u32, options: &DbOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| {
            Box::pin(async move {
                if seen.idle_for >= TEST_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect)
}

/// Returns a pool for migrations, without limits on statements and locks. It opens a connection when one is needed, and
/// closes it afterwards.
pub(super) fn schema_pool(base: &PgConnectOptions, options: &DbOptions) -> PgPool {
    let unbounded = base.clone().disable_statement_logging().options([
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ]);
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .after_release(|_, _| Box::pin(async { Ok(false) }))
        .connect_lazy_with(unbounded)
}
