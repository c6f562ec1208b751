//! Connections to PostgreSQL.

use std::time::Duration;

use sea_orm::sqlx::{
    ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    DbOptions,
    conn::{Link, Pool},
    health::Health,
};

/// What begins a transaction, whatever the default of the server is: a rule that has waited for a lock sees what was
/// committed meanwhile, and the order of the log depends on it.
pub(super) const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

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

/// Returns pools of connections that read and that write.
pub(super) fn pools(base: &PgConnectOptions, options: &DbOptions, health: &Health) -> (Pool, Pool) {
    let direct = |connect, size| Pool::Postgres(pool(connect, size, options), health.clone(), Link::Direct);
    (direct(reading(base, options), options.readers()), direct(writing(base, options), options.writers()))
}

/// Returns pools of connections to a pooler. It keeps no settings of a session, so each transaction begins with them.
pub(super) fn pools_of_pooler(base: &PgConnectOptions, options: &DbOptions, health: &Health) -> (Pool, Pool) {
    let settings = |statement: Duration| {
        let (statement, lock) = (millis(statement), millis(options.lock_timeout));
        format!("SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}")
    };
    let idle = millis(options.idle_in_transaction_timeout);
    let read = format!("{READ_COMMITTED} READ ONLY; {}", settings(options.read_timeout));
    let write = format!(
        "{READ_COMMITTED}; {}; SET LOCAL idle_in_transaction_session_timeout = {idle}",
        settings(options.statement_timeout)
    );
    // It concerns values as text, and PgBouncer would refuse it.
    let connect = base.clone().disable_statement_logging().extra_float_digits(None);
    let pooler = |size, begin: String| {
        let pool = pool(connect.clone(), size, options);
        Pool::Postgres(pool, health.clone(), Link::Pooler(begin.into()))
    };
    (pooler(options.readers(), read), pooler(options.writers(), write))
}

/// Returns a connection of its own that only reads. It stays open, as its user is in a hurry.
pub(super) fn single(base: &PgConnectOptions, options: &DbOptions, health: &Health) -> Pool {
    let pool = pool_options(1, options).idle_timeout(None).max_lifetime(None);
    Pool::Postgres(pool.connect_lazy_with(reading(base, options)), health.clone(), Link::Direct)
}

fn pool(connect: PgConnectOptions, size: u32, options: &DbOptions) -> PgPool {
    pool_options(size, options).connect_lazy_with(connect)
}

fn pool_options(size: u32, options: &DbOptions) -> PgPoolOptions {
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
