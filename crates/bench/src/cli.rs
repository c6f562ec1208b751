//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    drive::Times,
    load::{sql::Dialect, world::Sizes},
    measure::Plan,
};

/// Measures the messenger. It needs Linux, and for PostgreSQL its server binaries.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the scenarios, each beside the same statement straight in the database
    Run(Run),
    /// Compare a small database with a large one
    Flat(Flat),
    /// Measure sockets, beside the brokers that are installed
    Live(Live),
    /// Measure everything, and write docs/performance.md
    Report(Report),
}

/// What all commands take.
#[derive(Debug, Args)]
pub struct Common {
    /// The service's binary; without it, it is built
    #[arg(long)]
    pub api: Option<PathBuf>,
    /// Where the temporary data goes; a folder on a disk, not in memory
    #[arg(long, default_value = "/var/tmp")]
    pub folder: PathBuf,
    /// The databases
    #[arg(long, value_delimiter = ',', default_values = ["postgres", "sqlite"])]
    pub database: Vec<Database>,
    /// Write the results as JSON into this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Measure each for a third of the time
    #[arg(long)]
    pub quick: bool,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub common: Common,
    /// The number of users
    #[arg(long, default_value_t = 11_000)]
    pub users: u64,
    /// The number of threads
    #[arg(long, default_value_t = 24_000)]
    pub threads: u64,
    /// The number of messages
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    pub messages: u64,
    /// The number of connections
    #[arg(long, default_value_t = 32)]
    pub connections: usize,
    /// How long to measure each scenario, in seconds
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Only the scenarios whose names begin with one of these
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Repeat all of it so often
    #[arg(long, default_value_t = 1)]
    pub repeat: u32,
    /// Leave out the open loop
    #[arg(long)]
    pub closed: bool,
    /// Leave out the database alone
    #[arg(long)]
    pub alone: bool,
    /// A setting of the service: NAME=value
    #[arg(long)]
    pub set: Vec<String>,
}

/// What `flat` takes.
#[derive(Debug, Args)]
pub struct Flat {
    #[command(flatten)]
    pub common: Common,
    /// The number of messages in the small database
    #[arg(long, default_value_t = 10_000)]
    pub small: u64,
    /// The number of messages in the large PostgreSQL database; SQLite has a tenth
    #[arg(long, default_value_t = 10_000_000)]
    pub large: u64,
}

/// What `live` takes.
#[derive(Debug, Args)]
pub struct Live {
    #[command(flatten)]
    pub common: Common,
    /// The number of sockets that get a message
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000])]
    pub sockets: Vec<usize>,
    /// The number of idle sockets
    #[arg(long, default_value_t = 50_000)]
    pub idle: usize,
}

/// What `report` takes.
#[derive(Debug, Args)]
pub struct Report {
    #[command(flatten)]
    pub common: Common,
    /// Write the page from these results, without measuring
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// The folder of the page
    #[arg(long, default_value = "docs")]
    pub docs: PathBuf,
    /// The number of messages in the database of the scenarios
    #[arg(long, default_value_t = 200_000)]
    pub messages: u64,
    /// The number of messages in the large PostgreSQL database; SQLite has a tenth
    #[arg(long, default_value_t = 10_000_000)]
    pub large: u64,
    /// The number of idle sockets
    #[arg(long, default_value_t = 50_000)]
    pub idle: usize,
    /// The binary of the example service; without it, it is built
    #[arg(long)]
    pub bookmarks: Option<PathBuf>,
}

/// A database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// PostgreSQL
    Postgres,
    /// SQLite
    Sqlite,
}

impl Common {
    /// How to measure, for so many seconds.
    pub fn plan(&self, seconds: f64) -> Plan {
        let seconds = if self.quick { seconds / 3.0 } else { seconds };
        let part = |part: f64| Duration::try_from_secs_f64((seconds * part).max(0.05)).unwrap_or_default();
        Plan {
            connections: 32,
            times: Times { warm_up: part(0.3), measure: part(1.0) },
            direct: Times { warm_up: part(0.2), measure: part(0.7) },
            open: Some(0.5),
        }
    }
}

impl From<Database> for Dialect {
    fn from(database: Database) -> Self {
        match database {
            Database::Postgres => Self::Postgres,
            Database::Sqlite => Self::Sqlite,
        }
    }
}

impl Run {
    /// How much to load.
    pub fn sizes(&self) -> Sizes {
        Sizes { users: self.users, threads: self.threads, messages: self.messages }
    }

    /// How to measure.
    pub fn plan(&self) -> Plan {
        let plan = self.common.plan(self.seconds);
        Plan { connections: self.connections, open: plan.open.filter(|_| !self.closed), ..plan }
    }

    /// The settings of the service.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.set.iter().filter_map(|set| set.split_once('=')).collect()
    }
}
