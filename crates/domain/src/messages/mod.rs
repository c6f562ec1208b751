//! Messages and their receipts.

pub mod controller;
pub mod entity;
mod positions;
pub mod receipt;
pub mod repository;
mod send;
pub mod types;

pub use controller::{DeletePolicy, Messages, ThreadQuery};
pub use receipt::ReceiptKind;
pub use repository::{Direction, MessageRepository};
pub use types::{
    Author, Changes, Message, MessageChange, MessageList, NewDirectMessage, NewReadPosition, NewText, Receipt,
};
