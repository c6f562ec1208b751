//! What any service needs, without HTTP: entities with a common base, repositories and controllers, filters, pages and
//! cursors, the clock and the id source, errors, the event log, and the database.
//!
//! `groundwork-web` adds the HTTP side. A command line or a worker can use this crate as it is.
//!
//! A [`Controller`] holds the rules and runs inside a [`Tx`] that its caller opened, usually with [`Db::write`]. It uses a
//! [`Repository`], which only takes a connection.

pub mod base;
pub mod batch;
pub mod clock;
pub mod controller;
pub mod cursor;
pub mod db;
pub mod error;
pub mod events;
pub mod filter;
pub mod gate;
pub mod page;
mod page_query;
pub mod patch;
pub mod recent;
pub mod repository;
pub mod text;
pub mod timestamp;
pub mod validate;

pub use base::CommonBase;
pub use batch::Batcher;
pub use clock::{Clock, Ids};
pub use controller::Controller;
pub use cursor::{Cursor, CursorPage, CursorRequest};
pub use db::{DatabaseUrl, Db, DbOptions, Reader, Tx};
pub use error::{Code, Error, Kind, Result};
pub use filter::{ListQuery, Listable};
pub use gate::Gate;
pub use page::{Page, PageRequest, Total};
pub use patch::{Change, NullableChange};
pub use recent::Recent;
pub use repository::Repository;
pub use text::Text;
pub use timestamp::Timestamp;
pub use validate::{FieldError, FieldErrors, Validate};

pub use sea_orm;
pub use uuid::Uuid;
