//! Messages and their receipts.

mod changes;
pub mod controller;
pub mod entity;
pub mod first_receipt;
pub mod housekeeping;
mod positions;
pub mod queue;
pub mod receipt;
pub mod repository;
mod send;
pub mod types;

pub use controller::{DeletePolicy, Messages};
pub use queue::SendQueue;
pub use receipt::ReceiptKind;
pub use repository::{Direction, MessageRepository, ThreadQuery};
pub use types::{
    Author, Change, Changes, Message, MessageList, NewDirectMessage, NewPosition, NewText, Receipt,
};
