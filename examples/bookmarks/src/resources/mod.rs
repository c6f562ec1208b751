//! The resources: a file each, and a line in each of the lists below. `cargo xtask new-resource` adds them.

use groundwork_web::Routes;
use sea_orm_migration::MigrationTrait;

pub mod bookmark;
// new-resource: modules

/// The scopes of each resource, to read and to change. Every user has them.
pub const SCOPES: &[(&str, &str)] = &[
    <bookmark::Entity as groundwork_web::Resource>::SCOPES,
    // new-resource: scopes
];

/// Returns all of these scopes.
pub fn scopes() -> impl Iterator<Item = &'static str> {
    SCOPES.iter().flat_map(|(read, write)| [*read, *write])
}

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.prefix("/api/v1");
    groundwork_web::Crud::<bookmark::Entity>::mount(routes);
    // new-resource: operations
}

/// Returns the migrations of their tables.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        groundwork_web::service::migrate::create_table("create_bookmarks", bookmark::table_v1()),
        // new-resource: tables
    ]
}
