//! `cargo xtask`: generators.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod edit;
mod resource;
mod service;
mod spec;

/// Generators for services that are built from the messenger's library crates.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write a new resource: its table, what comes in and goes out, its operations and a test
    NewResource {
        /// Its name, as a type: Note
        name: String,
        /// Its fields: title:string body:text? pinned:bool. Types: string, text, bool, int, uuid, time; `?` for one that
        /// may be null
        #[arg(required = true)]
        fields: Vec<String>,
        /// The service's crate; this folder where it is one, and crates/api otherwise
        #[arg(long)]
        service: Option<PathBuf>,
    },
    /// Make a new service: accounts and a first resource, with tests, in a folder of its own
    NewService {
        /// The folder, which must not be there yet; its last part is the service's name
        path: PathBuf,
        /// With the messenger: threads and messages, to be changed
        #[arg(long)]
        with_messenger: bool,
        /// Take the library crates from this git repository rather than from this folder
        #[arg(long)]
        git: Option<String>,
    },
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "for the person who asked")]
fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::NewResource { name, fields, service } => {
            let service = service.unwrap_or_else(resource::default_service);
            spec::Resource::parse(&name, &fields).and_then(|spec| resource::write(&service, &spec))
        }
        Task::NewService { path, with_messenger, git } => {
            service::make(&path, with_messenger, git.as_deref())
        }
    };
    match done {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\nNothing was changed.");
            ExitCode::FAILURE
        }
    }
}
