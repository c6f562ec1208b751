//! The settings that every service has, by section, and the documents that are generated from them. A setting is added
//! in one place: a field in [`settings!`](crate::settings).
//!
//! ```
//! use groundwork_web::service::settings::{Environment, ServiceSettings};
//!
//! let settings: ServiceSettings = Environment::new([("PORT", "9000")]).read().unwrap();
//! assert_eq!(settings.server.port, 9000);
//!
//! let wrong = Environment::new([("BCRYPT_COST", "99"), ("APP_ENV", "staging")]);
//! let errors = wrong.read::<ServiceSettings>().unwrap_err().to_string();
//! assert!(errors.contains("BCRYPT_COST must be a whole number from 4 to 20"));
//! assert!(errors.contains("APP_ENV must be development or production"));
//! ```

mod environment;
mod jwt_key;
mod nats_url;
pub mod reference;

use std::{fmt, path::PathBuf, time::Duration};

pub use environment::{Environment, FromEnvironment, Reader, Section, Setting, SettingsError};
use groundwork_auth::{Passwords, Policy};
use groundwork_core::{
    DatabaseUrl, DbOptions,
    db::{PostgresUrl, Synchronous},
};
pub use jwt_key::JwtKey;
pub use nats_url::{NatsCredentials, NatsUrl};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::http::cors::check_origin;

/// The settings of every service.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// The process.
    pub app: AppSettings,
    /// The HTTP server.
    pub server: ServerSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// Passwords and tokens.
    pub auth: AuthSettings,
    /// Live updates.
    pub realtime: RealtimeSettings,
}

crate::settings! {
    /// The process.
    #[title = "Process"]
    pub struct AppSettings {
        /// The environment of the service. In `production` it starts only with a `JWT_SECRET`, and logs JSON unless `LOG_FORMAT`
        /// is set.
        app_env: AppEnv = "development",
        /// The folder for the SQLite database and the JWT secret, if `DATABASE_URL` and `JWT_SECRET` are unset.
        data_dir: PathBuf = "data",
        /// The log level: one for all modules, and optionally others for single modules.
        log: LogFilter = "info",
        /// The format of the log. If unset, `json` in production and `text` otherwise.
        log_format: Option<LogFormat>,
    }
}

crate::settings! {
    /// The HTTP server.
    #[title = "Server"]
    pub struct ServerSettings {
        /// The address to listen on; `0.0.0.0` for all, as in a container.
        host: String = "127.0.0.1",
        /// The port to listen on; 0 for any free port.
        port: u16 = 8080,
        /// The number of threads that handle requests. If unset, the number of cores.
        workers: Option<usize> [1..=1024],
        /// The maximum size of a request body, in bytes.
        body_limit_bytes: usize [16_384..=16_777_216] = 65_536,
        /// The maximum number of connections of each thread. Further connections wait until one is closed.
        max_connections_per_worker: usize [1..=100_000] = 4096,
        /// How long a client may take to send the head of a request, to send its body, and to accept more of a response,
        /// in seconds.
        client_timeout_seconds: u64 [1..=300] = 15,
        /// How long a connection may be idle between two requests, in seconds.
        keep_alive_seconds: u64 [1..=3600] = 75,
        /// How long requests are still accepted after SIGTERM, while `/health/ready` returns 503, in seconds. A load
        /// balancer needs the time to notice; without one, use 0.
        shutdown_delay_seconds: u64 [0..=3600] = 0,
        /// How long requests in progress have to finish after that, in seconds.
        shutdown_timeout_seconds: u64 [0..=3600] = 30,
        /// The origins whose web pages may call the API, separated by commas: `https://chat.example.org`. `*` allows any
        /// origin. If unset, none is allowed.
        cors_origins: Vec<String>,
    }
}

crate::settings! {
    /// The database.
    #[title = "Database"]
    pub struct DatabaseSettings {
        /// `postgres://user:password@host:5432/name` or `sqlite://path/to/file.db`. If unset, an SQLite database in
        /// `DATA_DIR`, named after the service.
        database_url: Option<DatabaseUrl>,
        /// A standby server of the PostgreSQL database, which answers requests that only read, once it is as far as the
        /// primary. While it is behind or away, the primary answers.
        database_replica_url: Option<PostgresUrl>,
        /// PgBouncer in the mode `transaction` in front of the PostgreSQL database. Everything goes through it, except for
        /// migrations, health checks and reads of a replica.
        database_pooler_url: Option<PostgresUrl>,
        /// The maximum number of connections of this server to the database. Half of them read and half of them write;
        /// SQLite has one that writes. Health checks use one more, and so do migrations and the comparison with a replica. A
        /// replica gets as many as read, and two more.
        database_max_connections: u32 [2..=1000] = 20,
        /// How long a request waits for a free connection before it is refused with 503, in seconds.
        database_acquire_timeout_seconds: u64 [1..=300] = 5,
        /// How long a statement in a transaction may take, in seconds. Migrations have no limit.
        database_statement_timeout_seconds: u64 [1..=3600] = 30,
        /// How long a statement that only reads may take, in seconds.
        database_read_timeout_seconds: u64 [1..=3600] = 5,
        /// How long a statement waits for a lock of another transaction, in seconds. Less than
        /// `DATABASE_ACQUIRE_TIMEOUT_SECONDS`, so that waiting for one row does not use up all connections.
        database_lock_timeout_seconds: u64 [1..=300] = 2,
        /// How long a transaction may be idle before PostgreSQL ends it, in seconds. It frees the locks of a server that
        /// hangs.
        database_idle_in_transaction_timeout_seconds: u64 [1..=3600] = 10,
        /// When a commit of SQLite returns. `full`: when the data is on the disk, so that an acknowledged write survives a
        /// power failure. `normal`: when the operating system has the data; faster, but a power failure or a crash of the
        /// operating system may take the writes of the last moments.
        sqlite_synchronous: Synchronous = "full",
        /// Whether `serve` applies pending migrations first. Several servers may start at once: one applies them, the
        /// others wait.
        migrate_on_start: bool = true,
        /// How long events are kept, in days. A client that was away for longer loads its data afresh.
        event_retention_days: u64 [1..=3650] = 30,
    }
}

