//! Tests of the repository, the controller and the database, on both databases.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what isn't as promised ends the test"
)]

mod book;
mod controller;
mod deleted;
mod durable;
mod filter;
mod limits;
mod log;
mod outage;
mod pooler;
mod replica;
mod repository;
mod trace;
mod transaction;
mod write;
