//! What the generic repository and controller promise, on both databases, shown by an entity of our own.
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
mod outage;
mod repository;
mod trace;
mod transaction;
mod write;
