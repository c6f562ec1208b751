//! The schema. A released migration never changes; a later change is another migration.

use groundwork_web::service::migrate::{create_table, library_v1, sessions_v2};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::{resources, user};

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = vec![library_v1(), create_table("m0001_users", user::table_v1())];
        all.extend(resources::migrations());
        all.push(sessions_v2());
        all
    }
}
