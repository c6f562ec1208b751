//! Messages and their receipts.

mod changes;
pub mod controller;
pub mod entity;
pub mod first_receipt;
pub mod housekeeping;
mod listed;
mod mailbox;
mod positions;
pub mod queue;
pub mod receipt;
pub mod repository;
mod send;
mod thread_list;
pub mod types;
mod unread;

pub use controller::{DeletePolicy, Messages};
pub use listed::Listed;
pub use queue::SendQueue;
pub use receipt::ReceiptKind;
pub use repository::MessageRepository;
pub use thread_list::{Direction, ThreadQuery};
pub use types::{
    Author, Change, Changes, Message, MessageList, NewDirectMessage, NewPosition, NewText, Receipt,
};
