//! Tests of the rules without HTTP, on both databases.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what isn't as promised ends the test")]

mod lists;
mod live;
mod pages;
mod people;
mod plans;
mod presence;
mod queue;
mod queue_faults;
mod receipts;
mod recent;
mod search;
mod sending;
mod succession;
mod unread;
