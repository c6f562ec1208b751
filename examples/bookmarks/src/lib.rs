//! Bookmarks: a small service with accounts, built from the messenger's library crates without the messenger.
//!
//! - `user` is the table of users, and how they sign up and in;
//! - `resources` is what clients list, make, change and delete;
//! - `migrations` makes the tables;
//! - `app` puts it together.

pub mod app;
pub mod migrations;
pub mod resources;
pub mod user;
