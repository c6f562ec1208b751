//! The messenger itself: users, threads and messages, one folder each with its entity, its queries, its rules and its
//! data types.
//!
//! A rule takes a transaction that its caller opened ([`Tx`](groundwork_core::Tx)), and the
//! [`Caller`](groundwork_auth::Caller). What the caller may not know of is not found; what the caller may see but not change
//! is forbidden.

pub mod codes;
pub mod demo;
pub mod events;
pub mod live;
pub mod messages;
pub mod scopes;
pub mod threads;
pub mod users;

pub use live::MessengerFeed;
pub use messages::Messages;
pub use threads::Threads;
pub use users::Users;
