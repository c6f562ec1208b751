//! Tests of the service, on both databases.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed expectation ends the test")]

mod accounts;
mod bookmark;
mod live;
mod support;
// new-resource: tests
