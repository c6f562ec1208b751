//! A database per test, copied from a template that is migrated once.
//!
//! ```
//! use groundwork_testkit::{Backend, Fixture, TestDb};
//! use sea_orm_migration::{MigrationTrait, MigratorTrait};
//!
//! struct Migrator;
//!
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         vec![]
//!     }
//! }
//!
//! groundwork_testkit::run::<TestDb<Migrator>>(Backend::Sqlite, async |test| {
//!     test.db.ping().await.unwrap();
//! });
//! ```

use std::{
    any::type_name,
    collections::HashMap,
    fmt::Write as _,
    io::Write as _,
    marker::PhantomData,
    sync::{
        Arc, LazyLock, Once,
        atomic::{AtomicU32, Ordering},
    },
};

use groundwork_core::{
    Db, DbOptions,
    sea_orm::{ConnectionTrait, DbBackend, Statement},
};
use sea_orm_migration::MigratorTrait;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{Fixture, TestClock, postgres};

/// A database system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The embedded database.
    Sqlite,
    /// A private PostgreSQL server of the test binary.
    Postgres,
}

/// A database of one test, with the schema of `M`.
#[derive(Debug)]
pub struct TestDb<M> {
    /// The database.
    pub db: Db,
    /// Its URL.
    pub url: String,
    /// The clock of the database handle.
    pub clock: TestClock,
    folder: Option<TempDir>,
    migrator: PhantomData<M>,
}

/// Returns whether tests can run on that database. Prints the result once.
///
/// # Panics
/// If `REQUIRE_POSTGRES=1` is set and PostgreSQL is not installed.
pub fn is_available(backend: Backend) -> bool {
    static SAID: Once = Once::new();
    let server = postgres::server();
    SAID.call_once(|| {
        let line = match server {
            Some(server) => format!("databases: SQLite and {}\n", server.version()),
            None => "databases: SQLite only, as no PostgreSQL server is installed\n".to_owned(),
        };
        // Not `eprintln!`, which is held back for a test that passes.
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
    #[expect(clippy::disallowed_methods, reason = "a switch for the tests, and no setting of a service")]
    let required = std::env::var("REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
    assert!(server.is_some() || !required, "REQUIRE_POSTGRES=1, and no PostgreSQL server is installed");
    backend == Backend::Sqlite || server.is_some()
}

/// By database and name of the migrator.
type Templates = HashMap<(Backend, &'static str), Arc<Template>>;

static TEMPLATES: LazyLock<Mutex<Templates>> = LazyLock::new(Mutex::default);
static COUNT: AtomicU32 = AtomicU32::new(0);

enum Template {
    /// The whole file.
    Sqlite(Vec<u8>),
    Postgres {
        name: String,
    },
}

impl<M: MigratorTrait + 'static> TestDb<M> {
    /// Creates a database.
    pub async fn new(backend: Backend) -> Self {
        let template = template::<M>(backend).await;
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let (url, folder) = match &*template {
            Template::Sqlite(bytes) => {
                let folder = TempDir::with_prefix("messenger-test-").expect("a folder for the database");
                let copy = folder.path().join("test.db");
                std::fs::write(&copy, bytes).expect("copying the template");
                (format!("sqlite://{}", copy.display()), Some(folder))
            }
            Template::Postgres { name } => {
                let server = postgres::server().expect("checked by is_available");
                (server.create_database(&format!("test_{number}"), Some(name)).await, None)
            }
        };
        let clock = TestClock::default();
        let db = open(&url).await.with_clock(Arc::new(clock.clone()));
        Self { db, url, clock, folder, migrator: PhantomData }
    }
}

impl<M> TestDb<M> {
    /// Every row of every table as text, a line each: for a test that something is stored nowhere.
    pub async fn dump(&self) -> String {
        let tables = match self.db.backend() {
            DbBackend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            }
            _ => "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
        };
        let mut dump = String::new();
        for table in self.texts(tables).await {
            let rows = match self.db.backend() {
                DbBackend::Sqlite => {
                    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = self.texts(&columns).await;
                    let columns: Vec<_> = columns.iter().map(|name| format!("quote(\"{name}\")")).collect();
                    format!("SELECT {} AS name FROM \"{table}\"", columns.join(" || ' ' || "))
                }
                _ => format!("SELECT t::text AS name FROM \"{table}\" t"),
            };
            for row in self.texts(&rows).await {
                let _ = writeln!(dump, "{table}: {row}");
            }
        }
        dump
    }

    /// The column `name` of what `sql` selects.
    async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.db.backend(), sql);
        let rows = self.db.reader().query_all_raw(statement).await.expect("reading a table");
        rows.iter().map(|row| row.try_get("", "name").expect("a text")).collect()
    }
}

impl<M: MigratorTrait + 'static> Fixture for TestDb<M> {
    async fn set_up(backend: Backend) -> Self {
        Self::new(backend).await
    }

    async fn tear_down(self) {
        self.db.close().await.expect("closing the database");
        drop(self.folder);
    }
}

async fn open(url: &str) -> Db {
    let options = DbOptions { max_connections: 8, ..DbOptions::new(url).expect("a database URL") };
    Db::open(&options).await.expect("opening the database")
}

async fn template<M: MigratorTrait + 'static>(backend: Backend) -> Arc<Template> {
    let mut templates = TEMPLATES.lock().await;
    let key = (backend, type_name::<M>());
    if let Some(known) = templates.get(&key) {
        return Arc::clone(known);
    }
    let template = match backend {
        Backend::Sqlite => {
            let folder = TempDir::with_prefix("messenger-test-").expect("a folder for the template");
            let file = folder.path().join("template.db");
            migrate::<M>(&format!("sqlite://{}", file.display())).await;
            Template::Sqlite(std::fs::read(&file).expect("reading the template"))
        }
        Backend::Postgres => {
            let name = format!("template_{}", templates.len());
            let server = postgres::server().expect("checked by is_available");
            migrate::<M>(&server.create_database(&name, None).await).await;
            Template::Postgres { name }
        }
    };
    let template = Arc::new(template);
    templates.insert(key, Arc::clone(&template));
    template
}

async fn migrate<M: MigratorTrait>(url: &str) {
    let db = open(url).await;
    M::up(db.schema(), None).await.expect("migrating the template");
    db.close().await.expect("closing the template");
}
