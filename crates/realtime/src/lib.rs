//! Live updates of any service, over WebSocket, Server-Sent Events and a paged feed.
//!
//! Everything live is a view of the event log ([`groundwork_core::events`]), so nothing is lost when a connection, a server
//! or the bus is: a client that connects again with its last cursor gets what it missed. A service answers two questions, by
//! the trait [`Feed`](groundwork_core::events::feed::Feed): who may learn of an event now, and what do they see of it.
//!
//! - `tail`: reads the log in order and hands each event to the hub;
//! - `hub`: the connections of this server, and who of them follows what;
//! - `replay`: the log since a cursor, for one user, joined with the live events;
//! - [`socket`], [`sse`], [`sync`]: the three ways out;
//! - [`crud`]: the events of a resource;
//! - [`presence`]: who is online, and other hints that are never stored;
//! - [`bus`]: what servers tell each other, for speed alone.

pub mod asyncapi;
pub mod bus;
pub mod codes;
pub mod command;
pub mod control;
pub mod crud;
pub mod cursor;
mod feeds;
pub mod frame;
mod hub;
mod incoming;
mod merge;
pub mod options;
pub mod presence;
mod realtime;
mod replay;
mod serving;
pub mod socket;
pub mod sse;
mod stats;
pub mod sync;
mod tail;
mod wire;

pub use self::{
    command::Commands,
    options::Options,
    presence::Status,
    realtime::{Realtime, Running},
    stats::Stats,
};
