//! Writes `docs/performance.md` from the results: the prose stays, and the blocks between markers are made anew.

mod blocks;
pub mod svg;
mod targets;

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use self::svg::{Group, bars};
use crate::{
    Result,
    flat::Flat,
    little::Little,
    live::{Fan, Idle},
    machine::Machine,
    measure::Row,
};

/// All results.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// The scenarios.
    pub rows: Vec<Row>,
    /// The same requests in a small and in a large database.
    pub flat: Vec<Flat>,
    /// A message to many.
    pub fans: Vec<Fan>,
    /// Idle sockets.
    pub idle: Option<Idle>,
    /// What the service needs when it does little.
    pub little: Vec<Little>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

/// Writes the document and its plots below `docs`.
pub fn write(report: &Report, docs: &Path) -> Result<()> {
    let document = docs.join("performance.md");
    let mut text = fs::read_to_string(&document)?;
    for (name, block) in blocks::all(report) {
        text = replace(&text, name, &block)?;
    }
    fs::write(&document, text)?;
    let folder = docs.join("performance");
    fs::create_dir_all(&folder)?;
    for (name, plot) in plots(report) {
        fs::write(folder.join(format!("{name}.svg")), plot)?;
    }
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(report)? + "\n")?;
    Ok(())
}

/// Replaces what is between `<!-- bench:NAME -->` and `<!-- /bench -->`.
fn replace(text: &str, name: &str, block: &str) -> Result<String> {
    let begin = format!("<!-- bench:{name} -->\n");
    let missing = || format!("the document has no block {name}");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once("<!-- /bench -->").ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{}\n\n<!-- /bench -->{after}", block.trim()))
}

fn plots(report: &Report) -> Vec<(&'static str, String)> {
    let rates = |database: &str| {
        let closed = report.rows.iter().filter(|row| row.database == database && row.mode == "closed");
        let group = |row: &Row| {
            let direct = report.rows.iter().find(|other| {
                other.mode == "direct" && other.database == row.database && other.scenario == row.scenario
            });
            Group { label: row.scenario.clone(), values: vec![Some(row.rate), direct.map(|row| row.rate)] }
        };
        let groups: Vec<_> = closed.map(group).collect();
        bars(&format!("Requests in a second, {database}"), &["service", "statement alone"], &groups, false)
    };
    let flat = report.flat.iter().map(|flat| Group {
        label: format!("{}, {}", flat.scenario, flat.database),
        values: vec![Some(flat.small), Some(flat.large)],
    });
    let flat: Vec<_> = flat.collect();
    let fans = report
        .fans
        .iter()
        .filter(|fan| fan.sockets > 1)
        .map(|fan| Group { label: format!("{}, {}", fan.server, fan.sockets), values: vec![Some(fan.rate)] });
    let fans: Vec<_> = fans.collect();
    vec![
        ("postgres", rates("PostgreSQL")),
        ("sqlite", rates("SQLite")),
        ("flat", bars("Median time in ms, each pair to its own scale", &["small", "large"], &flat, true)),
        ("live", bars("Deliveries in a second", &["deliveries"], &fans, false)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_the_prose_stays() {
        let text = "One.\n<!-- bench:a -->\nold\n<!-- /bench -->\nTwo.\n<!-- bench:b -->\n<!-- /bench -->\n";
        let new = replace(text, "a", "new\n").unwrap();
        assert_eq!(
            new,
            "One.\n<!-- bench:a -->\n\nnew\n\n<!-- /bench -->\nTwo.\n<!-- bench:b -->\n<!-- /bench -->\n"
        );
        assert_eq!(replace(&new, "a", "new").unwrap(), new, "twice is as once");
        assert!(replace(text, "c", "").is_err());
    }

    #[test]
    fn the_document_has_every_block() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md");
        let text = fs::read_to_string(docs).unwrap();
        for (name, block) in blocks::all(&Report::default()) {
            replace(&text, name, &block).unwrap();
        }
    }

    #[test]
    fn targets_compare_what_was_measured() {
        let row = Row {
            database: "PostgreSQL".into(),
            scenario: "me".into(),
            mode: "closed".into(),
            rate: 31_000.0,
            ..Row::default()
        };
        let report = Report { rows: vec![row], ..Report::default() };
        let blocks = blocks::all(&report);
        let (_, targets) = blocks.iter().find(|(name, _)| *name == "targets").unwrap();
        assert!(targets.contains("| `me`, PostgreSQL | ≥ 30,000 a second | 31,000 a second | met |"));
        assert!(targets.contains("| start | < 300 ms | – | not measured |"));
    }
}
