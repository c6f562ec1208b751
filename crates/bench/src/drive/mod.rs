//! The load generator.
//!
//! A *closed* loop has a number of connections, each of which asks again when it has its answer. It finds the highest rate.
//! An *open* loop asks at a fixed rate, whatever the answers do, and a time is measured from the moment at which the request
//! was due. So a server that stops for a while shows in the times of all requests that were due meanwhile.

pub mod http;
pub mod work;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    sync::{Mutex, mpsc},
    task::LocalSet,
};

use crate::Result;

/// Something that can be asked again and again.
pub trait Worker: 'static {
    /// Does the work with that number. Returns whether it went well.
    fn work(&mut self, number: u64) -> impl Future<Output = Result<bool>>;
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measurement.
    pub warm_up: Duration,
    /// The measurement.
    pub measure: Duration,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// How long it took.
    pub time: Duration,
    /// The number of requests that went well.
    pub good: u64,
    /// The number of requests that did not.
    pub errors: u64,
    /// The times of those that went well, in microseconds.
    pub times: Histogram<u64>,
}

impl Measured {
    /// The number of good requests in a second.
    pub fn rate(&self) -> f64 {
        per_second(self.good, self.time)
    }

    /// A quantile of the times, in milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.times.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }
}

/// Divides a count by a time.
#[expect(clippy::cast_precision_loss, reason = "counts are far below the limit")]
pub fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// What the tasks of a run share.
struct Shared {
    next: Cell<u64>,
    measures: Cell<bool>,
    stops: Cell<bool>,
    good: Cell<u64>,
    errors: Cell<u64>,
    times: RefCell<Histogram<u64>>,
    failure: RefCell<Option<String>>,
}

impl Shared {
    fn new(first: u64) -> Result<Rc<Self>> {
        Ok(Rc::new(Self {
            next: Cell::new(first),
            measures: Cell::new(false),
            stops: Cell::new(false),
            good: Cell::new(0),
            errors: Cell::new(0),
            times: RefCell::new(Histogram::new_with_bounds(1, 600_000_000, 3)?),
            failure: RefCell::new(None),
        }))
    }

    fn next(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    fn record(&self, is_good: bool, time: Duration) {
        if !self.measures.get() {
            return;
        }
        let count = if is_good { &self.good } else { &self.errors };
        count.set(count.get() + 1);
        if is_good {
            self.times.borrow_mut().saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Waits while the tasks work, and calls `mark` when the measurement begins and when it ends.
    async fn watch(&self, times: Times, mark: &mut impl FnMut()) -> Duration {
        tokio::time::sleep(times.warm_up).await;
        mark();
        let begun = Instant::now();
        self.measures.set(true);
        tokio::time::sleep(times.measure).await;
        self.measures.set(false);
        let time = begun.elapsed();
        mark();
        self.stops.set(true);
        time
    }

    fn measured(&self, time: Duration) -> Result<Measured> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        Ok(Measured {
            time,
            good: self.good.get(),
            errors: self.errors.get(),
            times: self.times.borrow().clone(),
        })
    }
}

/// Lets each worker ask again as soon as it has its answer. The works are numbered from `first`. `mark` is called when the
/// measurement begins and when it ends.
pub async fn closed<W: Worker>(
    workers: Vec<W>,
    first: u64,
    times: Times,
    mut mark: impl FnMut(),
) -> Result<Measured> {
    let shared = Shared::new(first)?;
    let tasks = LocalSet::new();
    for mut worker in workers {
        let shared = Rc::clone(&shared);
        tasks.spawn_local(async move {
            while !shared.stops.get() {
                let begun = Instant::now();
                match worker.work(shared.next()).await {
                    Ok(is_good) => shared.record(is_good, begun.elapsed()),
                    Err(error) => {
                        *shared.failure.borrow_mut() = Some(error.to_string());
                        break;
                    }
                }
            }
        });
    }
    let time = tasks.run_until(shared.watch(times, &mut mark)).await;
    tasks.await;
    shared.measured(time)
}

/// Asks `rate` times a second, by whichever worker is free.
pub async fn open<W: Worker>(
    workers: Vec<W>,
    first: u64,
    rate: f64,
    times: Times,
    mut mark: impl FnMut(),
) -> Result<Measured> {
    let shared = Shared::new(first)?;
    let (sender, due) = mpsc::unbounded_channel();
    let due = Rc::new(Mutex::new(due));
    let tasks = LocalSet::new();
    for mut worker in workers {
        let (shared, due) = (Rc::clone(&shared), Rc::clone(&due));
        tasks.spawn_local(async move {
            loop {
                let Some(moment): Option<Instant> = due.lock().await.recv().await else { break };
                if shared.stops.get() {
                    break;
                }
                match worker.work(shared.next()).await {
                    Ok(is_good) => shared.record(is_good, moment.elapsed()),
                    Err(error) => {
                        *shared.failure.borrow_mut() = Some(error.to_string());
                        break;
                    }
                }
            }
        });
    }
    let pace = Duration::try_from_secs_f64(1.0 / rate.max(0.1))?;
    let all = times.warm_up + times.measure;
    // Tokio's timer is exact to a millisecond only.
    let clock = std::thread::spawn(move || {
        let mut moment = Instant::now();
        let end = moment + all;
        while moment < end {
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            if sender.send(moment).is_err() {
                break;
            }
            moment += pace;
        }
    });
    let time = tasks.run_until(shared.watch(times, &mut mark)).await;
    tasks.await;
    let _ = clock.join();
    shared.measured(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleeper;

    impl Worker for Sleeper {
        async fn work(&mut self, number: u64) -> Result<bool> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(!number.is_multiple_of(2))
        }
    }

    const TIMES: Times = Times { warm_up: Duration::from_millis(20), measure: Duration::from_millis(100) };

    #[tokio::test]
    async fn both_loops_count_what_is_good_and_what_is_not() {
        let mut marks = 0;
        let closed = closed(vec![Sleeper, Sleeper], 0, TIMES, || marks += 1).await.unwrap();
        assert_eq!(marks, 2);
        let open = open(vec![Sleeper, Sleeper], 0, 100.0, TIMES, || ()).await.unwrap();
        for measured in [closed, open] {
            assert!(measured.good > 0 && measured.errors > 0);
            assert!(measured.quantile(0.5) >= 5.0);
        }
    }
}
