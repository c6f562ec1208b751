//! Reading the part of the log that a user missed.
//!
//! A user may learn of the events of the threads that they are in now, since they last joined, as far as they may see the
//! messages that they are about; of the deletion of a thread that they were in; of their own removal from a thread; and of
//! changes of their own profile.
//!
//! Two ways to find them, one after the other. A client that was away for a moment missed a part of the log that is short
//! for everybody: its rows are read in their order, and each is looked up in the user's threads. If that part is long, the
//! next event of each thread of the user is looked up in the index by subject, and then the events of those threads whose
//! next one is early enough. So the cost depends on the number of the user's threads and on the events that are returned,
//! and not on the length of the log.

use groundwork_core::{
    Result, Uuid,
    events::{Model as Event, Position, feed::Span},
};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};

/// How many rows of the log are read in their order.
pub(super) const SCAN: u64 = 1000;

/// The events of the span that the user may learn of, at most `limit`, in the order of the log.
pub(super) async fn catch_up<C: ConnectionTrait>(
    conn: &C,
    user: Uuid,
    span: Span,
    limit: u64,
    rows: u64,
) -> Result<Vec<Event>> {
    let (mut found, rest) = scan_log(conn, user, span, limit, rows).await?;
    let missing = limit.saturating_sub(u64::try_from(found.len()).unwrap_or(u64::MAX));
    if let Some(rest) = rest.filter(|_| missing > 0) {
        found.extend(probe_threads(conn, user, rest, missing).await?);
    }
    Ok(found)
}

/// The condition that an event is in the span.
///
/// SQLite does not look up pairs by the second column of an index, but reads all rows from the first. There every `stamp` is
/// 0. PostgreSQL leaves out partitions of the log by comparisons of `stamp` alone, and not by those of pairs.
macro_rules! within {
    (postgres) => {
        "stamp >= $1 AND (stamp, position) > ($1, $2) AND stamp <= $3 AND (stamp, position) <= ($3, $4)"
    };
    (sqlite) => {
        "stamp = 0 AND position > $2 AND position <= $4"
    };
}

/// The events of the span that concern the user, by the index of those: with an end, or all after its begin.
///
/// On PostgreSQL the bounds begin with the user, so that no other index serves them. It knows little of the newest events until
/// it collects statistics again, expects none, and may read all events since the begin of the span instead. So do the bounds of
/// the events of a thread begin with the thread.
macro_rules! of_user {
    (postgres, after) => {
        "events WHERE user_id = $5 AND (user_id, stamp, position) > ($5, $1, $2)"
    };
    (postgres, within) => {
        concat!(of_user!(postgres, after), " AND (user_id, stamp, position) <= ($5, $3, $4)")
    };
    (sqlite, after) => {
        "events INDEXED BY ix_events_user WHERE user_id = $5 AND stamp = 0 AND position > $2"
    };
    (sqlite, within) => {
        concat!(of_user!(sqlite, after), " AND position <= $4")
    };
}

/// Whether the user may learn of the event `e`, where `p` is their row in its thread, `t` the thread, and `j` the event by
/// which they last joined, if it is in the span.
macro_rules! may_see {
    ($seq:literal) => {
        concat!(
            "CASE WHEN t.deleted_at IS NOT NULL THEN e.kind = 'thread.deleted' ",
            "ELSE e.subject_kind = 'thread' ",
            "AND (j.position IS NULL OR (e.stamp, e.position) >= (j.stamp, j.position)) ",
            "AND (e.kind NOT IN ('message.created', 'message.updated', 'message.deleted') OR ",
            $seq,
            " > p.joined_seq) END"
        )
    };
}

/// The events by which the user joined threads in the span. Those up to its end, and after it: who joins after it sees
/// nothing of it.
macro_rules! joins {
    ($backend:ident) => {
        concat!(
            "joins AS MATERIALIZED (
                SELECT subject_id, version, stamp, position FROM ",
            of_user!($backend, after),
            " AND kind = 'participant.added')"
        )
    };
}

