//! What the service promises, on both databases.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what isn't as promised ends the test")]

mod accounts;
mod bookmark;
mod support;
// new-resource: tests
