//! The generated blocks of the document.

use std::fmt::Write;

use super::{Report, svg::number, targets::targets};
use crate::{measure::Row, postgres::SETTINGS};

/// All blocks, by their names.
pub fn all(report: &Report) -> Vec<(&'static str, String)> {
    vec![
        ("machine", machine(report)),
        ("targets", targets_table(report)),
        ("postgres", rows(report, "PostgreSQL")),
        ("sqlite", rows(report, "SQLite")),
        ("flat", flat(report)),
        ("live", live(report)),
        ("little", little(report)),
        ("missing", missing(report)),
    ]
}

/// A table in Markdown.
fn table(heading: &[&str], lines: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", heading.join(" | "), " --- |".repeat(heading.len()));
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
    text
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{}, {} cores, {} GiB of memory, Linux {}; 4 KiB are on the disk after {} µs. {} with `{}`. Measured on {} by\n\n\
         ```sh\n{}\n```\n",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.sync_micros,
        machine.postgres,
        SETTINGS.join(" "),
        machine.date,
        machine.command
    )
}

fn targets_table(report: &Report) -> String {
    let lines = targets(report).into_iter().map(|target| {
        let met = match target.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        };
        vec![target.point.into(), target.wanted.into(), target.measured, met.into()]
    });
    table(&["point", "target", "measured", ""], lines)
}

fn rows(report: &Report, database: &str) -> String {
    let of = |row: &&Row| row.database == database;
    let lines = report.rows.iter().filter(of).map(|row| {
        let numbers = [row.rate, row.p50, row.p99, row.p999].map(number);
        let mut line = vec![row.scenario.clone(), row.mode.clone(), row.connections.to_string()];
        line.extend(numbers);
        line.push(row.errors.to_string());
        line.extend([row.service_cpu, row.database_cpu].map(number));
        line.push(row.ratio.map(number).unwrap_or_default());
        line
    });
    let heading = [
        "scenario",
        "loop",
        "connections",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "errors",
        "service µs",
        "database µs",
        "ratio",
    ];
    let peak = report.rows.iter().filter(of).map(|row| row.peak_mib).fold(0.0, f64::max);
    format!("{}\nThe service used at most {} MiB.\n", table(&heading, lines), number(peak))
}

fn flat(report: &Report) -> String {
    let lines = report.flat.iter().map(|row| {
        vec![
            row.database.clone(),
            row.scenario.clone(),
            number(row.small),
            number(row.large),
            number(row.quotient),
        ]
    });
    table(&["database", "scenario", "p50 ms, small", "p50 ms, large", "quotient"], lines)
}

fn live(report: &Report) -> String {
    let lines = report.fans.iter().map(|fan| {
        vec![
            fan.server.clone(),
            fan.sockets.to_string(),
            fan.bytes.to_string(),
            number(fan.last_p50),
            number(fan.last_worst),
            number(fan.rate),
            number(fan.cpu),
            number(fan.mib),
        ]
    });
    let heading = [
        "server",
        "sockets",
        "bytes",
        "last has it, p50 ms",
        "worst ms",
        "deliveries per second",
        "CPU µs each",
        "MiB",
    ];
    table(&heading, lines)
}

fn little(report: &Report) -> String {
    let lines = report.little.iter().map(|little| {
        vec![
            little.database.clone(),
            number(little.start_ms),
            number(little.idle_mib),
            number(little.binary_mib),
            little.bytes_per_message.to_string(),
            number(little.me_p99),
            number(little.me_p99_with_logins),
        ]
    });
    let heading = [
        "database",
        "start ms",
        "idle MiB",
        "binary MiB",
        "bytes for a message",
        "`me` p99 ms",
        "while 8 a second sign in",
    ];
    let mut text = table(&heading, lines);
    if let Some(idle) = report.idle {
        let _ = writeln!(
            text,
            "\n{} idle sockets: {} KiB each ({} MiB before, {} MiB with them), connected in {} s.",
            idle.sockets,
            number(idle.each_kib),
            number(idle.before),
            number(idle.after),
            number(idle.seconds)
        );
    }
    text
}

fn missing(report: &Report) -> String {
    if report.missing.is_empty() {
        return "Everything was measured.\n".into();
    }
    report.missing.iter().fold(String::new(), |list, missing| list + "- " + missing + "\n")
}
