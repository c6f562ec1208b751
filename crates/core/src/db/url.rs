//! The URL of a database, which may contain a password.

use std::{fmt, path::Path, str::FromStr};

use sea_orm::sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Error, Result};

/// The URL of a database: `sqlite://path/to/file.db`, or `postgres://user:password@host:5432/name` with the
/// parameters of libpq that sqlx supports (`sslmode`, `sslrootcert` and others).
///
/// It is parsed once. Its text is not kept; `Display`, `Debug` and errors show no part of it that may be secret.
///
/// ```
/// use groundwork_core::db::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://ada:secret@db.example.org/notes".parse().unwrap();
/// assert_eq!(url.to_string(), "postgres://db.example.org:5432");
/// assert!("postgres://ada:se#cret@localhost/notes".parse::<DatabaseUrl>().is_err());
/// ```
#[derive(Clone)]
pub struct DatabaseUrl(pub(super) Target);

#[derive(Clone)]
pub(super) enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

impl DatabaseUrl {
    /// Returns the URL of a SQLite file.
    pub fn sqlite_file(path: impl AsRef<Path>) -> Self {
        Self(Target::Sqlite(Box::new(SqliteConnectOptions::new().filename(path))))
    }

    /// Returns whether this is the URL of a SQLite database.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Target::Sqlite(_))
    }

    /// Returns the file of a SQLite database, or `None` for PostgreSQL.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(options) => Some(options.get_filename()),
            Target::Postgres(_) => None,
        }
    }
}

/// The URL of another way to a PostgreSQL database, with the same rules as [`DatabaseUrl`].
#[derive(Clone)]
pub struct PostgresUrl(pub(super) Box<PgConnectOptions>);

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({}:{})", self.0.get_host(), self.0.get_port())
    }
}

impl FromStr for PostgresUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_postgres(text)
            .map_err(|requirement| Error::internal(format!("the database URL must {requirement}")))
    }
}

impl<'de> Deserialize<'de> for PostgresUrl {
    /// Parses a string. The error is the requirement that the text does not meet, to follow "must".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_postgres(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn parse_postgres(text: &str) -> Result<PostgresUrl, &'static str> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("begin with postgres://");
    }
    match parse(text)?.0 {
        Target::Postgres(options) => Ok(PostgresUrl(options)),
        Target::Sqlite(_) => Err("begin with postgres://"),
    }
}

/// Shows the location of the database, without the user and the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Postgres(options) => {
                write!(f, "postgres://{}:{}", options.get_host(), options.get_port())
            }
            Target::Sqlite(options) => write!(f, "sqlite://{}", options.get_filename().display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|requirement| Error::internal(format!("the database URL must {requirement}")))
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    /// Parses a string. The error is the requirement that the text does not meet, to follow "must".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Parses the text, or returns what it must do. Repeats none of it, nor the cause of an error, which may do so.
fn parse(text: &str) -> Result<DatabaseUrl, &'static str> {
    if text.starts_with("sqlite:") {
        if text.contains(":memory:") || text.contains("mode=memory") {
            return Err("name a file, not a SQLite database in memory");
        }
        let options = text.parse().map_err(|_| "be sqlite:// with the path of a file")?;
        return Ok(DatabaseUrl(Target::Sqlite(Box::new(options))));
    }
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or("begin with postgres:// or sqlite://")?;
    // A reserved character in the password ends the authority early. The remainder would be parsed as the name of the
    // database or for a parameter, and would show in messages.
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest.get(authority_end..).is_some_and(|after| after.contains(['@', '#'])) {
        return Err(
            "have '/', '?', '#' and '@' in the user and the password percent-encoded: %2F, %3F, %23, %40",
        );
    }
    if !has_known_parameters(rest) {
        return Err("have only parameters of libpq that are supported, such as sslmode and sslrootcert");
    }
    let options: PgConnectOptions =
        text.parse().map_err(|_| "have a valid host, port (up to 65535) and parameters")?;
    Ok(DatabaseUrl(Target::Postgres(Box::new(options))))
}

/// The parameters that `PgConnectOptions` reads. It logs any other parameter with its value, and ignores it.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

fn has_known_parameters(rest: &str) -> bool {
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    names
        .into_iter()
        .all(|name| name.is_empty() || PARAMETERS.contains(&name) || name.starts_with("options["))
}
