//! What any actix service needs, and no messenger word.
//!
//! A service lists its operations in one [`Routes`] table. The table feeds the router and the OpenAPI document alike,
//! and most of the document follows from the types in a handler's signature: [`Scoped`] says which scope is needed,
//! [`Body`], [`Query`], [`Path`] and [`List`] what is taken, [`Json`], [`Created`] and [`NoContent`] what comes back.
//! So a handler can't ask for something that the document doesn't tell of.
//!
//! Every refusal, also of an unknown route or after a panic, is `application/problem+json` ([`Problem`]).

pub mod accounts;
pub mod app;
pub mod bearer;
pub mod crud;
pub mod describe;
pub mod etag;
pub mod extract;
pub mod health;
pub mod housekeeping;
pub mod idempotency;
pub mod list;
pub mod migrate;
pub mod openapi;
pub mod problem;
pub mod request_id;
pub mod respond;
pub mod routes;
pub mod schema;
pub mod secret;
pub mod server;
pub mod settings;
pub mod startup;

pub use accounts::Service;
pub use app::{Shell, ShellOptions};
pub use bearer::Scoped;
pub use crud::{Crud, Resource, Rows};
pub use etag::{ETagged, IfMatch};
pub use extract::{Body, IdPath, Path, Query};
pub use idempotency::{Once, Reply};
pub use list::List;
pub use problem::Problem;
pub use respond::{Created, Json, NoContent};
pub use routes::Routes;
pub use settings::ServiceSettings;
pub use startup::Startup;

pub use actix_web;
