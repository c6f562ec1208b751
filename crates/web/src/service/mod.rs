//! Starting a service, and stopping it.
//!
//! ```no_run
//! # use sea_orm_migration::MigratorTrait;
//! # async fn example<M: MigratorTrait>() -> Result<(), groundwork_web::service::StartError> {
//! use groundwork_web::{ServiceSettings, Service, service::settings::Environment};
//!
//! let settings: ServiceSettings = Environment::of_process().read()?;
//! let startup = Service { name: "notes", title: "Notes", settings: &settings };
//! startup.log()?;
//! let db = startup.open().await?;
//! startup.prepare::<M>(&db).await?;
//! # Ok(())
//! # }
//! ```

pub mod health;
pub mod housekeeping;
pub mod migrate;
pub mod secret;
pub mod server;
pub mod settings;

use std::{
    error::Error,
    fs,
    io::{self, IsTerminal, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use actix_web::{
    App,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
};
use groundwork_auth::{AccessTokens, Accounts, Auth, Groups, Passwords};
use groundwork_core::{Db, db};
use sea_orm_migration::MigratorTrait;
use tracing_subscriber::EnvFilter;

use crate::{
    WebAppOptions,
    http::extract::BodyLimit,
    openapi::About,
    service::health::Probe,
    service::server::ServerOptions,
    service::settings::{LogFormat, Secret, ServiceSettings},
};

/// A service by its name, which its embedded database and its tokens carry.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The name, in `kebab-case`.
    pub name: &'a str,
    /// What it is called, for people.
    pub title: &'a str,
    /// Its settings.
    pub settings: &'a ServiceSettings,
}

/// What kept a service from starting: a sentence for the person who starts it, naming the setting where one is to blame.
pub type StartError = Box<dyn Error>;

impl Service<'_> {
    /// Begins to log, to standard error, as the settings say. Once in a process.
    pub fn log(&self) -> Result<(), StartError> {
        let app = &self.settings.app;
        // PostgreSQL's notices ("already exists, skipping") are for who asks for them.
        let directives = format!("sqlx=warn,{}", app.log);
        let filter = EnvFilter::try_new(directives).map_err(|error| format!("LOG: {error}"))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        let log = log.with_ansi(io::stderr().is_terminal());
        match app.log_format {
            Some(LogFormat::Json) => log.json().init(),
            None if self.settings.is_production() => log.json().init(),
            _ => log.with_target(false).init(),
        }
        Ok(())
    }

    /// Opens the database, making the data folder where it isn't there.
    pub async fn open(&self) -> Result<Db, StartError> {
        if self.settings.is_embedded() {
            make_folder(&self.settings.app.data_dir)?;
        }
        let options = self.settings.database_options(self.name);
        Db::open(&options)
            .await
            .map_err(|error| format!("DATABASE_URL can't be opened: {}", cause(&error)).into())
    }

    /// Writes a consistent copy of the SQLite database to a new file, also while a server uses it.
    pub async fn backup(&self, to: &Path) -> Result<(), StartError> {
        let url = self.settings.database_url(self.name);
        if !url.is_sqlite() {
            return Err(
                "the database is PostgreSQL, which is backed up with pg_dump; see deploy/README.md".into()
            );
        }
        db::backup(&url, to).await.map_err(|error| cause(&error).into())
    }

    /// Brings the schema up to date, or makes sure that it is, as the settings say.
    pub async fn prepare<M: MigratorTrait>(&self, db: &Db) -> Result<(), StartError> {
        if self.settings.database.migrate_on_start {
            let applied = migrate::up::<M>(db).await?;
            tracing::info!(applied, "the schema is up to date");
        } else if migrate::status::<M>(db).await?.iter().any(|(_, applied)| !applied) {
            return Err("the schema is not up to date; run `migrate up`, or set MIGRATE_ON_START=true".into());
        }
        Ok(())
    }

    /// The secret that signs access tokens: the one that is set, or the one that is kept in the data folder.
    pub fn jwt_secret(&self) -> Result<Secret, StartError> {
        if let Some(secret) = &self.settings.auth.jwt_secret {
            return Ok(secret.clone());
        }
        make_folder(&self.settings.app.data_dir)?;
        Ok(secret::keep(&self.settings.app.data_dir)?)
    }

    /// Signing up, in and out as the settings say, over the service's users.
    pub fn auth<A: Accounts>(
        &self,
        accounts: A,
        groups: Groups,
        secret: &Secret,
    ) -> groundwork_core::Result<Auth<A>> {
        let settings = &self.settings.auth;
        let access = AccessTokens::new(
            secret.expose().as_bytes(),
            settings.jwt_issuer.as_deref().unwrap_or(self.name),
            settings.jwt_audience.as_deref().unwrap_or(self.name),
            Duration::from_mins(settings.access_token_minutes),
        )?;
        let passwords = Passwords::new(settings.bcrypt_cost)?;
        Ok(Auth::new(accounts, passwords, access, groups, Duration::from_hours(24 * settings.session_days)))
    }

    /// What the settings say of the shell.
    pub fn web_app_options(&self, about: About) -> WebAppOptions {
        WebAppOptions {
            about,
            body_limit: BodyLimit(self.settings.server.body_limit_bytes),
            cors_origins: self.settings.server.cors_origins.clone(),
        }
    }

    /// Listens, says where, and serves `app` until the process is told to stop; then lets what is under way finish.
    pub async fn run<F, S>(&self, db: Db, probe: Probe, app: F) -> Result<(), StartError>
    where
        F: Fn() -> App<S> + Clone + Send + 'static,
        S: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<BoxBody>,
                Error = actix_web::Error,
                InitError = (),
            > + 'static,
    {
        let server = &self.settings.server;
        let listener = TcpListener::bind((server.host.as_str(), server.port)).map_err(|error| {
            format!("HOST {} and PORT {} can't be listened on: {error}", server.host, server.port)
        })?;
        self.announce(&listener)?;
        let options = ServerOptions {
            workers: server.workers,
            shutdown_timeout: Duration::from_secs(server.shutdown_timeout_seconds),
            ..ServerOptions::default()
        };
        let clearing = tokio::spawn(housekeeping::run(db.clone()));
        let ended = server::serve(listener, options, probe, app, server::stop_signal()).await;
        clearing.abort();
        db.close().await?;
        tracing::info!("stopped");
        Ok(ended?)
    }

    /// Says where, on standard output. Where nobody listens to that, the service runs all the same.
    fn announce(&self, listener: &TcpListener) -> Result<(), StartError> {
        let address = listener.local_addr()?;
        let embedded = self.settings.is_embedded();
        let database = if embedded {
            self.settings.database_url(self.name).to_string()
        } else {
            "DATABASE_URL".to_owned()
        };
        let told = writeln!(
            io::stdout(),
            "{} listens on http://{address} (database: {database})\nIts documentation is at http://{address}/docs",
            self.title
        );
        if let Err(error) = told {
            tracing::debug!(%error, "standard output is closed");
        }
        Ok(())
    }
}

/// The text of an error for the person at the terminal, without its code.
fn cause(error: &groundwork_core::Error) -> String {
    match error {
        groundwork_core::Error::Internal(cause) => cause.to_string(),
        error => error.to_string(),
    }
}

/// Creates the data folder where there is none. Only the user who runs the service may enter it, also where it existed.
fn make_folder(folder: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = builder.create(folder);
    created.map_err(|error| format!("DATA_DIR {} can't be created: {error}", folder.display()))?;
    #[cfg(unix)]
    restrict(folder);
    Ok(())
}

/// A folder of another owner, such as a volume of Kubernetes, can't be restricted. Its files are all the same.
#[cfg(unix)]
fn restrict(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder).map_or(0, |found| found.permissions().mode() & 0o777);
    if mode != 0o700
        && let Err(error) = fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    {
        tracing::warn!(%error, folder = %folder.display(), "other users may enter DATA_DIR");
    }
}
