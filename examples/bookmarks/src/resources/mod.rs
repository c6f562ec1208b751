//! What clients list, make, change and delete: a file each, and a line in each of the lists below.
//! `cargo xtask new-resource` writes them.

use messenger_web::{Crud, Routes, migrate::create_table};
use sea_orm_migration::MigrationTrait;

pub mod bookmark;

/// What every user may do with them.
pub const SCOPES: &[&str] = &["bookmarks:read", "bookmarks:write"];

/// Adds their operations.
pub fn mount(routes: &mut Routes) {
    Crud::<bookmark::Entity>::mount(routes);
}

/// What makes their tables.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![create_table("m0002_bookmarks", bookmark::table_v1())]
}
