//! Resources beside the messenger: a file each, and a line in each of the lists below. `cargo xtask new-resource` adds them.

use groundwork_realtime::crud::LiveResource;
use groundwork_web::Routes;
use sea_orm_migration::MigrationTrait;

// new-resource: modules

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.prefix("/api/v1");
    // new-resource: operations
}

/// Returns the scopes of their operations. Every user has them.
pub fn scopes() -> impl Iterator<Item = &'static str> {
    let mut routes = Routes::new();
    mount(&mut routes);
    routes.scopes().into_iter()
}

/// Returns those whose events are live.
pub fn live() -> Vec<LiveResource> {
    vec![
        // new-resource: live
    ]
}

/// Returns the migrations of their tables.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        // new-resource: tables
    ]
}
