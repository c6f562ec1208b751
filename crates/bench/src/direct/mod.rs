//! The same rows, written and read straight in the database: what the service is compared with.

pub mod sqlite;
pub mod wire;
