//! Reading the log in its order.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement};

use super::{Model, Position};
use crate::{Db, Error, Result, Timestamp};

/// SQL for each database.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl Sql {
    pub(super) fn of(self, backend: DbBackend) -> &'static str {
        if backend == DbBackend::Postgres { self.postgres } else { self.sqlite }
    }

    /// Returns the first row.
    pub(super) async fn one<C: ConnectionTrait>(self, conn: &C) -> Result<QueryResult> {
        let backend = conn.get_database_backend();
        let row = conn.query_one_raw(Statement::from_string(backend, self.of(backend))).await?;
        row.ok_or_else(no_row)
    }
}

pub(super) fn no_row() -> Error {
    Error::internal("the table event_log has no row; it is inserted by the migration that creates it")
}

/// Some events of the log, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The events.
    pub events: Vec<Model>,
    /// Whether there are committed events that are not settled yet, as a transaction with a lower id is still open. They
    /// can usually be read some milliseconds later.
    pub is_blocked: bool,
    /// Everything up to this place is settled. Where `events` has fewer events than the limit, they are all up to here.
    pub horizon: Position,
    /// Everything up to this place may have been removed. If it is after the place from which was read, events are missing.
    pub floor: Position,
}

/// One statement, and so one snapshot for all that it returns. The first parameters are the place, the last is the limit.
///
/// SQLite, where every `stamp` is 0, would look up a pair by its first column alone, and read the log from its begin.
/// PostgreSQL leaves out partitions of the log by a comparison of `stamp` alone, and not by one of pairs.
const READ: Sql = Sql {
    postgres: r"
        SELECT l.floor_stamp, l.floor_position,
            pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS horizon_stamp,
            9223372036854775807 AS horizon_position,
            EXISTS (
                SELECT FROM events
                WHERE stamp >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            ) AS is_blocked,
            e.*
        FROM event_log l
        LEFT JOIN (
            SELECT * FROM events
            WHERE stamp >= $1 AND (stamp, position) > ($1, $2)
                AND stamp < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            ORDER BY stamp, position
            LIMIT $3
        ) e ON true
        ORDER BY e.stamp, e.position",
    sqlite: r"
        SELECT l.floor_stamp, l.floor_position, 0 AS horizon_stamp,
            coalesce((SELECT max(position) FROM events), l.floor_position) AS horizon_position,
            false AS is_blocked,
            e.*
        FROM event_log l
        LEFT JOIN (
            SELECT * FROM events
            WHERE position > $2
            ORDER BY position
            LIMIT $3
        ) e ON true
        ORDER BY e.stamp, e.position",
};

/// Returns the settled events after a place, at most `limit`, which is bounded to 10,000. See [the order](super#order).
pub async fn read<C: ConnectionTrait>(conn: &C, after: Position, limit: u64) -> Result<Batch> {
    let backend = conn.get_database_backend();
    let limit = i64::try_from(limit.min(10_000)).unwrap_or(1);
    let values = [after.stamp.into(), after.number.into(), limit.into()];
    let rows = conn.query_all_raw(Statement::from_sql_and_values(backend, READ.of(backend), values)).await?;
    let first = rows.first().ok_or_else(no_row)?;
    let is_blocked = first.try_get("", "is_blocked")?;
    let (horizon, floor) = (place(first, "horizon")?, place(first, "floor")?);
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        events.extend(Model::from_query_result_optional(row, "")?);
    }
    Ok(Batch { events, is_blocked, horizon, floor })
}

/// Returns the place up to which everything is settled: no event will be added before it.
pub async fn horizon<C: ConnectionTrait>(conn: &C) -> Result<Position> {
    const HORIZON: Sql = Sql {
        postgres: "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS horizon_stamp, \
                   9223372036854775807 AS horizon_position",
        sqlite: "SELECT 0 AS horizon_stamp, \
                 coalesce((SELECT max(position) FROM events), floor_position) AS horizon_position FROM event_log",
    };
    place(&HORIZON.one(conn).await?, "horizon")
}

/// Returns the place up to which everything may have been removed. A cursor before it has expired.
///
/// Ask after reading the events, or in the same snapshot: the floor is raised in the transaction that removes them.
pub async fn floor<C: ConnectionTrait>(conn: &C) -> Result<Position> {
    const SQL: &str = "SELECT floor_stamp, floor_position FROM event_log";
    place(&Sql { postgres: SQL, sqlite: SQL }.one(conn).await?, "floor")
}

pub(super) fn place(row: &QueryResult, name: &str) -> Result<Position> {
    let stamp = row.try_get("", &format!("{name}_stamp"))?;
    Ok(Position { stamp, number: row.try_get("", &format!("{name}_position"))? })
}

/// Returns the age of the oldest event that is committed and not settled yet: for how long a transaction holds the log
/// back. Zero if there is none, and always on SQLite.
pub async fn lag(db: &Db) -> Result<Duration> {
    const OLDEST: Sql = Sql {
        postgres: "SELECT min(created_at) AS oldest FROM events \
                   WHERE stamp >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
        sqlite: "SELECT NULL AS oldest",
    };
    let oldest: Option<Timestamp> = OLDEST.one(db.reader()).await?.try_get("", "oldest")?;
    Ok(oldest.map_or(Duration::ZERO, |oldest| db.now().since(oldest)))
}