macro_rules! scan {
    ($backend:ident, $seq:literal) => {
        concat!(
            "WITH span AS (
                SELECT * FROM events
                WHERE ",
            within!($backend),
            " ORDER BY stamp, position LIMIT $7
            ), ",
            joins!($backend),
            ", seen AS (
                SELECT e.* FROM span e
                LEFT JOIN users_and_threads p
                    ON p.thread_id = e.subject_id AND p.user_id = $5 AND p.left_at IS NULL
                LEFT JOIN threads t ON t.id = p.thread_id
                LEFT JOIN joins j ON j.subject_id = p.thread_id AND j.version = p.joined_version
                WHERE (e.user_id = $5 AND e.kind IN ('participant.removed', 'user.updated'))
                    OR (p.user_id IS NOT NULL AND ",
            may_see!($seq),
            ")
                ORDER BY e.stamp, e.position LIMIT $6
            )
            SELECT (SELECT count(*) FROM span) AS scanned,
                (SELECT stamp FROM span ORDER BY stamp DESC, position DESC LIMIT 1) AS last_stamp,
                (SELECT position FROM span ORDER BY stamp DESC, position DESC LIMIT 1) AS last_position,
                seen.*
            FROM (SELECT 1 AS one) AS one LEFT JOIN seen ON true
            ORDER BY seen.stamp, seen.position"
        )
    };
}

/// Reads that many rows of the log. Returns those that the user may learn of, and the rest of the span if it is longer.
async fn scan_log<C: ConnectionTrait>(
    conn: &C,
    user: Uuid,
    span: Span,
    limit: u64,
    rows: u64,
) -> Result<(Vec<Event>, Option<Span>)> {
    let sql = match conn.get_database_backend() {
        DbBackend::Postgres => scan!(postgres, "(e.payload->>'seq')::bigint"),
        _ => scan!(sqlite, "json_extract(e.payload, '$.seq')"),
    };
    let mut values = values(user, span, limit);
    values.push(bound(rows).into());
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, values);
    let seen = conn.query_all_raw(statement).await?;
    let mut found = Vec::with_capacity(seen.len());
    for row in &seen {
        found.extend(Event::from_query_result_optional(row, "")?);
    }
    let Some(first) = seen.first() else { return Ok((found, None)) };
    if first.try_get::<i64>("", "scanned")? < bound(rows) {
        return Ok((found, None));
    }
    let after =
        Position { stamp: first.try_get("", "last_stamp")?, number: first.try_get("", "last_position")? };
    Ok((found, Some(Span { after, ..span })))
}

/// Whether the user sees the event `e` of the thread `m` that they are in.
macro_rules! sees {
    ($seq:literal) => {
        concat!(
            "e.subject_kind = 'thread' ",
            "AND (e.kind NOT IN ('message.created', 'message.updated', 'message.deleted') OR ",
            $seq,
            " > m.joined_seq)"
        )
    };
}

/// - `mine`: the threads that the user is in, each with the place after which they see its events: that before their
///   joining, or the begin of the span.
/// - `firsts`: of these threads the first event in the span. An event of another thread than the first `$6` of them has as
///   many events before it, and is not needed.
/// - `until`: nothing after it is needed.
macro_rules! probe {
    ($backend:ident, $first:expr, $further:expr, $deletion:expr) => {
        concat!(
            "WITH ",
            joins!($backend),
            ", mine AS MATERIALIZED (
                SELECT p.thread_id, p.joined_seq, coalesce(j.stamp, $1) AS low_stamp,
                    coalesce(j.position - 1, $2) AS low_position
                FROM users_and_threads p
                JOIN threads t ON t.id = p.thread_id AND t.deleted_at IS NULL
                LEFT JOIN joins j ON j.subject_id = p.thread_id AND j.version = p.joined_version
                WHERE p.user_id = $5 AND p.left_at IS NULL
            ), firsts AS MATERIALIZED (
                SELECT m.thread_id, m.joined_seq, e.stamp, e.position FROM mine m CROSS JOIN ",
            $first,
            " ORDER BY e.stamp, e.position LIMIT $6
            ), until AS (
                SELECT stamp, position FROM firsts ORDER BY stamp, position LIMIT 1 OFFSET $6 - 1
            ), concerned AS (
                SELECT * FROM ",
            of_user!($backend, within),
            " AND kind IN ('participant.removed', 'user.updated')
                ORDER BY stamp, position LIMIT $6
            ), deletions AS (
                SELECT e.* FROM users_and_threads p
                JOIN threads t ON t.id = p.thread_id AND t.deleted_at IS NOT NULL
                CROSS JOIN ",
            $deletion,
            " WHERE p.user_id = $5 AND p.left_at IS NULL
                ORDER BY e.stamp, e.position LIMIT $6
            )
            SELECT e.* FROM firsts m CROSS JOIN ",
            $further,
            " UNION ALL SELECT * FROM concerned
            UNION ALL SELECT * FROM deletions
            ORDER BY stamp, position LIMIT $6"
        )
    };
}

