//! The settings that every service has, by section, from the environment; and the reference that is made from them.
//!
//! ```
//! use groundwork_web::service::settings::{Environment, ServiceSettings};
//!
//! let set = |name: &str, value: &str| Environment::new([(name.to_owned(), value.to_owned())]);
//! let settings = ServiceSettings::read(&set("PORT", "9000")).unwrap();
//! assert_eq!(settings.server.port, 9000);
//! let error = ServiceSettings::read(&set("BCRYPT_COST", "99")).unwrap_err();
//! assert!(error.to_string().contains("BCRYPT_COST"));
//! ```

use std::{fmt, path::PathBuf, time::Duration};

use groundwork_auth::token::MIN_SECRET_BYTES;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// The variables that are set. An empty one counts as unset.
#[derive(Clone)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Those of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self::new(std::env::vars())
    }

    /// These.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The settings of one section. Errors: a value that can't be read, by its variable's name.
    pub fn section<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        envy::from_iter(self.0.iter().cloned()).map_err(|error| SettingsError(error.to_string()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// What every service is set by.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// How it runs.
    pub app: AppSettings,
    /// Where it listens.
    pub server: ServerSettings,
    /// Where the data is.
    pub database: DatabaseSettings,
    /// Passwords and tokens.
    pub auth: AuthSettings,
}

/// How it runs.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AppSettings {
    /// `development` or `production`. In production the server starts only with a `JWT_SECRET`, and logs JSON unless
    /// `LOG_FORMAT` says otherwise.
    #[serde(default)]
    #[schema(value_type = String, default = "development")]
    pub app_env: AppEnv,
    /// The folder for what the server keeps by itself: the SQLite database and the JWT secret, where these are not set.
    #[serde(default = "default::data_dir")]
    #[schema(value_type = String, default = "data")]
    pub data_dir: PathBuf,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, also by module (`info,groundwork_auth=debug`).
    #[serde(default = "default::log")]
    #[schema(default = "info")]
    pub log: String,
    /// `text` or `json`. Unset, `json` in production and `text` otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub log_format: Option<LogFormat>,
}

/// Where it listens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ServerSettings {
    /// The address to listen on; `0.0.0.0` for all, as in a container.
    #[serde(default = "default::host")]
    #[schema(default = "127.0.0.1")]
    pub host: String,
    /// The port to listen on; 0 for any that is free.
    #[serde(default = "default::port")]
    #[schema(default = 8080)]
    pub port: u16,
    /// Threads that handle requests, from 1 to 1024. Unset, as many as there are cores.
    #[serde(default)]
    pub workers: Option<usize>,
    /// The most bytes of a request's body, from 16384 to 16777216.
    #[serde(default = "default::body_limit")]
    #[schema(default = 65536)]
    pub body_limit_bytes: usize,
    /// How long requests under way may take to finish after SIGTERM, in seconds, at most 3600.
    #[serde(default = "default::shutdown")]
    #[schema(default = 30)]
    pub shutdown_timeout_seconds: u64,
    /// The web pages that may call the API, by origin with commas between (`https://chat.example.org`); `*` for any.
    /// Unset, none.
    #[serde(default)]
    pub cors_origins: Vec<String>,
}

/// Where the data is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:5432/name` or `sqlite://path/to/file.db`. Unset, an SQLite
    /// database in `DATA_DIR`, named for the service.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub database_url: Option<Secret>,
    /// The most connections of this server to the database, from 1 to 1000.
    #[serde(default = "default::connections")]
    #[schema(default = 10)]
    pub database_max_connections: u32,
    /// How long a request waits for a free connection before it gets 503, in seconds, from 1 to 300.
    #[serde(default = "default::acquire")]
    #[schema(default = 5)]
    pub database_acquire_timeout_seconds: u64,
    /// How long a statement may take on PostgreSQL, in seconds, from 1 to 3600.
    #[serde(default = "default::statement")]
    #[schema(default = 30)]
    pub database_statement_timeout_seconds: u64,
    /// Whether `serve` brings the schema up to date first. Several servers may start at once: one does it, and the others
    /// wait.
    #[serde(default = "default::yes")]
    #[schema(default = true)]
    pub migrate_on_start: bool,
}