crate::settings! {
    /// Passwords and tokens.
    #[title = "Passwords and tokens"]
    pub struct AuthSettings {
        /// The secret that signs access tokens, unless `JWT_KEYS` says otherwise, and what servers send each other. The same on every
        /// server: `openssl rand -base64 48`. Required in production. If unset, one is generated and stored in `DATA_DIR`.
        jwt_secret: Option<Secret> [32..=4096],
        /// The keys that sign and verify access tokens: PEM files with an Ed25519 private key each, or `secret` for `JWT_SECRET`, the same
        /// on every server. The first one signs with `EdDSA`, or HS256 for `secret`; all verify. The public keys are at
        /// `/.well-known/jwks.json`.
        jwt_keys: Vec<JwtKey> = "secret",
        /// The `iss` claim of access tokens. If unset, the name of the service.
        jwt_issuer: Option<String>,
        /// The `aud` claim of access tokens. If unset, the name of the service.
        jwt_audience: Option<String>,
        /// The lifetime of an access token in minutes.
        access_token_minutes: u64 [1..=1440] = 15,
        /// How long a session lasts without being refreshed, in days.
        session_days: u64 [1..=365] = 30,
        /// For how long a refresh token that was just used gives the same new one again, in seconds: for a response that was lost,
        /// and for two tabs that refresh at once. Using it later ends the session. 0 for never.
        refresh_grace_seconds: u64 [0..=300] = 10,
        /// For how long a server remembers that a session is alive, and the profile of its user, in seconds; 0 for asking the
        /// database in each request. What ends or changes on this server takes effect at once, and what ends or changes on
        /// another one when this server reads of it in the event log. Where it can't, because the log is held back or the
        /// database is away, it takes effect after this time.
        session_cache_seconds: u64 [0..=300] = 5,
        /// The cost of bcrypt: each step doubles the time of a sign-in. Use values below 10 for tests only. After it was raised, the
        /// password of a user is hashed again at the next sign-in.
        bcrypt_cost: u32 [4..=20] = 12,
        /// The minimum length of new passwords, in characters. NIST SP 800-63B-4 asks for 15 where a password is all that a user
        /// signs in with.
        password_min_chars: usize [8..=64] = 8,
        /// Whether new passwords must contain a digit and an upper-case letter.
        password_composition: bool = false,
    }
}

crate::settings! {
    /// Live updates.
    #[title = "Realtime"]
    pub struct RealtimeSettings {
        /// The NATS server over which several servers tell each other of changes at once, or several of a NATS cluster,
        /// separated by commas. If unset, or while NATS is away, they find changes in the database, a little later.
        nats_url: Option<NatsUrl> [1..=4096],
        /// The longest time between two reads of the event log, in milliseconds. Events arrive at once; this is for those of
        /// other servers while NATS is away.
        realtime_poll_milliseconds: u64 [10..=60_000] = 1000,
        /// The maximum number of open live connections of a user on this server.
        realtime_max_connections_per_user: usize [1..=10_000] = 20,
        /// The maximum number of live connections to this server that have not authenticated yet.
        realtime_max_unauthenticated: usize [1..=1_000_000] = 1000,
        /// How long a live connection may take to authenticate, in seconds.
        realtime_auth_seconds: u64 [1..=300] = 10,
        /// How many frames per second a client may send. It may send twice as many at once.
        realtime_frames_per_second: u32 [1..=10_000] = 20,
        /// The maximum size of a frame of a client, in bytes.
        realtime_max_frame_bytes: usize [1024..=1_048_576] = 65_536,
        /// How many invalid frames a client may send before its connection is closed.
        realtime_max_invalid_frames: u32 [0..=10_000] = 10,
        /// How many frames may wait for a slow client before its connection is closed.
        realtime_queue_frames: usize [1..=100_000] = 512,
        /// The interval of pings to a client, in seconds. A client that sends nothing for twice this time is disconnected.
        realtime_heartbeat_seconds: u64 [1..=600] = 25,
    }
}

