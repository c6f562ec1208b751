//! Requests and responses: the route table, what handlers take and return, and the middleware around them.

pub mod app;
pub mod bearer;
pub(crate) mod compress;
pub(crate) mod cors;
pub mod etag;
pub mod extract;
pub mod idempotency;
pub mod list;
pub mod panics;
pub mod problem;
pub mod request_id;
mod request_log;
pub mod respond;
pub mod routes;
