//! Bookmarks: a small service with accounts, built on the groundwork libraries.
//!
//! - `user`: the table of users, and how they sign up and in;
//! - `resources`: what clients list, create, change and delete;
//! - `migrations`: the schema;
//! - `app`: assembles the service.

pub mod app;
pub mod migrations;
pub mod resources;
pub mod user;
