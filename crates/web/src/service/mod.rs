//! Starts and stops a service.
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

pub(crate) mod connection;
pub mod health;
pub mod housekeeping;
pub mod migrate;
pub mod secret;
pub mod server;
pub mod settings;
pub mod upgrade;

use std::{
    error::Error,
    fs,
    io::{self, IsTerminal, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use actix_web::App;
use groundwork_auth::{AccessTokens, Accounts, Auth, Groups, Lifetimes, SigningKey};
use groundwork_core::{
    Db, db,
    events::{self, Observers},
};
use sea_orm_migration::MigratorTrait;
use tracing_subscriber::EnvFilter;

use crate::{
    AppEntry, WebAppOptions,
    http::extract::BodyLimit,
    openapi::About,
    service::health::Probe,
    service::server::ServerOptions,
    service::settings::{JwtKey, LogFormat, Secret, ServiceSettings},
};

/// A service: its names and its settings.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The name in `kebab-case`: also the name of the SQLite file, and the default issuer of tokens.
    pub name: &'a str,
    /// The name for people.
    pub title: &'a str,
    /// Its settings.
    pub settings: &'a ServiceSettings,
}

/// The reason why a service did not start: a sentence for the operator, which names the setting that is the cause, if any.
pub type StartError = Box<dyn Error>;

impl Service<'_> {
    /// Starts logging to standard error, as the settings define. Call it once in a process.
    ///
    /// # Errors
    /// If the process already logs.
    pub fn log(&self) -> Result<(), StartError> {
        let app = &self.settings.app;
        // PostgreSQL's notices ("already exists, skipping") are logged only on request, and so is each attempt to reach
        // NATS.
        let filter = EnvFilter::try_new(format!("sqlx=warn,async_nats=off,{}", app.log.directives()))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        let json = app.log_format == Some(LogFormat::Json)
            || app.log_format.is_none() && self.settings.is_production();
        if json {
            let log = log.json().flatten_event(true).with_span_list(false);
            log.try_init().map_err(|error| error.to_string())?;
        } else {
            let log = log.with_ansi(io::stderr().is_terminal()).with_target(false);
            log.try_init().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Opens the database. Creates the data folder if it does not exist.
    pub async fn open(&self) -> Result<Db, StartError> {
        if self.settings.is_embedded() {
            prepare_data_dir(&self.settings.app.data_dir)?;
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

    /// Applies the pending migrations, or checks that there are none, as the settings say. Then begins the event log afresh
    /// if the database was moved to another server, see [`events::adopt`].
    ///
    /// # Errors
    /// If migrations are pending and `MIGRATE_ON_START` is false, and if a newer version has changed the schema.
    pub async fn prepare<M: MigratorTrait>(&self, db: &Db) -> Result<(), StartError> {
        if self.settings.database.migrate_on_start {
            let applied = migrate::up::<M>(db).await.map_err(|error| cause(&error))?;
            tracing::info!(applied, "the schema is up to date");
        } else {
            let migrations = migrate::status::<M>(db).await.map_err(|error| cause(&error))?;
            if migrations.iter().any(|(_, applied)| !applied) {
                return Err("migrations are pending; run `migrate up`, or set MIGRATE_ON_START=true".into());
            }
        }
        events::adopt(db).await.map_err(|error| cause(&error))?;
        Ok(())
    }

    /// Returns the secret that signs access tokens: `JWT_SECRET`, or the one stored in the data folder.
    pub fn jwt_secret(&self) -> Result<Secret, StartError> {
        if let Some(secret) = &self.settings.auth.jwt_secret {
            return Ok(secret.clone());
        }
        prepare_data_dir(&self.settings.app.data_dir)?;
        let folder = &self.settings.app.data_dir;
        secret::keep(folder).map_err(|error| format!("DATA_DIR {}: {error}", folder.display()).into())
    }

    /// Creates the authentication of the service's users, as the settings say. `observers` are those of the database.
    pub fn auth<A: Accounts>(
        &self,
        observers: &Observers,
        accounts: A,
        groups: Groups,
        secret: &Secret,
    ) -> groundwork_core::Result<Auth<A>> {
        let settings = &self.settings.auth;
        let key = |key: &JwtKey| match key {
            JwtKey::Secret => SigningKey::from_secret(secret.expose().as_bytes()),
            JwtKey::Pem(key) => Ok(SigningKey::clone(key)),
        };
        let access = AccessTokens::with_keys(
            settings.jwt_keys.iter().map(key).collect::<Result<_, _>>()?,
            settings.jwt_issuer.as_deref().unwrap_or(self.name),
            settings.jwt_audience.as_deref().unwrap_or(self.name),
            Duration::from_mins(settings.access_token_minutes),
        )?;
        let passwords = self.settings.passwords()?;
        let lifetimes = Lifetimes {
            session: Duration::from_hours(24 * settings.session_days),
            grace: Duration::from_secs(settings.refresh_grace_seconds),
        };
        let auth = Auth::new(accounts, passwords, access, groups, lifetimes);
        Ok(auth.remembering(observers, self.settings.session_cache()))
    }

    /// Returns the options of the web app, as the settings say.
    pub fn web_app_options(&self, about: About) -> WebAppOptions {
        WebAppOptions {
            about,
            body_limit: BodyLimit {
                bytes: self.settings.server.body_limit_bytes,
                timeout: Duration::from_secs(self.settings.server.client_timeout_seconds),
            },
            cors_origins: self.settings.server.cors_origins.clone(),
        }
    }

    /// Listens and serves `app` until the process receives a signal to stop, then waits for requests in progress.
    pub async fn run<F, S>(&self, db: Db, probe: Probe, app: F) -> Result<(), StartError>
    where
        F: Fn() -> App<S> + Clone + Send + 'static,
        S: AppEntry,
    {
        let server = &self.settings.server;
        let listener = TcpListener::bind((server.host.as_str(), server.port)).map_err(|error| {
            format!("can't listen on HOST {}, PORT {}: {error}", server.host, server.port)
        })?;
        if self.settings.is_production() && self.settings.database_url(self.name).is_sqlite() {
            tracing::warn!(
                "the database is SQLite: only one server can use it, and a backup has to be made on this machine; \
                 set DATABASE_URL to use PostgreSQL"
            );
        }
        #[cfg(unix)]
        {
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
            raise_file_limit(server.workers.unwrap_or_else(cores) * server.max_connections_per_worker);
        }
        // Before the address is announced: a signal to stop may follow at once.
        let stop = server::stop_signals()?;
        self.announce(&listener)?;
        let options = ServerOptions {
            workers: server.workers,
            max_connections: server.max_connections_per_worker,
            keep_alive: Duration::from_secs(server.keep_alive_seconds),
            client_timeout: Duration::from_secs(server.client_timeout_seconds),
            shutdown_delay: Duration::from_secs(server.shutdown_delay_seconds),
            shutdown_timeout: Duration::from_secs(server.shutdown_timeout_seconds),
        };
        let keep_events = Duration::from_hours(24 * self.settings.database.event_retention_days);
        let clearing = tokio::spawn(housekeeping::run(db.clone(), keep_events));
        let ended = server::serve(listener, options, probe, app, stop).await;
        clearing.abort();
        // Requests in progress still hold connections then.
        if !matches!(&ended, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
            db.close().await?;
        }
        ended?;
        tracing::info!("stopped");
        Ok(())
    }

    /// Announces the address: in production as an event in the log, otherwise on standard output.
    fn announce(&self, listener: &TcpListener) -> Result<(), StartError> {
        let address = listener.local_addr()?;
        if self.settings.is_production() {
            tracing::info!(%address, "listening");
            return Ok(());
        }
        let embedded = self.settings.is_embedded();
        let database = if embedded {
            self.settings.database_url(self.name).to_string()
        } else {
            "DATABASE_URL".to_owned()
        };
        let told = writeln!(
            io::stdout(),
            "{} listens on http://{address} (database: {database})\nThe documentation is at http://{address}/docs",
            self.title
        );
        if let Err(error) = told {
            tracing::debug!(%error, "standard output is closed");
        }
        Ok(())
    }
}

/// The text of an error for the operator, without its code.
fn cause(error: &groundwork_core::Error) -> String {
    match error {
        groundwork_core::Error::Internal(cause) => cause.to_string(),
        error => error.to_string(),
    }
}

/// Creates the data folder if it does not exist, and checks that files can be created in it. Only the user who runs the
/// service may enter it, even if it existed.
fn prepare_data_dir(folder: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = builder.create(folder);
    created.map_err(|error| format!("DATA_DIR {} can't be created: {error}", folder.display()))?;
    #[cfg(unix)]
    restrict(folder);
    let file = folder.join(format!(".writable-{}", std::process::id()));
    fs::write(&file, "")
        .map_err(|error| format!("DATA_DIR {} is not writable: {error}", folder.display()))?;
    // Another server over the same folder may have removed it.
    let _ = fs::remove_file(&file);
    Ok(())
}

/// A folder of another owner, such as a Kubernetes volume, cannot be restricted. The files in it are restricted anyway.
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

/// Raises the limit of open files to what the connections need, as far as the system allows. The usual limit of 1024 is
/// reached long before the bound on connections, and then nobody can connect.
#[cfg(unix)]
fn raise_file_limit(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Files other than those of connections: of the database and of the process.
    const OTHERS: u64 = 1024;
    // Each connection has a second handle, which its watch closes it with.
    let needed = 2 * connections as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let reached = maximum.map_or(needed, |maximum| maximum.min(needed));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(reached), maximum }) {
        tracing::warn!(%error, "the limit of open files was not raised");
    } else if reached < needed {
        tracing::warn!(
            limit = reached,
            needed,
            "the limit of open files is low: raise it, or lower MAX_CONNECTIONS_PER_WORKER"
        );
    }
}
