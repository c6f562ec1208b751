//! What the commands do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    Result, build,
    cli::{self, Command, Common, Database},
    flat::{self, Flat},
    little::{self, Little},
    live::{self, Fan, Idle, broker::Broker},
    load::{sql::Dialect, world::Sizes},
    machine,
    measure::{Plan, Row, Subject},
    report::{self, Report},
    say::say,
    scenario::{self, Scenario},
    stage::{Place, Stage},
    table,
};

/// The settings of a service for very many sockets.
const MANY_SOCKETS: &[(&str, &str)] = &[
    ("MAX_CONNECTIONS_PER_WORKER", "100000"),
    ("REALTIME_MAX_UNAUTHENTICATED", "100000"),
    ("REALTIME_HEARTBEAT_SECONDS", "300"),
];
/// The messages of a measurement of live delivery.
const MESSAGES: usize = 20;

/// Runs a command.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Run(run) => {
            let rows = scenarios(&run).await?;
            write(run.common.json.as_deref(), &rows)
        }
        Command::Flat(command) => {
            let binary = api(&command.common)?;
            let mut rows = Vec::new();
            for database in &command.common.database {
                rows.extend(
                    flat_of(&command.common, &binary, *database, command.small, command.large).await?,
                );
            }
            write(command.common.json.as_deref(), &rows)
        }
        Command::Live(command) => {
            let binary = api(&command.common)?;
            let folder = data(&command.common)?;
            let place = Place::new(Dialect::Postgres, &binary, folder.path()).await?;
            let allowed = live::limit::raise();
            let stage = place.stage("bench", sizes(10_000), MANY_SOCKETS).await?;
            let mut missing = Vec::new();
            let sockets: Vec<_> =
                command.sockets.iter().map(|count| live::limit::cut(*count, allowed, &mut missing)).collect();
            let fans = fans(&stage, &place, &sockets, &mut missing).await;
            let idle = live::limit::cut(command.idle, allowed, &mut missing);
            let idle = live::idle(&fresh(&place, stage).await?, idle).await?;
            say(&format!("{idle:?}"));
            for note in &missing {
                say(note);
            }
            write(command.common.json.as_deref(), &(fans, idle, missing))
        }
        Command::Report(command) => write_report(&command).await,
    }
}

fn api(common: &Common) -> Result<PathBuf> {
    common.api.clone().map_or_else(|| build::binary("api"), Ok)
}

fn write<T: Serialize>(file: Option<&Path>, results: &T) -> Result<()> {
    if let Some(file) = file {
        fs::write(file, serde_json::to_string_pretty(results)?)?;
        say(&format!("Wrote {}", file.display()));
    }
    Ok(())
}

/// Returns a new folder for data, which anybody may pass through: PostgreSQL does not run as root.
fn data(common: &Common) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&common.folder)?;
    let mut permissions = folder.path().metadata()?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(folder.path(), permissions)?;
    Ok(folder)
}

fn sizes(messages: u64) -> Sizes {
    Sizes { users: 11_000, threads: 24_000, messages }
}

async fn scenarios(run: &cli::Run) -> Result<Vec<Row>> {
    let binary = api(&run.common)?;
    let mut rows = Vec::new();
    for database in &run.common.database {
        let folder = data(&run.common)?;
        let place = Place::new(Dialect::from(*database), &binary, folder.path()).await?;
        let stage = place.stage("bench", run.sizes(), &run.settings()).await?;
        say(&format!(
            "{} bytes on the disk for each message; started in {:?}",
            stage.loaded.0 / stage.loaded.1.max(1),
            stage.service.started_in
        ));
        let mut first = 0;
        for _ in 0..run.repeat {
            let choose = |all: &mut Vec<Scenario>| {
                all.retain(|one| {
                    run.only.is_empty() || run.only.iter().any(|name| one.name.starts_with(name))
                });
                for scenario in all {
                    scenario.direct = scenario.direct.take().filter(|_| !run.alone);
                }
            };
            rows.extend(measured_on(&stage, &run.plan(), &mut first, choose).await?);
        }
    }
    Ok(rows)
}

/// Measures the scenarios of the messenger that `choose` leaves.
async fn measured_on(
    stage: &Stage,
    plan: &Plan,
    first: &mut u64,
    choose: impl Fn(&mut Vec<Scenario>),
) -> Result<Vec<Row>> {
    let mut all = scenario::all(&stage.ground);
    choose(&mut all);
    let mut rows = measured(&stage.subject, &all, plan, first).await;
    // Only now, as a client that has everything lacks what the others write.
    let mut sync = scenario::sync::scenarios(&stage.ground, stage.service.address).await?;
    choose(&mut sync);
    rows.extend(measured(&stage.subject, &sync, plan, first).await);
    Ok(rows)
}

/// Measures scenarios. One that fails does not stop the others.
#[expect(clippy::print_stdout, reason = "the results")]
async fn measured(subject: &Subject, all: &[Scenario], plan: &Plan, first: &mut u64) -> Vec<Row> {
    println!("{}", table::heading());
    let mut rows = Vec::new();
    for scenario in all {
        match subject.measure(scenario, plan, *first).await {
            Ok(found) => {
                for row in &found {
                    println!("{}", table::line(row));
                }
                rows.extend(found);
            }
            Err(error) => say(&format!("{}: {error}", scenario.name)),
        }
        // No two scenarios write the same rows.
        *first += 1 << 22;
    }
    rows
}

