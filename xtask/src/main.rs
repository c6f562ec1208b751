//! `cargo xtask`: generators.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod edit;
mod resource;
mod service;
mod spec;

/// Generators for services built on the groundwork libraries
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Generate a resource: table, request and response types, operations and a test
    NewResource {
        /// Name of the resource as a type, for example Note
        name: String,
        /// Fields as name:type, for example title:string body:text? pinned:bool. Types: string, text, bool, int, uuid,
        /// time. A trailing `?` allows null
        #[arg(required = true)]
        fields: Vec<String>,
        /// Crate of the service [default: the current folder if it is a service, else crates/api]
        #[arg(long)]
        service: Option<PathBuf>,
    },
    /// Generate a service with accounts, a first resource and tests, in a new folder
    NewService {
        /// New folder; its last component is the name of the service
        path: PathBuf,
        /// Copy the messenger's users, threads and messages into the service
        #[arg(long)]
        with_messenger: bool,
        /// Take the libraries from this git repository instead of this folder
        #[arg(long)]
        git: Option<String>,
    },
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the output of a command")]
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