/// Passwords and tokens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AuthSettings {
    /// The secret that signs access tokens, at least 32 bytes, the same on every server. Required in production. Unset,
    /// one is made and kept in `DATA_DIR`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub jwt_secret: Option<Secret>,
    /// The `iss` claim of access tokens. Unset, the name of the service.
    #[serde(default)]
    pub jwt_issuer: Option<String>,
    /// The `aud` claim of access tokens. Unset, the name of the service.
    #[serde(default)]
    pub jwt_audience: Option<String>,
    /// How long an access token is good for, in minutes, from 1 to 1440.
    #[serde(default = "default::access")]
    #[schema(default = 15)]
    pub access_token_minutes: u64,
    /// How long a session lasts without being refreshed, in days, from 1 to 365.
    #[serde(default = "default::session")]
    #[schema(default = 30)]
    pub session_days: u64,
    /// The cost of bcrypt, from 4 to 20: each step doubles the time of a sign-in. Under 10 is for tests only.
    #[serde(default = "default::cost")]
    #[schema(default = 12)]
    pub bcrypt_cost: u32,
}

/// Where the server runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppEnv {
    /// At a developer's desk.
    #[default]
    Development,
    /// For real.
    Production,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, an object a line.
    Json,
}

/// A text that must not be seen in a log.
#[derive(Clone, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

mod default {
    use std::path::PathBuf;

    pub fn data_dir() -> PathBuf {
        "data".into()
    }
    pub fn log() -> String {
        "info".into()
    }
    pub fn host() -> String {
        "127.0.0.1".into()
    }
    pub fn port() -> u16 {
        8080
    }
    pub fn body_limit() -> usize {
        65536
    }
    pub fn shutdown() -> u64 {
        30
    }
    pub fn connections() -> u32 {
        10
    }
    pub fn acquire() -> u64 {
        5
    }
    pub fn statement() -> u64 {
        30
    }
    pub fn yes() -> bool {
        true
    }
    pub fn access() -> u64 {
        15
    }
    pub fn session() -> u64 {
        30
    }
    pub fn cost() -> u32 {
        12
    }
}