async fn flat_of(
    common: &Common,
    binary: &Path,
    database: Database,
    small: u64,
    large: u64,
) -> Result<Vec<Flat>> {
    let folder = data(common)?;
    let place = Place::new(Dialect::from(database), binary, folder.path()).await?;
    let large = if database == Database::Sqlite { large / 10 } else { large };
    flat::measure(&place, small, large, common.plan(1.2).times).await
}

/// Measures a message to many, by the service and by the brokers that are installed.
async fn fans(stage: &Stage, place: &Place, sockets: &[usize], missing: &mut Vec<String>) -> Vec<Fan> {
    let mut fans = Vec::new();
    for count in sockets {
        match live::service(stage, *count, MESSAGES).await {
            Ok(fan) => {
                say(&format!("{fan:?}"));
                fans.push(fan);
            }
            Err(error) => missing.push(format!("a message to {count} sockets: {error}")),
        }
    }
    let bytes = fans.first().map_or(500, |fan| fan.bytes);
    for (name, broker) in [
        ("Mosquitto", Broker::mosquitto(&place.folder).await),
        ("ejabberd", Broker::ejabberd(&place.folder).await),
    ] {
        match broker {
            Ok(Some(broker)) => {
                for count in sockets {
                    match live::broker(&broker, *count, MESSAGES, bytes).await {
                        Ok(fan) => {
                            say(&format!("{fan:?}"));
                            fans.push(fan);
                        }
                        Err(error) => missing.push(format!("{name} with {count} sockets: {error}")),
                    }
                }
            }
            Ok(None) => missing.push(format!("{name}: it is not installed")),
            Err(error) => missing.push(format!("{name}: {error}")),
        }
    }
    fans
}

/// Starts the service again, for very many sockets.
async fn fresh(place: &Place, stage: Stage) -> Result<Stage> {
    let Stage { service, ground, loaded, .. } = stage;
    drop(service);
    place.again("bench", ground, loaded, MANY_SOCKETS).await
}

async fn write_report(command: &cli::Report) -> Result<()> {
    if let Some(file) = &command.from {
        let report: Report = serde_json::from_str(&fs::read_to_string(file)?)?;
        return report::write(&report, &command.docs);
    }
    let binary = api(&command.common)?;
    let bookmarks = command.bookmarks.clone().map_or_else(|| build::binary("bookmarks"), Ok)?;
    let mut report = Report { machine: machine::look(&command.common.folder)?, ..Report::default() };
    for database in &command.common.database {
        let name = Dialect::from(*database).name();
        if let Err(error) = on_database(command, *database, &binary, &bookmarks, &mut report).await {
            say(&format!("{name}: {error}"));
            report.missing.push(format!("{name}: {error}"));
        }
        match flat_of(&command.common, &binary, *database, 10_000, command.large).await {
            Ok(flat) => report.flat.extend(flat),
            Err(error) => report.missing.push(format!("small and large, {name}: {error}")),
        }
        // What was measured is kept, whatever happens to the rest.
        report::write(&report, &command.docs)?;
    }
    write(command.common.json.as_deref(), &report)?;
    say(&format!("Wrote {}", command.docs.join("performance.md").display()));
    Ok(())
}

/// The scenarios, the example service, and on PostgreSQL the sockets.
async fn on_database(
    command: &cli::Report,
    database: Database,
    binary: &Path,
    bookmarks: &Path,
    report: &mut Report,
) -> Result<()> {
    let plan = command.common.plan(2.0);
    let folder = data(&command.common)?;
    let place = Place::new(Dialect::from(database), binary, folder.path()).await?;
    if let Some(cluster) = &place.cluster {
        report.machine.postgres.clone_from(&cluster.version);
    }
    let stage = place.stage("bench", sizes(command.messages), &[]).await?;
    let little: Little = little::measure(&stage, binary, plan.times).await?;
    report.little.push(little);
    let mut first = 0;
    report.rows.extend(measured_on(&stage, &plan, &mut first, |_| ()).await?);
    {
        let (service, subject) = place.other("bookmarks", bookmarks).await?;
        let all = scenario::crud::scenarios(stage.ground.dialect, service.address).await?;
        report.rows.extend(measured(&subject, &all, &plan, &mut first).await);
    }
    if database == Database::Postgres {
        let stage = fresh(&place, stage).await?;
        let allowed = live::limit::raise();
        let many = live::limit::cut(10_000, allowed, &mut report.missing);
        report.fans = fans(&stage, &place, &[1, 100, many], &mut report.missing).await;
        let idle = live::limit::cut(command.idle, allowed, &mut report.missing);
        match live::idle(&fresh(&place, stage).await?, idle).await {
            Ok(idle) => report.idle = Some::<Idle>(idle),
            Err(error) => report.missing.push(format!("{} idle sockets: {error}", command.idle)),
        }
    }
    Ok(())
}