const POSTGRES_PROBE: &str = probe!(
    postgres,
    concat!(
        "LATERAL (
            SELECT e.stamp, e.position FROM events e
            WHERE e.subject_id = m.thread_id
                AND (e.subject_id, e.stamp, e.position) > (m.thread_id, m.low_stamp, m.low_position)
                AND (e.subject_id, e.stamp, e.position) <= (m.thread_id, $3, $4) AND ",
        sees!("(e.payload->>'seq')::bigint"),
        " ORDER BY e.stamp, e.position LIMIT 1
        ) e"
    ),
    concat!(
        "LATERAL (
            SELECT * FROM events e
            WHERE e.subject_id = m.thread_id
                AND (e.subject_id, e.stamp, e.position) >= (m.thread_id, m.stamp, m.position)
                AND (e.subject_id, e.stamp, e.position) <= (m.thread_id,
                    coalesce((SELECT stamp FROM until), $3), coalesce((SELECT position FROM until), $4))
                AND ",
        sees!("(e.payload->>'seq')::bigint"),
        " ORDER BY e.stamp, e.position LIMIT $6
        ) e"
    ),
    concat!(
        "LATERAL (
            SELECT * FROM events e
            WHERE e.subject_id = t.id AND e.kind = 'thread.deleted'
                AND (e.subject_id, e.stamp, e.position) > (t.id, $1, $2)
                AND (e.subject_id, e.stamp, e.position) <= (t.id, $3, $4)
            ORDER BY e.stamp DESC, e.position DESC LIMIT 1
        ) e"
    )
);

/// SQLite has no lateral joins. The positions of the events are looked up instead, which are its row ids. Without statistics it
/// would not choose the index by subject for that.
const SQLITE_PROBE: &str = probe!(
    sqlite,
    concat!(
        "events e ON e.position = (
            SELECT e.position FROM events e INDEXED BY ix_events_subject
            WHERE e.subject_id = m.thread_id AND e.stamp = 0 AND e.position > m.low_position
                AND e.position <= $4 AND ",
        sees!("json_extract(e.payload, '$.seq')"),
        " ORDER BY e.stamp, e.position LIMIT 1
        )"
    ),
    concat!(
        "events e ON e.position IN (
            SELECT e.position FROM events e INDEXED BY ix_events_subject
            WHERE e.subject_id = m.thread_id AND e.stamp = 0 AND e.position >= m.position
                AND e.position <= coalesce((SELECT position FROM until), $4) AND ",
        sees!("json_extract(e.payload, '$.seq')"),
        " ORDER BY e.stamp, e.position LIMIT $6
        )"
    ),
    "events e ON e.position = (
        SELECT e.position FROM events e INDEXED BY ix_events_subject
        WHERE e.subject_id = t.id AND e.kind = 'thread.deleted'
            AND e.stamp = 0 AND e.position > $2 AND e.position <= $4
        ORDER BY e.stamp DESC, e.position DESC LIMIT 1
    )"
);

/// Looks into each thread of the user.
async fn probe_threads<C: ConnectionTrait>(
    conn: &C,
    user: Uuid,
    span: Span,
    limit: u64,
) -> Result<Vec<Event>> {
    let backend = conn.get_database_backend();
    let sql = if backend == DbBackend::Postgres { POSTGRES_PROBE } else { SQLITE_PROBE };
    let statement = Statement::from_sql_and_values(backend, sql, values(user, span, limit));
    let rows = conn.query_all_raw(statement).await?;
    Ok(rows.iter().map(|row| Event::from_query_result(row, "")).collect::<std::result::Result<_, _>>()?)
}

/// The parameters `$1` to `$6` of every statement here.
fn values(user: Uuid, Span { after, until }: Span, limit: u64) -> Vec<Value> {
    let places = [after.stamp, after.number, until.stamp, until.number].map(Value::from);
    places.into_iter().chain([user.into(), bound(limit).into()]).collect()
}

fn bound(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
