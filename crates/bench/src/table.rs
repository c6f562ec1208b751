//! Tables for the terminal.

use std::fmt::Write;

use crate::measure::Row;

/// The heading of [`line()`].
pub fn heading() -> String {
    format!(
        "{:<10} {:<34} {:<7} {:>5} {:>9} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8} {:>7} {:>6}",
        "database",
        "scenario",
        "mode",
        "conn",
        "/s",
        "p50 ms",
        "p99 ms",
        "p99.9",
        "errors",
        "svc µs",
        "db µs",
        "MiB",
        "ratio"
    )
}

/// A row.
pub fn line(row: &Row) -> String {
    let mut line = format!(
        "{:<10} {:<34} {:<7} {:>5} {:>9.0} {:>8.2} {:>8.2} {:>8.2} {:>6} {:>8.0} {:>8.0} {:>7.0}",
        row.database,
        row.scenario,
        row.mode,
        row.connections,
        row.rate,
        row.p50,
        row.p99,
        row.p999,
        row.errors,
        row.service_cpu,
        row.database_cpu,
        row.peak_mib
    );
    if let Some(ratio) = row.ratio {
        // Writing to a string does not fail.
        let _ = write!(line, " {ratio:>6.2}");
    }
    line
}
