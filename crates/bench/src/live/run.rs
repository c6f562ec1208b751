//! Messages to many, one after the other.

use std::time::{Duration, Instant};

use super::{Awaited, Fan};
use crate::{drive::per_second, measure::mib};

/// The times of a run. The first message is not counted.
pub(super) struct Run {
    server: &'static str,
    sockets: usize,
    messages: usize,
    begun: Instant,
    used: Duration,
    times: Vec<Duration>,
}

impl Run {
    pub(super) fn new(server: &'static str, sockets: usize, messages: usize) -> Self {
        Self { server, sockets, messages, begun: Instant::now(), used: Duration::ZERO, times: Vec::new() }
    }

    pub(super) fn begin(&mut self, round: usize, awaited: &Awaited, used: Duration) {
        awaited.left.set(self.sockets);
        self.begun = Instant::now();
        if round == 1 {
            self.used = used;
        }
    }

    pub(super) fn end(&mut self, round: usize) {
        if round > 0 {
            self.times.push(self.begun.elapsed());
        }
    }

    pub(super) fn result(mut self, awaited: &Awaited, used: Duration, kib: u64) -> Fan {
        self.times.sort_unstable();
        let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        let all = (self.sockets * self.messages) as u64;
        Fan {
            server: self.server.into(),
            sockets: self.sockets,
            bytes: awaited.bytes.get(),
            messages: self.messages,
            last_p50: millis(self.times.get(self.times.len() / 2)),
            last_worst: millis(self.times.last()),
            rate: per_second(all, self.times.iter().sum()),
            cpu: 1e6 / per_second(all.max(1), used.saturating_sub(self.used).max(Duration::from_nanos(1))),
            mib: mib(kib),
        }
    }
}
