//! Applying migrations, and reverting them.
//!
//! ```
//! use groundwork_core::base;
//! use groundwork_web::service::migrate::{create_table, library_v1};
//! use sea_orm_migration::{MigrationTrait, MigratorTrait, schema::string};
//!
//! struct Migrator;
//!
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         let notes = base::table_v1("notes").col(string("title")).take();
//!         vec![library_v1(), create_table("create_notes", (notes, Vec::new()))]
//!     }
//! }
//!
//! assert_eq!(Migrator::migrations().len(), 2);
//! ```

use groundwork_core::{Db, Error, Result, events};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
    migrator::MigrationStatus,
    sea_orm::DbErr,
    sea_query::{IndexCreateStatement, Table, TableAlterStatement, TableCreateStatement},
};

/// The key of the advisory lock that a migration holds on PostgreSQL: the bytes of "messeng".
pub const LOCK: i64 = 0x006d_6573_7365_6e67;

/// Applies the pending migrations, all or none. Where several servers start at once, one applies them and the others
/// wait. Returns the number of migrations that were applied.
///
/// # Errors
/// `internal` if the schema has a migration that `M` does not know, because a newer version applied it.
pub async fn up<M: MigratorTrait>(db: &Db) -> Result<usize> {
    let tx = locked::<M>(db).await?;
    let pending = M::get_pending_migrations(&tx).await?.len();
    M::up(&tx, None).await?;
    tx.commit().await?;
    Ok(pending)
}

/// What reverting migrations deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The migrations, the last one first.
    pub migrations: Vec<String>,
    /// The tables that are dropped, and their numbers of rows.
    pub tables: Vec<(String, i64)>,
}

/// Returns what [`down`] would delete. It reverts the migrations in a transaction that it rolls back.
///
/// # Errors
/// As [`up`].
pub async fn preview_down<M: MigratorTrait>(db: &Db, steps: u32) -> Result<Reversal> {
    let tx = locked::<M>(db).await?;
    let applied = M::get_applied_migrations(&tx).await?;
    let last = applied.iter().rev().take(steps as usize);
    let migrations = last.map(|migration| migration.name().to_owned()).collect();
    let before = tables(&tx).await?;
    M::down(&tx, Some(steps)).await?;
    let after = tables(&tx).await?;
    tx.rollback().await?;
    let mut dropped = Vec::new();
    for name in before.into_iter().filter(|name| !after.contains(name)) {
        let sql = format!("SELECT COUNT(*) AS rows FROM \"{name}\"");
        let row = db.schema().query_one_raw(Statement::from_string(db.backend(), sql)).await?;
        let rows = row.map(|row| row.try_get("", "rows")).transpose()?.unwrap_or_default();
        dropped.push((name, rows));
    }
    Ok(Reversal { migrations, tables: dropped })
}

/// The tables of the schema.
async fn tables<C: ConnectionTrait>(conn: &C) -> Result<Vec<String>> {
    let sql = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        }
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1",
    };
    let rows = conn.query_all_raw(Statement::from_string(conn.get_database_backend(), sql)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "name")).collect::<std::result::Result<_, DbErr>>()?)
}

/// Reverts the last `steps` migrations. The data in the tables that they created is deleted. Returns the number of
/// migrations that were reverted.
///
/// # Errors
/// As [`up`].
pub async fn down<M: MigratorTrait>(db: &Db, steps: u32) -> Result<usize> {
    let tx = locked::<M>(db).await?;
    let before = M::get_applied_migrations(&tx).await?.len();
    M::down(&tx, Some(steps)).await?;
    let after = M::get_applied_migrations(&tx).await?.len();
    tx.commit().await?;
    Ok(before - after)
}

/// Returns the name of each migration, and whether it is applied.
///
/// # Errors
/// As [`up`].
pub async fn status<M: MigratorTrait>(db: &Db) -> Result<Vec<(String, bool)>> {
    let tx = locked::<M>(db).await?;
    let all = M::get_migration_with_status(&tx).await?;
    tx.commit().await?;
    let line = |migration: &sea_orm_migration::Migration| {
        (migration.name().to_owned(), migration.status() == MigrationStatus::Applied)
    };
    Ok(all.iter().map(line).collect())
}

/// Returns the first migration of a service: the tables of the library crates (event log, sessions, idempotency keys).
pub fn library_v1() -> Box<dyn MigrationTrait> {
    let (sessions, mut indexes) = groundwork_auth::session::table_v1();
    let (keys, more) = crate::http::idempotency::table_v1();
    indexes.extend(more);
    Box::new(Library { rest: Creation { name: "library_v1", tables: vec![sessions, keys], indexes } })
}

/// Returns the migration of the table of sessions to its second version: where they are used, and the grace of a refresh token.
pub fn sessions_v2() -> Box<dyn MigrationTrait> {
    use groundwork_auth::session::{columns_v2, drop_columns_v2};
    Box::new(Alteration { name: "sessions_v2", up: columns_v2(), down: drop_columns_v2() })
}

struct Alteration {
    name: &'static str,
    up: Vec<TableAlterStatement>,
    down: Vec<TableAlterStatement>,
}

impl MigrationName for Alteration {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Alteration {
    async fn up(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        for statement in &self.up {
            manager.alter_table(statement.clone()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        for statement in &self.down {
            manager.alter_table(statement.clone()).await?;
        }
        Ok(())
    }
}

struct Library {
    rest: Creation,
}

impl MigrationName for Library {
    fn name(&self) -> &str {
        self.rest.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Library {
    async fn up(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        events::create_v1(manager.get_connection()).await?;
        self.rest.up(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        self.rest.down(manager).await?;
        events::drop_v1(manager.get_connection()).await
    }
}

/// Returns a migration that creates a table and its indexes.
pub fn create_table(
    name: &'static str,
    (table, indexes): (TableCreateStatement, Vec<IndexCreateStatement>),
) -> Box<dyn MigrationTrait> {
    Box::new(Creation { name, tables: vec![table], indexes })
}

struct Creation {
    name: &'static str,
    tables: Vec<TableCreateStatement>,
    indexes: Vec<IndexCreateStatement>,
}

impl MigrationName for Creation {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Creation {
    async fn up(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        for table in &self.tables {
            manager.create_table(table.clone()).await?;
        }
        for index in &self.indexes {
            manager.create_index(index.clone()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> std::result::Result<(), DbErr> {
        for table in self.tables.iter().rev() {
            if let Some(name) = table.get_table_name() {
                manager.drop_table(Table::drop().table(name.clone()).take()).await?;
            }
        }
        Ok(())
    }
}

/// Begins a transaction that excludes other migrations.
async fn locked<M: MigratorTrait>(db: &Db) -> Result<DatabaseTransaction> {
    let tx = if db.backend() == DbBackend::Postgres {
        let tx = db.schema().begin().await?;
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
        tx
    } else {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        db.schema().begin_with_options(options).await?
    };
    let known = M::migrations();
    let applied = M::get_migration_models(&tx).await?.into_iter().map(|model| model.version);
    let unknown: Vec<_> = applied.filter(|name| known.iter().all(|known| known.name() != name)).collect();
    if unknown.is_empty() {
        return Ok(tx);
    }
    tx.rollback().await?;
    Err(Error::internal(format!(
        "the schema is newer than this version: it has the unknown migrations {}; \
         run the newer version, or revert them with its `migrate down`",
        unknown.join(", ")
    )))
}
