//! Bringing the schema up to date, and back.
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

use groundwork_core::{Db, Result};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
    migrator::MigrationStatus,
    sea_orm::DbErr,
    sea_query::{IndexCreateStatement, Table, TableCreateStatement},
};

/// The key of the advisory lock that a migration holds on PostgreSQL: the bytes of "messeng".
pub const LOCK: i64 = 0x006d_6573_7365_6e67;

/// Applies the migrations that are missing, all or none. Where several servers start at once, one does it and the
/// others wait. Gives how many were applied.
pub async fn up<M: MigratorTrait>(db: &Db) -> Result<usize> {
    let tx = locked(db).await?;
    let pending = M::get_pending_migrations(&tx).await?.len();
    M::up(&tx, None).await?;
    tx.commit().await?;
    Ok(pending)
}

/// Takes back the last `steps` migrations, with the data in what they made. Gives how many were taken back.
pub async fn down<M: MigratorTrait>(db: &Db, steps: u32) -> Result<usize> {
    let tx = locked(db).await?;
    let before = M::get_applied_migrations(&tx).await?.len();
    M::down(&tx, Some(steps)).await?;
    let after = M::get_applied_migrations(&tx).await?.len();
    tx.commit().await?;
    Ok(before - after)
}

/// Every migration by name, and whether it is applied.
pub async fn status<M: MigratorTrait>(db: &Db) -> Result<Vec<(String, bool)>> {
    let tx = locked(db).await?;
    let all = M::get_migration_with_status(&tx).await?;
    tx.commit().await?;
    let line = |migration: &sea_orm_migration::Migration| {
        (migration.name().to_owned(), migration.status() == MigrationStatus::Applied)
    };
    Ok(all.iter().map(line).collect())
}

/// The tables of the library crates in their first form: the event log, sessions and idempotency keys. A service's
/// first migration.
pub fn library_v1() -> Box<dyn MigrationTrait> {
    let (mut tables, mut indexes) = (Vec::new(), Vec::new());
    for (table, more) in [
        groundwork_auth::session::table_v1(),
        groundwork_core::events::table_v1(),
        crate::http::idempotency::table_v1(),
    ] {
        tables.push(table);
        indexes.extend(more);
    }
    Box::new(Creation { name: "library_v1", tables, indexes })
}

/// A migration that makes a table and its indexes.
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

async fn locked(db: &Db) -> Result<DatabaseTransaction> {
    if db.backend() == DbBackend::Postgres {
        let tx = db.schema().begin().await?;
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
        return Ok(tx);
    }
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(db.schema().begin_with_options(options).await?)
}
