//! Messages and their receipts.

pub mod controller;
pub mod entity;
pub mod mark;
mod receipts;
pub mod repository;
mod send;
pub mod types;

pub use controller::{DeletePolicy, Messages, ThreadQuery};
pub use mark::MarkKind;
pub use repository::{Direction, MessageRepository};
pub use types::{
    Author, Changes, Message, MessageChange, MessageList, NewDirectMessage, NewText, NewWatermark, Receipt,
};
