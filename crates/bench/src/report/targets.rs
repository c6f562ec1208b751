//! What was wanted, and what was measured.

use super::{Report, svg::number};
use crate::measure::Row;

/// A target.
#[derive(Debug)]
pub struct Target {
    /// What it is about.
    pub point: &'static str,
    /// What was wanted.
    pub wanted: &'static str,
    /// What was measured.
    pub measured: String,
    /// Whether it is met; none if it was not measured.
    pub met: Option<bool>,
}

fn target(
    point: &'static str,
    wanted: &'static str,
    value: Option<f64>,
    unit: &str,
    is_met: impl Fn(f64) -> bool,
) -> Target {
    let measured = value.map_or_else(|| "–".into(), |value| format!("{}{unit}", number(value)));
    Target { point, wanted, measured, met: value.map(is_met) }
}

/// All targets.
pub fn targets(report: &Report) -> Vec<Target> {
    let row = |database: &str, scenario: &str| -> Option<&Row> {
        report
            .rows
            .iter()
            .find(|row| row.database == database && row.scenario == scenario && row.mode == "closed")
    };
    let postgres = |scenario| row("PostgreSQL", scenario);
    let ratio = |scenario| postgres(scenario).and_then(|row| row.ratio);
    let most = report.fans.iter().map(|fan| fan.sockets).max();
    let fan = |server: &str| report.fans.iter().find(|fan| fan.server == server && Some(fan.sockets) == most);
    let ours = fan("Actix Messenger");
    let best_rate =
        ["Mosquitto", "ejabberd"].iter().filter_map(|name| fan(name)).map(|fan| fan.rate).reduce(f64::max);
    let little = report.little.iter().find(|little| little.database == "PostgreSQL");
    let flattest = |database: &str| {
        let of = report.flat.iter().filter(|flat| flat.database == database);
        of.map(|flat| flat.quotient).reduce(f64::max)
    };
    vec![
        target(
            "`me`, PostgreSQL",
            "≥ 30,000 a second",
            postgres("me").map(|row| row.rate),
            " a second",
            |rate| rate >= 30_000.0,
        ),
        target(
            "send, PostgreSQL, 32 connections",
            "≥ 1.0 of the statement alone",
            ratio("send"),
            "",
            |ratio| ratio >= 1.0,
        ),
        target(
            "send, PostgreSQL, 256 connections",
            "≥ 1.0 of the statement alone",
            ratio("send, 256 connections"),
            "",
            |ratio| ratio >= 1.0,
        ),
        target(
            "send, SQLite, durable",
            "≥ 4,000 a second",
            row("SQLite", "send").map(|row| row.rate),
            " a second",
            |rate| rate >= 4_000.0,
        ),
        target("list of 20, PostgreSQL", "≥ 0.5 of the statement alone", ratio("list 20"), "", |ratio| {
            ratio >= 0.5
        }),
        target("inbox, PostgreSQL", "≥ 0.5 of the statement alone", ratio("inbox"), "", |ratio| {
            ratio >= 0.5
        }),
        target("flat cost, PostgreSQL, worst", "≤ 1.3 times", flattest("PostgreSQL"), " times", |worst| {
            worst <= 1.3
        }),
        target("flat cost, SQLite, worst", "≤ 1.3 times", flattest("SQLite"), " times", |worst| {
            worst <= 1.3
        }),
        target("idle memory", "< 30 MB", little.map(|little| little.idle_mib * 1.048_576), " MB", |mb| {
            mb < 30.0
        }),
        target("idle sockets", "< 12 KB each", report.idle.map(|idle| idle.each_kib * 1.024), " KB", |kb| {
            kb < 12.0
        }),
        target("number of idle sockets", "50,000", report.idle.map(|idle| mean(idle.sockets)), "", |count| {
            count >= 50_000.0
        }),
        target("start", "< 300 ms", little.map(|little| little.start_ms), " ms", |millis| millis < 300.0),
        target("binary", "< 40 MB", little.map(|little| little.binary_mib * 1.048_576), " MB", |mb| {
            mb < 40.0
        }),
        target(
            "`me` p99 while 8 a second sign in",
            "≤ 2 times",
            little.map(|little| little.me_p99_with_logins / little.me_p99.max(0.001)),
            " times",
            |times| times <= 2.0,
        ),
        target(
            "disk for a message of 30 bytes",
            "< 600 bytes",
            little.map(|little| mean(little.bytes_per_message)),
            " bytes",
            |bytes| bytes < 600.0,
        ),
        target("many sockets: the last has it", "≤ 100 ms", ours.map(|fan| fan.last_p50), " ms", |millis| {
            millis <= 100.0
        }),
        target(
            "many sockets: deliveries beside the better broker",
            "≥ 1.0",
            ours.zip(best_rate).map(|(ours, best)| ours.rate / best.max(1e-9)),
            "",
            |ratio| ratio >= 1.0,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "these numbers are small")]
fn mean(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(0) as f64
}
