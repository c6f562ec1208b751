//! Support for tests: a database per test on SQLite and on PostgreSQL, a NATS server, a running server, and clients.
//!
//! A test is written once, and [`both_databases`] makes one of it for each database:
//!
//! ```ignore
//! /// What is added is there.
//! #[both_databases]
//! async fn adds(db: &TestDb<Migrator>) {
//!     assert_eq!(add(&db.db).await, 1);
//! }
//! ```
//!
//! Tests always run on SQLite. They run on PostgreSQL if its server is installed: a private server starts with the test
//! binary and stops with it. With `REQUIRE_POSTGRES=1` a missing server fails the tests. The first line of the output
//! says which databases are used.
//!
//! A [`NatsServer`] is for tests of several servers. Tests that need one are skipped if NATS is not installed, and fail
//! with `REQUIRE_NATS=1`. The same goes for a [`Pooler`](postgres::Pooler), PgBouncer, with `REQUIRE_PGBOUNCER=1`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a failed expectation ends the test, and so does a broken environment"
)]

pub mod client;
pub mod clock;
mod contract;
pub mod database;
pub mod explain;
pub mod frames;
pub mod guard;
pub mod nats;
pub mod port;
pub mod postgres;
mod program;
pub mod server;
pub mod socket;
pub mod stream;

use std::future::Future;

pub use client::{Answer, Client};
pub use clock::TestClock;
pub use database::{Backend, TestDb};
pub use groundwork_testkit_macros::both_databases;
pub use nats::NatsServer;
pub use server::TestServer;
pub use socket::Socket;
pub use stream::EventStream;

/// The environment of one test, on one of the databases.
pub trait Fixture: Sized {
    /// Creates it.
    fn set_up(backend: Backend) -> impl Future<Output = Self>;
    /// Removes it after a test that passed.
    fn tear_down(self) -> impl Future<Output = ()>;
}

/// Runs one test on one database; for [`both_databases`].
pub fn run<F: Fixture>(backend: Backend, test: impl AsyncFnOnce(&F)) {
    if !database::is_available(backend) {
        return;
    }
    // Shows the cause of a 500 beside the test that received it.
    let _ = tracing_subscriber::fmt().with_env_filter("error").with_writer(std::io::stderr).try_init();
    actix_web::rt::System::new().block_on(async {
        let fixture = F::set_up(backend).await;
        test(&fixture).await;
        fixture.tear_down().await;
    });
}
