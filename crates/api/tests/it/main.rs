//! What the messenger promises to those who call it, on both databases.
#![expect(missing_docs, reason = "tests say what they promise in their names")]

mod authorization;
mod conversation;
mod idempotency;
mod openapi;
mod races;
mod support;