/// What is wrong with the settings: a sentence that names the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl ServiceSettings {
    /// The settings that these variables make. Errors: a value that can't be read or is out of bounds, and a missing
    /// secret in production; each names the variable.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let settings = Self {
            app: environment.section()?,
            server: environment.section()?,
            database: environment.section()?,
            auth: environment.section()?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let Self { server, database, auth, .. } = self;
        within("WORKERS", server.workers.unwrap_or(1), 1, 1024)?;
        within("BODY_LIMIT_BYTES", server.body_limit_bytes, 16384, 16_777_216)?;
        within("SHUTDOWN_TIMEOUT_SECONDS", server.shutdown_timeout_seconds, 0, 3600)?;
        within("DATABASE_MAX_CONNECTIONS", database.database_max_connections, 1, 1000)?;
        within("DATABASE_ACQUIRE_TIMEOUT_SECONDS", database.database_acquire_timeout_seconds, 1, 300)?;
        within("DATABASE_STATEMENT_TIMEOUT_SECONDS", database.database_statement_timeout_seconds, 1, 3600)?;
        within("ACCESS_TOKEN_MINUTES", auth.access_token_minutes, 1, 1440)?;
        within("SESSION_DAYS", auth.session_days, 1, 365)?;
        within("BCRYPT_COST", auth.bcrypt_cost, 4, 20)?;
        if let Some(url) = &database.database_url {
            let known = ["sqlite:", "postgres://", "postgresql://"];
            if !known.iter().any(|scheme| url.expose().starts_with(scheme)) {
                return Err(SettingsError("DATABASE_URL must begin with postgres:// or sqlite://".into()));
            }
        }
        match &auth.jwt_secret {
            Some(secret) if secret.expose().len() < MIN_SECRET_BYTES => {
                Err(SettingsError(format!("JWT_SECRET must have at least {MIN_SECRET_BYTES} bytes")))
            }
            None if self.is_production() => Err(SettingsError(format!(
                "JWT_SECRET must be set in production, with at least {MIN_SECRET_BYTES} bytes; \
                 `openssl rand -base64 48` makes one"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether this is for real.
    pub fn is_production(&self) -> bool {
        self.app.app_env == AppEnv::Production
    }

    /// The database's URL: the one that is set, or that of the embedded one, which is named for the service.
    pub fn database_url(&self, service: &str) -> String {
        match &self.database.database_url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite://{}", self.app.data_dir.join(format!("{service}.db")).display()),
        }
    }

    /// Whether the database is the embedded one in `DATA_DIR`.
    pub fn is_embedded(&self) -> bool {
        self.database.database_url.is_none()
    }

    /// How long a request waits for a connection.
    pub fn acquire_timeout(&self) -> Duration {
        Duration::from_secs(self.database.database_acquire_timeout_seconds)
    }
}

fn within<N: PartialOrd + fmt::Display + Copy>(
    name: &str,
    value: N,
    min: N,
    max: N,
) -> Result<(), SettingsError> {
    if value < min || value > max {
        return Err(SettingsError(format!("{name} is {value}, and must be from {min} to {max}")));
    }
    Ok(())
}

/// A setting, for the reference.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The variable.
    pub name: String,
    /// What it is where it isn't set, in Markdown.
    pub default: String,
    /// What it does, in Markdown.
    pub description: String,
}

/// The sections that every service has, with their titles.
pub fn service_sections() -> Vec<(&'static str, Vec<Setting>)> {
    vec![
        ("Running", settings_of::<AppSettings>()),
        ("Listening", settings_of::<ServerSettings>()),
        ("Database", settings_of::<DatabaseSettings>()),
        ("Passwords and tokens", settings_of::<AuthSettings>()),
    ]
}

/// The settings of a section, from its doc comments and defaults.
pub fn settings_of<T: ToSchema>() -> Vec<Setting> {
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    let properties = schema.get("properties").and_then(serde_json::Value::as_object).into_iter().flatten();
    let field = |(name, schema): (&String, &serde_json::Value)| Setting {
        name: name.to_uppercase(),
        default: match schema.get("default") {
            None => "unset".to_owned(),
            Some(serde_json::Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        },
        description: description(schema),
    };
    properties.map(field).collect()
}

fn description(schema: &serde_json::Value) -> String {
    let text = schema.get("description").and_then(serde_json::Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

/// The reference of all settings, in Markdown.
pub fn reference(sections: Vec<(&'static str, Vec<Setting>)>) -> String {
    const INTRODUCTION: &str = "# Settings\n\n\
        Everything is set by environment variables, and everything has a default that works on a developer's machine. \
        An empty variable counts as unset. At start the values are checked; a wrong one stops the server with a sentence \
        that names it.\n\n\
        `.envs/.local` and `.envs/.production` hold all of them, ready to be changed. This page is made from the code by \
        the command `settings`.\n";
    let row = |field: &Setting| format!("| `{}` | {} | {} |\n", field.name, field.default, field.description);
    let section = |(title, fields): (&str, Vec<Setting>)| {
        let rows: Vec<String> = fields.iter().map(row).collect();
        let rows = rows.concat();
        format!("\n## {title}\n\n| variable | default | what it does |\n| --- | --- | --- |\n{rows}")
    };
    let sections: Vec<String> = sections.into_iter().map(section).collect();
    format!("{INTRODUCTION}{}", sections.concat())
}
