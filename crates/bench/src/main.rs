//! Measures the messenger and writes `docs/performance.md`.
//!
//! ```sh
//! cargo run --release -p bench -- run                          # all scenarios on both databases
//! cargo run --release -p bench -- run --quick --database sqlite
//! cargo run --release -p bench -- run --database postgres --only send,me --closed --repeat 3
//! cargo run --release -p bench -- run --api target/release/api --only list --set DATABASE_MAX_CONNECTIONS=40
//! cargo run --release -p bench -- flat --database postgres --large 1000000
//! cargo run --release -p bench -- live --sockets 10000 --idle 50000
//! cargo run --release -p bench -- report                       # everything, and docs/performance.md; 15 minutes
//! cargo run --release -p bench -- report --from docs/performance/results.json
//! ```
//!
//! It starts the service's release binary on a database that it makes and fills, either an SQLite file or a PostgreSQL
//! server of its own with `fsync` on, and drives it over HTTP. After each scenario it runs the same rows by one prepared
//! statement straight in the database, with the same number of connections; `ratio` is the service's rate in comparison.
//! CPU time is that of the processes, read from `/proc`; the load generator's is not in it.
//!
//! - [`load`] plans the data and fills the database.
//! - [`drive`] is the load generator; [`direct`] is the database alone.
//! - [`scenario`] has the requests and statements, and [`measure`] measures them.
//! - [`flat`] compares a small database with a large one, [`live`] measures sockets, [`little`] the rest.
//! - [`report`] writes the page.

mod build;
mod cli;
mod commands;
mod direct;
mod drive;
mod flat;
mod little;
mod live;
mod load;
mod machine;
mod measure;
mod postgres;
mod process;
mod report;
mod say;
mod scenario;
mod service;
mod stage;
mod table;
mod token;

use std::process::ExitCode;

use clap::Parser;

/// A failure, for the person at the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of what may fail.
pub type Result<T> = std::result::Result<T, Failure>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // What runs is dropped, and with it the processes and folders that it made.
    let done = tokio::select! {
        done = commands::run(cli.command) => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
