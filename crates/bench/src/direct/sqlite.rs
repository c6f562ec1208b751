//! Prepared statements on SQLite, on threads without an event loop. One thread writes, as SQLite has one writer; as many
//! read as there are cores.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rusqlite::{Connection, Statement};

use crate::{Result, drive::Measured, drive::Times};

/// What to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The statements of a transaction, or one that reads.
    pub statements: &'a [String],
    /// The values of the works, again and again. They are made before, as other threads use them.
    pub values: Vec<Vec<String>>,
    /// Whether it writes.
    pub writes: bool,
}

/// Runs the job on so many threads.
pub fn run(file: &Path, job: &Job<'_>, threads: usize, times: Times) -> Result<Measured> {
    let (next, measures, stops) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let all = Mutex::new(Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?);
    let (good, failure) = (AtomicU64::new(0), Mutex::new(None));
    let work = || -> Result<()> {
        let connection = open(file)?;
        let mut statements = prepare(&connection, job)?;
        let mut own = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
        while !stops.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            let values = usize::try_from(number).ok().and_then(|n| job.values.get(n % job.values.len()));
            once(&mut statements, values.map_or(&[], Vec::as_slice))?;
            if measures.load(Ordering::Relaxed) {
                own.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
        }
        good.fetch_add(own.len(), Ordering::Relaxed);
        all.lock().unwrap_or_else(PoisonError::into_inner).add(own)?;
        Ok(())
    };
    let time = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                if let Err(error) = work() {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
            });
        }
        std::thread::sleep(times.warm_up);
        let begun = Instant::now();
        measures.store(true, Ordering::Relaxed);
        std::thread::sleep(times.measure);
        measures.store(false, Ordering::Relaxed);
        let time = begun.elapsed();
        stops.store(true, Ordering::Relaxed);
        time
    });
    if let Some(failure) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure.into());
    }
    let times = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Measured { time, good: good.into_inner(), errors: 0, times })
}

/// Opens a connection as the service does.
fn open(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch(
        "PRAGMA synchronous = full; PRAGMA temp_store = memory; PRAGMA cache_size = -16384; PRAGMA foreign_keys = on;
         PRAGMA secure_delete = on",
    )?;
    Ok(connection)
}

/// Prepares the statements of a work.
fn prepare<'a>(connection: &'a Connection, job: &Job<'_>) -> rusqlite::Result<Vec<Statement<'a>>> {
    let around: [&[&str]; 2] = if job.writes { [&["BEGIN IMMEDIATE"], &["COMMIT"]] } else { [&[], &[]] };
    let all = around[0]
        .iter()
        .copied()
        .chain(job.statements.iter().map(String::as_str))
        .chain(around[1].iter().copied());
    all.map(|sql| connection.prepare(sql)).collect()
}

fn once(statements: &mut [Statement<'_>], values: &[String]) -> rusqlite::Result<()> {
    for statement in statements {
        for (index, value) in values.iter().enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}
