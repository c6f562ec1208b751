//! The messenger's server. [`create_app`](app::create_app) is the one place where it is put together; the binary and
//! the tests call it.

pub mod app;
pub mod cli;
pub mod housekeeping;
pub mod migrate;
pub mod routes;
pub mod secret;
pub mod seed;
pub mod serve;
pub mod settings;
