//! Tests of the API, on both databases.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what isn't as promised ends the test"
)]

mod asyncapi;
mod auth;
mod authorization;
mod backfill;
mod bad_input;
mod browser;
mod chaos;
mod chromium;
mod clients;
mod command_line;
mod contract;
mod conversation;
mod database;
mod from_fastapi;
mod idempotency;
mod keys;
mod live;
mod messages;
mod openapi;
mod owners;
mod page;
mod passwords;
mod races;
mod remembered;
mod replaces;
mod scaled;
mod sessions;
mod settings;
mod shell;
mod statements;
mod support;
mod threads;
mod turns;
mod users;
// new-resource: tests
