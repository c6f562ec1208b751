//! Tests of live updates.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what isn't as promised ends the test"
)]

mod boards;
mod bus;
mod limits;
mod membership;
mod operators;
mod presence;
mod promises;
mod resources;
