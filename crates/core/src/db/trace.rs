//! A span for each statement, at the level `debug`.

use std::fmt;

use sea_orm::{DbBackend, sqlx};
use tracing::{Span, field};

/// Creates the span of a statement, with the names of OpenTelemetry's conventions for databases. It contains the text of the
/// statement, in which values are placeholders, and never a value.
pub(super) fn statement(backend: DbBackend, sql: &str) -> Span {
    let system = match backend {
        DbBackend::Postgres => "postgresql",
        _ => "sqlite",
    };
    tracing::debug_span!(
        "db.statement",
        "db.system.name" = system,
        "db.query.summary" = %Summary(sql),
        error = field::Empty,
    )
}

/// Logs the end of a statement, with its error if it failed.
pub(super) fn ended(span: &Span, error: Option<&sqlx::Error>) {
    if let Some(error) = error {
        span.record("error", field::display(error));
    }
    span.in_scope(|| tracing::debug!("statement ended"));
}

/// Returns the operation and the first table, such as `SELECT books`.
struct Summary<'a>(&'a str);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.split_whitespace();
        f.write_str(words.clone().next().unwrap_or_default())?;
        let is_before_table =
            |word: &str| ["FROM", "INTO", "UPDATE"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
        let mut pairs = words.clone().zip(words.skip(1));
        // A parenthesis begins a query in the place of a table.
        let found = pairs.find(|(word, next)| is_before_table(word) && !next.starts_with('('));
        let table = found.map_or("", |(_, table)| table);
        let table = table.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
        if table.is_empty() { Ok(()) } else { write!(f, " {table}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_summary_has_the_operation_and_the_table() {
        let summary = |sql| Summary(sql).to_string();
        assert_eq!(summary(r#"SELECT "a"."id" FROM "books" AS "a" WHERE 1"#), "SELECT books");
        assert_eq!(summary(r#"INSERT INTO "books" ("id") VALUES (?)"#), "INSERT books");
        assert_eq!(summary(r#"UPDATE "books" SET "title" = ?"#), "UPDATE books");
        assert_eq!(summary(r#"SELECT COUNT(*) FROM (SELECT 1 FROM "books") AS "all""#), "SELECT books");
        assert_eq!(summary("BEGIN IMMEDIATE"), "BEGIN");
        assert_eq!(summary(""), "");
    }
}
