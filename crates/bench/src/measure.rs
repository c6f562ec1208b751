//! Measures scenarios, and what they cost.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    direct::{sqlite, wire::Wire},
    drive::{self, Measured, Times, work},
    load::sql::Dialect,
    process,
    scenario::{Direct, Scenario},
};

/// What was measured of a scenario.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The database.
    pub database: String,
    /// The scenario.
    pub scenario: String,
    /// `closed`, `open`, or `direct` for the database without the service.
    pub mode: String,
    /// The number of connections.
    pub connections: usize,
    /// Good requests in a second.
    pub rate: f64,
    /// The median of the times, in milliseconds.
    pub p50: f64,
    /// The time that 1 of 100 requests exceeds.
    pub p99: f64,
    /// The time that 1 of 1000 requests exceeds.
    pub p999: f64,
    /// The number of requests that failed.
    pub errors: u64,
    /// The service's CPU time for each request, in microseconds.
    pub service_cpu: f64,
    /// The database's CPU time for each request, in microseconds. SQLite is part of the service.
    pub database_cpu: f64,
    /// The most memory that the service has used so far, in MiB.
    pub peak_mib: f64,
    /// How fast the service is in comparison with the database without it.
    pub ratio: Option<f64>,
}

/// The database and the service that are measured.
pub struct Subject {
    /// Which database.
    pub dialect: Dialect,
    /// The process of the service.
    pub service: u32,
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// The first process of PostgreSQL and its port.
    pub postgres: Option<(u32, u16, String)>,
    /// The file of SQLite.
    pub file: PathBuf,
}

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of connections, where a scenario has no other.
    pub connections: usize,
    /// With the service.
    pub times: Times,
    /// The database alone.
    pub direct: Times,
    /// The rate of the open loop as a part of that of the closed one; none for no open loop.
    pub open: Option<f64>,
}

impl Subject {
    /// Measures a scenario: closed loop, open loop, and the database alone. `first` is the number of its first request.
    pub async fn measure(&self, scenario: &Scenario, plan: &Plan, first: u64) -> Result<Vec<Row>> {
        let connections = scenario.connections.unwrap_or(plan.connections);
        let workers = async || work::requests(self.address, connections, &scenario.request).await;
        let used = Used::new(self);
        let measured = drive::closed(workers().await?, first, plan.times, used.marker()).await?;
        let mut closed = self.row(scenario.name, "closed", connections, &measured, &used);
        let mut rows = Vec::new();
        if let Some(part) = plan.open
            && closed.rate >= 20.0
        {
            let used = Used::new(self);
            let first = first + (1 << 32);
            let rate = closed.rate * part;
            let measured = drive::open(workers().await?, first, rate, plan.times, used.marker()).await?;
            rows.push(self.row(scenario.name, "open", connections, &measured, &used));
        }
        if let Some(direct) = &scenario.direct {
            let used = Used::new(self);
            let measured = self.direct(direct, connections, plan.direct, first, &used).await?;
            let row = self.row(scenario.name, "direct", connections, &measured, &used);
            closed.ratio = Some(closed.rate / row.rate.max(1e-9));
            rows.push(row);
        }
        rows.insert(0, closed);
        Ok(rows)
    }

    async fn direct(
        &self,
        direct: &Direct,
        connections: usize,
        times: Times,
        first: u64,
        used: &Used,
    ) -> Result<Measured> {
        let Some((_, port, database)) = &self.postgres else {
            let count = if direct.writes { 200_000 } else { 10_000 };
            let values = (first..first + count).map(|number| (direct.values)(number)).collect();
            let job = sqlite::Job { statements: &direct.statements, values, writes: direct.writes };
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let threads = if direct.writes { 1 } else { connections.min(cores) };
            return sqlite::run(&self.file, &job, threads, times);
        };
        let mut workers = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut wire = Wire::open(*port, database).await?;
            for statement in &direct.statements {
                wire.prepare(statement).await?;
            }
            workers.push(work::Statements { wire, values: Rc::clone(&direct.values) });
        }
        drive::closed(workers, first, times, used.marker()).await
    }

    fn row(&self, name: &str, mode: &str, connections: usize, measured: &Measured, used: &Used) -> Row {
        let marks = used.marks.borrow();
        let of = |part: fn(&(Duration, Duration)) -> Duration| match (marks.first(), marks.last()) {
            (Some(before), Some(after)) => part(after).saturating_sub(part(before)).as_secs_f64() * 1e6,
            _ => 0.0,
        };
        let each = 1.0 / (measured.rate() * measured.time.as_secs_f64()).max(1.0);
        Row {
            database: self.dialect.name().into(),
            scenario: name.into(),
            mode: mode.into(),
            connections,
            rate: measured.rate(),
            p50: measured.quantile(0.5),
            p99: measured.quantile(0.99),
            p999: measured.quantile(0.999),
            errors: measured.errors,
            service_cpu: of(|mark| mark.0) * each,
            database_cpu: of(|mark| mark.1) * each,
            peak_mib: mib(process::memory(self.service).peak),
            ratio: None,
        }
    }
}

/// Converts KiB to MiB.
#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below the limit")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The CPU time that the service and the database had used at each mark.
struct Used {
    service: u32,
    postgres: Option<u32>,
    marks: Rc<RefCell<Vec<(Duration, Duration)>>>,
}

impl Used {
    fn new(subject: &Subject) -> Self {
        let postgres = subject.postgres.as_ref().map(|(pid, ..)| *pid);
        Self { service: subject.service, postgres, marks: Rc::default() }
    }

    fn marker(&self) -> impl FnMut() + use<> {
        let (service, postgres, marks) = (self.service, self.postgres, Rc::clone(&self.marks));
        move || {
            let database = postgres.map_or(Duration::ZERO, process::cpu_with_children);
            marks.borrow_mut().push((process::cpu(service), database));
        }
    }
}
