//! For tests: a database of its own for each test, on SQLite and on PostgreSQL; a running server; and clients.
//!
//! A promise is written once, and [`on_both!`] makes a test of it for each database:
//!
//! ```ignore
//! on_both! {
//!     /// What is added is there.
//!     async fn adds(db: &TestDb<Migrator>) {
//!         assert_eq!(add(&db.db).await, 1);
//!     }
//! }
//! ```
//!
//! SQLite is always tested. PostgreSQL is tested wherever its server is installed: a private one is started for the
//! test binary, and ends with it. With `REQUIRE_POSTGRES=1` a missing one fails the tests. A line at the start says
//! which ran.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "what isn't as promised ends the test, and so does a broken environment"
)]

pub mod client;
pub mod clock;
pub mod database;
pub mod guard;
mod postgres;
pub mod server;

use std::future::Future;

pub use client::{Answer, Client};
pub use clock::TestClock;
pub use database::{Backend, TestDb};
pub use server::TestServer;

/// What a test works on, made anew for each on one of the databases.
pub trait Fixture: Sized {
    /// Makes it.
    fn set_up(backend: Backend) -> impl Future<Output = Self>;
    /// Puts it away, after a test that passed.
    fn tear_down(self) -> impl Future<Output = ()>;
}

/// Runs one test on one database; for [`on_both!`].
pub fn run<F: Fixture>(backend: Backend, test: impl AsyncFnOnce(&F)) {
    if !database::is_available(backend) {
        return;
    }
    // So that the cause of a 500 is seen beside the test that got it.
    let _ = tracing_subscriber::fmt().with_env_filter("error").with_writer(std::io::stderr).try_init();
    actix_web::rt::System::new().block_on(async {
        let fixture = F::set_up(backend).await;
        test(&fixture).await;
        fixture.tear_down().await;
    });
}

/// Makes of each promise two tests, `on_sqlite` and `on_postgres`. A promise is an `async fn` that takes a reference to
/// a [`Fixture`].
#[macro_export]
macro_rules! on_both {
    ($($(#[doc = $doc:literal])* async fn $name:ident($fixture:ident: &$type:ty) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(clippy::wildcard_imports, reason = "the promise was written one level up")]
            use super::*;

            async fn promise($fixture: &$type) $body

            #[test]
            fn on_sqlite() {
                $crate::run::<$type>($crate::Backend::Sqlite, promise);
            }

            #[test]
            fn on_postgres() {
                $crate::run::<$type>($crate::Backend::Postgres, promise);
            }
        }
    )*};
}
