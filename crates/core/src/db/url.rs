//! The address of a database, which may hold a password.

use std::{fmt, path::Path, str::FromStr};

use sea_orm::sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use crate::{Error, Result};

/// The address of a database: `sqlite://path/to/file.db`, or `postgres://user:password@host:5432/name` with the
/// parameters of libpq that sqlx supports (`sslmode`, `sslrootcert` and others).
///
/// It is parsed once. Its text is not kept, and neither `Debug` nor an error shows any part of it that may be secret.
///
/// ```
/// use groundwork_core::db::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://ada:secret@db.example.org/notes".parse().unwrap();
/// assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres, db.example.org:5432)");
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
    /// The address of a SQLite file.
    pub fn sqlite_file(path: impl AsRef<Path>) -> Self {
        Self(Target::Sqlite(Box::new(SqliteConnectOptions::new().filename(path))))
    }

    /// Whether it is the address of a SQLite database.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Target::Sqlite(_))
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(options) => Some(options.get_filename()),
            Target::Postgres(_) => None,
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Postgres(options) => {
                write!(f, "DatabaseUrl(postgres, {}:{})", options.get_host(), options.get_port())
            }
            Target::Sqlite(options) => write!(f, "DatabaseUrl({})", options.get_filename().display()),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    /// Parses the text. No error repeats any of it.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("sqlite:") {
            if text.contains(":memory:") || text.contains("mode=memory") {
                return Err(invalid("a SQLite database must be a file"));
            }
            let options = text.parse().map_err(|_| invalid("it is not valid as a SQLite address"))?;
            return Ok(Self(Target::Sqlite(Box::new(options))));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let Some(rest) = rest else {
            return Err(invalid("it must begin with postgres://, postgresql:// or sqlite:"));
        };
        // A reserved character in the password ends the authority early. The remainder would be taken for the name of
        // the database or for a parameter, and would show in messages.
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if rest.get(authority_end..).is_some_and(|after| after.contains(['@', '#'])) {
            return Err(invalid(
                "a '/', '?', '#' or '@' in the user, the password or a parameter must be percent-encoded \
                 (%2F, %3F, %23, %40)",
            ));
        }
        check_parameters(rest)?;
        let options: PgConnectOptions = text.parse().map_err(|_| {
            invalid("it is not valid: check the port (0 to 65535), the host and the parameters")
        })?;
        Ok(Self(Target::Postgres(Box::new(options))))
    }
}

/// What `PgConnectOptions` reads. It logs any other parameter with its value, and ignores it.
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

fn check_parameters(rest: &str) -> Result<()> {
    let Some((_, query)) = rest.split_once('?') else { return Ok(()) };
    let names = query.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    if names.all(|name| PARAMETERS.contains(&name) || name.starts_with("options[")) {
        return Ok(());
    }
    Err(invalid(&format!("it has an unknown parameter; the known ones are {}", PARAMETERS.join(", "))))
}

fn invalid(why: &str) -> Error {
    Error::internal(format!("the database URL can't be used: {why}"))
}
