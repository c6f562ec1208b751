//! Frames of clients that a service handles itself, such as one that changes something.

use std::{fmt, future::Future, pin::Pin};

use groundwork_auth::Caller;
use groundwork_core::Result;
use serde_json::{Map, Value as Json};

use crate::Realtime;

/// A future of one worker.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The frames that a service handles, beside those of every service (`auth`, `resume`, `ping`, `presence`).
pub trait Commands: fmt::Debug + Send + Sync + 'static {
    /// The types of the frames.
    fn types(&self) -> &'static [&'static str];

    /// Handles a frame of one of these types. `members` are its members without `type`. The result is the `data` of the
    /// `ack`; a frame without a `client_id` gets none. Frames of one connection are handled one after the other.
    fn handle<'a>(
        &'a self,
        realtime: &'a Realtime,
        caller: &'a Caller,
        kind: &'a str,
        members: Map<String, Json>,
    ) -> LocalFuture<'a, Result<Json>>;
}
