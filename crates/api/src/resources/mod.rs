//! Plain resources beside the messenger: a file each, and a line in each of the lists below. `cargo xtask new-resource`
//! writes them.

use messenger_web::Routes;
use sea_orm_migration::MigrationTrait;

/// What every user may do with them.
pub const SCOPES: &[&str] = &[];

/// Adds their operations.
pub fn mount(_routes: &mut Routes) {}

/// What makes their tables.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![]
}
