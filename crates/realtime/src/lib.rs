//! Live updates of any service: WebSocket, Server-Sent Events and a paged feed over one log of events.

pub mod bus;
