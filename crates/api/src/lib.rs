//! The messenger's server. [`create_app`](app::create_app) assembles it, for the binary and
//! the tests.

pub mod app;
pub mod cli;
pub mod migrations;
pub mod page;
mod realtime;
pub mod resources;
pub mod routes;
pub mod seed;
pub mod serve;
pub mod settings;
pub mod state;

pub use groundwork_web::service::{housekeeping, secret};