/// The environment of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppEnv {
    /// A developer's machine.
    Development,
    /// A production server.
    Production,
}

/// The filter of the log, in the syntax of `tracing_subscriber::EnvFilter`, without spans and fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// Returns the directives, separated by commas.
    pub fn directives(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LogFilter {
    type Error = &'static str;

    /// Unlike `EnvFilter`, this does not take an unknown level for the name of a module.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_level = |level: &str| level.parse::<LevelFilter>().is_ok();
        let is_module = |module: &str| {
            !module.is_empty() && module.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
        };
        let is_directive = |directive: &str| match directive.split_once('=') {
            Some((module, level)) => is_module(module) && is_level(level),
            None => is_level(directive),
        };
        if text.split(',').all(|directive| is_directive(directive.trim())) {
            return Ok(Self(text));
        }
        Err(
            "be off, error, warn, info, debug or trace, and may add module=level, as in `info,groundwork_auth=debug`",
        )
    }
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines of text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A text that is not shown by `Debug`.
#[derive(Clone, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl FromEnvironment for ServiceSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let app = AppSettings::read(reader);
        let server = ServerSettings::read(reader);
        let database = DatabaseSettings::read(reader);
        let auth = AuthSettings::read(reader);
        let realtime = RealtimeSettings::read(reader);
        let settings =
            Self { app: app?, server: server?, database: database?, auth: auth?, realtime: realtime? };
        if settings.is_production() && settings.auth.jwt_secret.is_none() {
            reader.refuse("JWT_SECRET", "be set in production; generate one with `openssl rand -base64 48`");
        }
        let database = &settings.database;
        if database.database_url.as_ref().is_none_or(DatabaseUrl::is_sqlite) {
            for (name, is_set) in [
                ("DATABASE_REPLICA_URL", database.database_replica_url.is_some()),
                ("DATABASE_POOLER_URL", database.database_pooler_url.is_some()),
            ] {
                if is_set {
                    reader.refuse(name, "be unset, unless DATABASE_URL is that of a PostgreSQL database");
                }
            }
        }
        for entry in &settings.server.cors_origins {
            if let Err(reason) = check_origin(entry) {
                let rule = "contain origins such as `https://chat.example.org`, separated by commas, or `*`";
                reader.refuse("CORS_ORIGINS", &format!("{rule}; {entry:?} {reason}"));
            }
        }
        Some(settings)
    }

    fn sections() -> Vec<Section> {
        let sections = [
            AppSettings::sections(),
            ServerSettings::sections(),
            DatabaseSettings::sections(),
            AuthSettings::sections(),
            RealtimeSettings::sections(),
        ];
        sections.concat()
    }
}

impl ServiceSettings {
    /// Returns whether `APP_ENV` is `production`.
    pub fn is_production(&self) -> bool {
        self.app.app_env == AppEnv::Production
    }

    /// Returns the URL of the database: `DATABASE_URL`, or the file in `DATA_DIR`, which is named after the service.
    pub fn database_url(&self, service: &str) -> DatabaseUrl {
        let in_data_dir = || DatabaseUrl::sqlite_file(self.app.data_dir.join(format!("{service}.db")));
        self.database.database_url.clone().unwrap_or_else(in_data_dir)
    }

    /// Returns the options for opening the database.
    pub fn database_options(&self, service: &str) -> DbOptions {
        let database = &self.database;
        DbOptions {
            replica: database.database_replica_url.clone(),
            pooler: database.database_pooler_url.clone(),
            max_connections: database.database_max_connections,
            acquire_timeout: Duration::from_secs(database.database_acquire_timeout_seconds),
            statement_timeout: Duration::from_secs(database.database_statement_timeout_seconds),
            read_timeout: Duration::from_secs(database.database_read_timeout_seconds),
            lock_timeout: Duration::from_secs(database.database_lock_timeout_seconds),
            idle_in_transaction_timeout: Duration::from_secs(
                database.database_idle_in_transaction_timeout_seconds,
            ),
            synchronous: database.sqlite_synchronous,
            ..DbOptions::for_url(self.database_url(service))
        }
    }

    /// Returns what hashes and checks passwords.
    pub fn passwords(&self) -> groundwork_core::Result<Passwords> {
        let auth = &self.auth;
        let policy = Policy { min_chars: auth.password_min_chars, composition: auth.password_composition };
        Ok(Passwords::new(auth.bcrypt_cost)?.with_policy(policy))
    }

    /// Returns for how long sessions and profiles are remembered.
    pub fn session_cache(&self) -> Duration {
        Duration::from_secs(self.auth.session_cache_seconds)
    }

    /// Returns whether the database is the file in `DATA_DIR`.
    pub fn is_embedded(&self) -> bool {
        self.database.database_url.is_none()
    }
}
