//! Whether a request takes the same time in a small and in a large database.

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    drive::Times,
    load::world::Sizes,
    measure::Plan,
    say::say,
    scenario::{self, Scenario},
    stage::{Place, Stage},
};

/// The median times of a scenario in both databases, in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flat {
    /// The database.
    pub database: String,
    /// The scenario.
    pub scenario: String,
    /// With few messages.
    pub small: f64,
    /// With many.
    pub large: f64,
    /// The second by the first.
    pub quotient: f64,
}

/// Loads both databases and measures each scenario in one and then in the other.
pub async fn measure(place: &Place, small: u64, large: u64, times: Times) -> Result<Vec<Flat>> {
    let stages =
        [place.stage("small", sizes(small), &[]).await?, place.stage("large", sizes(large), &[]).await?];
    let plan = Plan { connections: 8, times, direct: times, open: None };
    let mut found = Vec::new();
    for is_sync in [false, true] {
        let mut lists = Vec::new();
        for stage in &stages {
            // Made when they are measured, as a client that has everything lacks what the others write.
            lists.push(if is_sync { sync_scenarios(stage).await? } else { scenarios(stage) });
        }
        let [of_small, of_large] =
            <[Vec<Scenario>; 2]>::try_from(lists).map_err(|_| "there are two databases")?;
        for (small, large) in of_small.iter().zip(&of_large) {
            let first = (found.len() as u64) << 22;
            let mut medians = Vec::new();
            for (stage, scenario) in stages.iter().zip([small, large]) {
                let rows = stage.subject.measure(scenario, &plan, first).await?;
                medians.push(rows.first().map_or(0.0, |row| row.p50));
            }
            if let [one, other] = *medians.as_slice() {
                let row = Flat {
                    database: place.dialect().name().into(),
                    scenario: small.name.into(),
                    small: one,
                    large: other,
                    quotient: other / one.max(0.001),
                };
                say(&line(&row));
                found.push(row);
            }
        }
    }
    Ok(found)
}

/// A row of the table.
pub fn line(row: &Flat) -> String {
    format!(
        "{:<10} {:<34} {:>9.3} ms {:>9.3} ms {:>6.2}",
        row.database, row.scenario, row.small, row.large, row.quotient
    )
}

/// As many users and threads as a messenger with so many messages would have.
fn sizes(messages: u64) -> Sizes {
    Sizes { users: (messages / 100).max(100), threads: (messages / 50).max(100), messages }
}

/// What does something else in a small database: the service remembers all of its users, and soon all messages are read.
const INCOMPARABLE: [&str; 2] = ["me, all users", "mark read"];

fn scenarios(stage: &Stage) -> Vec<Scenario> {
    let mut all = scenario::all(&stage.ground);
    // Signing in takes time on purpose, and the other sends are as those that stay.
    all.retain(|scenario| {
        !INCOMPARABLE.contains(&scenario.name)
            && scenario.name != "login"
            && scenario.connections.is_none_or(|count| count == 8)
    });
    alone(all)
}

async fn sync_scenarios(stage: &Stage) -> Result<Vec<Scenario>> {
    Ok(alone(scenario::sync::scenarios(&stage.ground, stage.service.address).await?))
}

/// The scenarios without the database alone, and with as many connections as the others.
fn alone(mut all: Vec<Scenario>) -> Vec<Scenario> {
    for scenario in &mut all {
        scenario.direct = None;
        scenario.connections = None;
    }
    all
}
