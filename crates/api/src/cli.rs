//! The command line.

use std::{
    error::Error,
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use groundwork_auth::Passwords;
use groundwork_web::service::migrate;
use messenger_domain::{
    Users,
    users::{NewAccount, NewUser, PermissionGroup},
};

use crate::{
    app,
    migrations::Migrator,
    seed, serve,
    settings::{self, Settings},
};

/// Actix Messenger. Settings come from the environment; see docs/settings.md.
#[derive(Debug, Parser)]
#[command(name = "api", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Change the database's schema
    #[command(subcommand)]
    Migrate(Migrate),
    /// Create a superuser. Prompts for the password, or reads it from standard input
    CreateSuperuser {
        /// 3 to 50 of letters, digits, '_', '.' and '-'
        username: String,
        /// An e-mail address to sign in with as well
        #[arg(long)]
        email: Option<String>,
    },
    /// Write a consistent copy of the SQLite database to a new file, also while the server runs
    Backup {
        /// The file to create; an existing one is not overwritten
        file: PathBuf,
    },
    /// Add a small demo of users, threads and messages (not in production)
    Seed,
    /// Print the OpenAPI document
    Openapi,
    /// Print the reference of all settings in Markdown
    Settings {
        /// Write docs/settings.md, .envs/.local and .envs/.production in the current directory instead
        #[arg(long)]
        write: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Apply every migration that is missing
    Up,
    /// Take back the last migrations, WITH THE DATA in what they made
    Down {
        /// How many
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        steps: u32,
    },
    /// List the migrations, and which are applied
    Status,
}

/// Runs the command line of this process.
#[expect(clippy::print_stderr, reason = "for the person who started it")]
pub async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Openapi => println!("{}", app::openapi()?.as_str()),
        Command::Settings { write: false } => print!("{}", settings::markdown()),
        Command::Settings { write: true } => {
            for path in settings::write(Path::new("."))? {
                println!("Wrote {}", path.display());
            }
        }
        command => {
            let settings = Settings::from_env()?;
            settings.service().log()?;
            match command {
                Command::Migrate(what) => migrate(&settings, &what).await?,
                Command::CreateSuperuser { username, email } => {
                    create_superuser(&settings, username, email).await?;
                }
                Command::Backup { file } => backup(&settings, &file).await?,
                Command::Seed => seed(&settings).await?,
                _ => serve::serve(&settings).await?,
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn migrate(settings: &Settings, what: &Migrate) -> Result<(), Box<dyn Error>> {
    let db = settings.service().open().await?;
    match what {
        Migrate::Up => println!("{} applied", migrate::up::<Migrator>(&db).await?),
        Migrate::Down { steps } => println!("{} taken back", migrate::down::<Migrator>(&db, *steps).await?),
        Migrate::Status => {
            for (name, applied) in migrate::status::<Migrator>(&db).await? {
                println!("{name}  {}", if applied { "applied" } else { "pending" });
            }
        }
    }
    Ok(db.close().await?)
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn backup(settings: &Settings, file: &Path) -> Result<(), Box<dyn Error>> {
    settings.service().backup(file).await?;
    println!("The database is copied to {}", file.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn create_superuser(
    settings: &Settings,
    username: String,
    email: Option<String>,
) -> Result<(), Box<dyn Error>> {
    let password = read_password()?;
    let user = NewUser { username, password, email, first_name: None, last_name: None };
    groundwork_core::Validate::check(&user).map_err(explain)?;
    let db = settings.service().open().await?;
    migrate::up::<Migrator>(&db).await?;
    let password_hash = Passwords::new(settings.auth.bcrypt_cost)?.hash(&user.password).await?;
    let account = NewAccount { user, password_hash, group: PermissionGroup::Superuser };
    let create = async |tx: &_| Users::default().create_account(tx, account).await;
    let created = db.write(create).await.map_err(explain)?;
    println!("Created the superuser {} (id {})", created.username, created.id);
    Ok(db.close().await?)
}

fn read_password() -> Result<String, Box<dyn Error>> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Repeat the password: ")? != password {
            return Err("the passwords differ".into());
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn seed(settings: &Settings) -> Result<(), Box<dyn Error>> {
    if settings.is_production() {
        return Err("seed is not available in production: it creates users with a known password".into());
    }
    let db = settings.service().open().await?;
    migrate::up::<Migrator>(&db).await?;
    println!("{}", seed::seed(&db, settings.auth.bcrypt_cost).await.map_err(explain)?);
    Ok(db.close().await?)
}

/// A refusal with its errors, for a terminal.
fn explain(error: groundwork_core::Error) -> Box<dyn Error> {
    let groundwork_core::Error::Refused(refusal) = &error else {
        return error.into();
    };
    let errors = refusal.field_errors.iter().map(|error| format!("\n  {}: {}", error.field, error.message));
    format!("{}{}", refusal.detail, errors.collect::<String>()).into()
}
