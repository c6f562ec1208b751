//! The event log, sessions and idempotency keys: tables of the library crates.

use messenger_core::events;
use messenger_web::idempotency;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (mut tables, mut indexes) = messenger_auth::session::tables_v1();
        for (table, more) in [events::table_v1(), idempotency::table_v1()] {
            tables.push(table);
            indexes.extend(more);
        }
        for table in tables {
            manager.create_table(table).await?;
        }
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["idempotency_keys", "events", "refresh_tokens", "sessions"] {
            manager
                .drop_table(Table::drop().table(Alias::new(table)).take())
                .await?;
        }
        Ok(())
    }
}
