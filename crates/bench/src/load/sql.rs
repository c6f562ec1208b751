//! What differs between the two databases in the statements of the bench.

/// A database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

use Dialect::{Postgres, Sqlite};

impl Dialect {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Postgres => "PostgreSQL",
            Sqlite => "SQLite",
        }
    }

    /// The numbers from `from` up to `to`, as the table `g` with the column `i`.
    pub fn series(self, from: u64, to: u64) -> String {
        match self {
            Postgres => format!("generate_series({from}::bigint, {to}::bigint) AS g(i)"),
            Sqlite => format!(
                "(WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n) g"
            ),
        }
    }

    /// An id, as [`world::id`](super::world::id) makes it, from expressions.
    pub fn id(self, millis: &str, code: u64, number: &str) -> String {
        match self {
            Postgres => format!(
                "(lpad(to_hex(({millis})::bigint), 12, '0') || '7{code:03x}8' || \
                 lpad(to_hex(({number})::bigint), 15, '0'))::uuid"
            ),
            Sqlite => format!("unhex(printf('%012x7{code:03x}8%015x', {millis}, {number}))"),
        }
    }

    /// A number in 15 hexadecimal digits.
    pub fn hex(self, number: &str) -> String {
        match self {
            Postgres => format!("lpad(to_hex(({number})::bigint), 15, '0')"),
            Sqlite => format!("printf('%015x', {number})"),
        }
    }

    /// A time, from milliseconds since 1970.
    pub fn time(self, millis: &str) -> String {
        match self {
            Postgres => format!("timestamp '1970-01-01' + ({millis}) * interval '1 millisecond'"),
            Sqlite => format!("strftime('%Y-%m-%d %H:%M:%f000', ({millis}) / 1000.0, 'unixepoch')"),
        }
    }

    /// The time of the statement.
    pub fn now(self) -> &'static str {
        match self {
            Postgres => "(now() AT TIME ZONE 'UTC')",
            Sqlite => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        }
    }

    /// The parameter with that number, an id in hexadecimal digits.
    pub fn id_parameter(self, number: usize) -> String {
        match self {
            Postgres => format!("${number}::uuid"),
            Sqlite => format!("unhex(?{number})"),
        }
    }

    /// The parameter with that number, a number.
    pub fn number_parameter(self, number: usize) -> String {
        match self {
            Postgres => format!("${number}::bigint"),
            Sqlite => format!("CAST(?{number} AS INTEGER)"),
        }
    }

    /// The parameter with that number, a text.
    pub fn text_parameter(self, number: usize) -> String {
        match self {
            Postgres => format!("${number}::text"),
            Sqlite => format!("?{number}"),
        }
    }

    /// The minute since 1970 of a time.
    pub fn minute(self, time: &str) -> String {
        match self {
            Postgres => format!("floor(extract(epoch FROM {time}) / 60)::integer"),
            Sqlite => format!("CAST(strftime('%s', {time}) AS INTEGER) / 60"),
        }
    }

    /// The payload of the event that a message was sent, from an expression for its number.
    pub fn payload(self, seq: &str) -> String {
        match self {
            Postgres => format!("jsonb_build_object('seq', {seq})"),
            Sqlite => format!("json_object('seq', {seq})"),
        }
    }
}
