//! The messenger's schema, one history for both databases.
//!
//! A released migration never changes; a later change is another migration. The libraries define their own tables, in the
//! version that they had at that time (`library_v1`).

use sea_orm_migration::prelude::*;

mod m20261121_messenger;
mod m20261122_recent_threads;
mod m20261122_send_messages;
mod m20261122_user_search;

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            groundwork_web::service::migrate::library_v1(),
            Box::new(m20261121_messenger::Migration),
            Box::new(m20261122_recent_threads::Migration),
            Box::new(m20261122_user_search::Migration),
            Box::new(m20261122_send_messages::Migration),
            groundwork_web::service::migrate::sessions_v2(),
        ]
    }
}
