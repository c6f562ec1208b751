//! The HTTP layer of any actix service.
//!
//! - [`http`]: the route table, what handlers take and return, and the middleware around them;
//! - [`openapi`]: the document that follows from the route table, and checking JSON against its schemas;
//! - [`crud`]: list, create, read, update and delete over HTTP from one declaration;
//! - [`accounts`]: the routes to register, sign in and sign out;
//! - [`service`]: settings, start-up, migrations, health, housekeeping and shutdown.
//!
//! A service lists its operations in one [`Routes`] table. The table feeds the router and the OpenAPI document, and
//! most of the document follows from the types in a handler's signature: [`Scoped`] declares the scope, [`Body`],
//! [`Query`], [`Path`] and [`List`] declare the input, [`Json`], [`Created`] and [`NoContent`] declare the response. So
//! a handler cannot require something that the document does not show.
//!
//! Every error, also for an unknown route or after a panic, is `application/problem+json` ([`Problem`]).

pub mod accounts;
pub mod crud;
pub mod http;
pub mod openapi;
pub mod service;

pub use accounts::AuthState;
pub use crud::{Crud, Resource, RowPolicy};
pub use http::{
    app::{AppEntry, WebApp, WebAppOptions},
    bearer::Scoped,
    etag::{ETagged, IfMatch},
    extract::{Body, IdPath, Path, Query},
    idempotency::{Idempotent, Reply},
    list::{CursorList, List},
    problem::Problem,
    respond::{Created, Json, NoContent},
    routes::Routes,
};
pub use service::{Service, settings::ServiceSettings};

pub use actix_web;
