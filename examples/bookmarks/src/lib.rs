//! Bookmarks: a small service with accounts, built from the messenger's library crates without the messenger.
//!
//! - `user` and `bookmark` are tables with what comes in and goes out about them;
//! - `resources` says what clients may do with them;
//! - `migrations` makes the tables;
//! - `app` puts it together.

pub mod app;
pub mod bookmark;
pub mod migrations;
pub mod resources;
pub mod user;
