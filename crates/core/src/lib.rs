//! What any service needs, and no messenger word: entities with a common base, repositories and controllers over
//! them, filters, pages and cursors, the clock and the id source, errors, the event log, and opening a database.
//!
//! There is no HTTP here. `groundwork-web` puts this on the wire; a command line or a worker can use it as it is.
//!
//! The way of a call: a [`Controller`] holds the rules and works inside a [`Tx`] that its caller opened with
//! [`Db::begin`] and commits with [`Tx::commit`]; it uses a [`Repository`], which only takes a connection and knows
//! nothing of transactions.

pub mod base;
pub mod clock;
pub mod controller;
pub mod cursor;
pub mod db;
pub mod error;
pub mod events;
pub mod filter;
pub mod page;
pub mod patch;
pub mod repository;
pub mod timestamp;
pub mod validate;

pub use base::CommonBase;
pub use clock::{Clock, Ids};
pub use controller::Controller;
pub use cursor::{Cursor, CursorPage, CursorRequest};
pub use db::{Db, DbOptions, Tx};
pub use error::{Code, Error, Kind, Result};
pub use filter::{ListQuery, Listable};
pub use page::{Page, PageRequest};
pub use patch::Patch;
pub use repository::Repository;
pub use timestamp::Timestamp;
pub use validate::{FieldError, FieldErrors, Validate};

pub use sea_orm;
pub use uuid::Uuid;
