//! A port for a server that is stopped and started again on the same address.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports below those that the system gives to outgoing connections (RFC 6056, section 3.2; Linux: from 32768).
const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns a port of 127.0.0.1 on which nobody listens.
///
/// It is none of those that the system chooses for outgoing connections. A client that tries to connect while the server
/// is down could get the server's port for its own end: it is then connected to itself, and the server can't start.
///
/// # Panics
/// If no port is free.
pub fn free() -> u16 {
    // Other test binaries may run at the same time.
    let start = std::process::id().wrapping_mul(7919);
    let mut tries = (0..COUNT).map(|_| {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        u16::try_from(FIRST + number).expect("a port")
    });
    tries.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
