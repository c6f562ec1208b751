//! The schema: the messenger's, and that of the plain resources beside it.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::resources;

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = migration::Migrator::migrations();
        all.extend(resources::migrations());
        all
    }
}
