//! The command line.

use std::{
    error::Error,
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use groundwork_auth::set_password;
use groundwork_core::{FieldErrors, Validate};
use groundwork_web::service::migrate::{self, Reversal};
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
    Serve {
        /// Leave out the messenger's page at `/`, as `PAGE=false` does
        #[arg(long)]
        no_page: bool,
    },
    /// Apply, revert or list migrations of the database
    #[command(subcommand)]
    Migrate(Migrate),
    /// Create a superuser. Prompts for the password, or reads it from standard input
    CreateSuperuser {
        /// The username: 3 to 50 letters, digits, '_', '.' and '-'
        username: String,
        /// An email address, which can be used to sign in too
        #[arg(long)]
        email: Option<String>,
    },
    /// Give a user another password, and end their sessions. Prompts for the password, or reads it from standard input
    SetPassword {
        /// The username or the e-mail address
        user: String,
    },
    /// Write a consistent copy of the SQLite database to a new file, also while the server runs
    Backup {
        /// The file to create; an existing one is not overwritten
        file: PathBuf,
    },
    /// Create demo users, threads and messages (not in production)
    Seed,
    /// Print the OpenAPI document
    Openapi,
    /// Print the AsyncAPI document
    Asyncapi,
    /// Print the reference of all settings in Markdown
    Settings {
        /// Write docs/settings.md, .envs/.local and .envs/.production in the current directory instead
        #[arg(long)]
        write: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Apply the pending migrations
    Up,
    /// Revert the last migrations, which deletes the data in the tables that they created
    Down {
        /// The number of migrations to revert
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        steps: u32,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// List the migrations, and whether each is applied
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
    match cli.command.unwrap_or(Command::Serve { no_page: false }) {
        Command::Openapi => println!("{}", app::openapi()?.as_str()),
        Command::Asyncapi => println!("{}", app::asyncapi()?.as_str()),
        Command::Settings { write: false } => print!("{}", settings::markdown()),
        Command::Settings { write: true } => {
            for path in settings::write(Path::new("."))? {
                println!("Wrote {}", path.display());
            }
        }
        command => {
            let mut settings = Settings::from_env()?;
            settings.service().log()?;
            match command {
                Command::Migrate(what) => migrate(&settings, &what).await?,
                Command::CreateSuperuser { username, email } => {
                    create_superuser(&settings, username, email).await?;
                }
                Command::SetPassword { user } => set_password_of(&settings, &user).await?,
                Command::Backup { file } => backup(&settings, &file).await?,
                Command::Seed => seed(&settings).await?,
                Command::Serve { no_page } => {
                    settings.messenger.page &= !no_page;
                    serve::serve(&settings).await?;
                }
                Command::Openapi | Command::Asyncapi | Command::Settings { .. } => {}
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn migrate(settings: &Settings, what: &Migrate) -> Result<(), Box<dyn Error>> {
    let db = settings.service().open().await?;
    match what {
        Migrate::Up => println!("{} applied", migrate::up::<Migrator>(&db).await.map_err(explain)?),
        Migrate::Down { steps, yes } => {
            let reversal = migrate::preview_down::<Migrator>(&db, *steps).await.map_err(explain)?;
            print_reversal(&reversal);
            if !reversal.migrations.is_empty() {
                if !yes {
                    confirm()?;
                }
                println!("{} reverted", migrate::down::<Migrator>(&db, *steps).await.map_err(explain)?);
            }
        }
        Migrate::Status => {
            for (name, applied) in migrate::status::<Migrator>(&db).await.map_err(explain)? {
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
fn print_reversal(reversal: &Reversal) {
    if reversal.migrations.is_empty() {
        println!("No migration is applied");
    }
    for migration in &reversal.migrations {
        println!("Reverts {migration}");
    }
    for (table, rows) in &reversal.tables {
        println!("Drops the table {table} ({rows} rows)");
    }
}

/// Asks on the terminal. Errors: without a terminal, and for another answer than "yes".
#[expect(clippy::print_stderr, reason = "a prompt")]
fn confirm() -> Result<(), Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Err("reverting deletes data; without a terminal, confirm with --yes".into());
    }
    eprint!("Revert and delete this data? Type \"yes\" to continue: ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "yes" { Ok(()) } else { Err("not confirmed; nothing was changed".into()) }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn create_superuser(
    settings: &Settings,
    username: String,
    email: Option<String>,
) -> Result<(), Box<dyn Error>> {
    let password = read_password()?;
    let (username, email) = (username.into(), email.map(Into::into));
    let user = NewUser { username, password, email, first_name: None, last_name: None };
    let passwords = settings.passwords()?;
    let mut errors = FieldErrors::new();
    user.validate(&mut errors);
    passwords.policy().check("password", &user.password, &mut errors);
    errors.into_result().map_err(explain)?;
    let db = settings.service().open().await?;
    migrate::up::<Migrator>(&db).await?;
    let password_hash = passwords.hash(&user.password).await?;
    let account = NewAccount { user, password_hash, group: PermissionGroup::Superuser };
    let create = async |tx: &_| Users::default().create_account(tx, account).await;
    let created = db.write(create).await.map_err(explain)?;
    println!("Created the superuser {} (id {})", created.username, created.id);
    Ok(db.close().await?)
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn set_password_of(settings: &Settings, login: &str) -> Result<(), Box<dyn Error>> {
    let password = read_password()?;
    let db = settings.service().open().await?;
    let users = Users::default();
    let found = users.find_by_login(db.reader(), login).await?;
    let user = found.ok_or_else(|| format!("there is no user {login}"))?;
    let passwords = settings.passwords()?;
    set_password(&users, &passwords, &db, user.id, &password).await.map_err(explain)?;
    println!("Changed the password of {} (id {}), and ended their sessions", user.username, user.id);
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
    let refusal = match &error {
        groundwork_core::Error::Refused(refusal) => refusal,
        groundwork_core::Error::Internal(cause) => return cause.to_string().into(),
        groundwork_core::Error::Database(_) => return error.into(),
    };
    let errors = refusal.field_errors.iter().map(|error| format!("\n  {}: {}", error.field, error.message));
    format!("{}{}", refusal.detail, errors.collect::<String>()).into()
}
