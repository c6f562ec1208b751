//! A connection that loads a database, of either kind.

use std::path::Path;

use rusqlite::types::ValueRef;

use super::sql::Dialect;
use crate::{Result, direct::wire::Wire};

/// A connection.
#[derive(Debug)]
pub enum Store {
    /// To PostgreSQL.
    Postgres(Wire),
    /// To SQLite.
    Sqlite(rusqlite::Connection),
}

impl Store {
    /// Opens an SQLite database.
    pub fn sqlite(file: &Path) -> Result<Self> {
        Ok(Self::Sqlite(rusqlite::Connection::open(file)?))
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Runs a statement, and returns its rows as text.
    pub async fn run(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        let failed = |error: String| format!("{error}, in {}", sql.chars().take(400).collect::<String>());
        match self {
            Self::Postgres(wire) => Ok(wire.run(sql).await.map_err(|error| failed(error.to_string()))?.rows),
            Self::Sqlite(connection) => Ok(rows(connection, sql).map_err(|error| failed(error.to_string()))?),
        }
    }

    /// Drops the indexes that no constraint needs. Returns the statements that create them again.
    pub async fn drop_indexes(&mut self) -> Result<Vec<String>> {
        let list = match self.dialect() {
            Dialect::Postgres => {
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
                 AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            }
            Dialect::Sqlite => "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
        };
        let mut create = Vec::new();
        for row in self.run(list).await? {
            if let [name, definition] = row.as_slice() {
                self.run(&format!("DROP INDEX {name}")).await?;
                create.push(definition.clone());
            }
        }
        Ok(create)
    }

    /// Returns the number that a statement selects.
    pub async fn number(&mut self, sql: &str) -> Result<u64> {
        let rows = self.run(sql).await?;
        let number = rows.first().and_then(|row| row.first()).and_then(|text| text.parse().ok());
        number.ok_or_else(|| format!("no number: {sql}").into())
    }
}

fn rows(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let value = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Null | ValueRef::Blob(_) => String::new(),
            })
        };
        all.push((0..columns).map(value).collect::<rusqlite::Result<_>>()?);
    }
    Ok(all)
}
