//! Writing a batch on SQLite: one transaction, and a few statements for any number of messages. SQLite has one writer, so
//! nothing changes between them.

use std::collections::BTreeMap;

use groundwork_core::{Result, Timestamp, Tx, Uuid, sea_orm::Statement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Value};
use serde_json::{Value as Json, json};

use super::{super::send::payload, Call, Outcome, Settings};
use crate::{events::MESSAGE_CREATED, threads::recent::place};

/// What is known of each message, in their order. `$1` has `[thread, sender, key]` of each, `$2` is the time.
const CHECK: &str = "
    SELECT t.last_seq, t.version, max(t.last_activity_at, $2) AS sent_at, p.user_id IS NOT NULL AS is_in, r.id AS receiver_id,
        coalesce(r.is_active AND r.deleted_at IS NULL, t.direct_key IS NULL) AS can_receive,
        k.user_id IS NOT NULL AS is_repeat, t.recent_minute, t.participant_count
    FROM json_each($1) c
    LEFT JOIN threads t ON t.id = unhex(c.value->>0) AND t.deleted_at IS NULL
    LEFT JOIN users_and_threads p
        ON p.thread_id = t.id AND p.user_id = unhex(c.value->>1) AND p.left_at IS NULL
    LEFT JOIN users r ON r.id = CASE unhex(substr(t.direct_key, 1, 36), '-')
        WHEN unhex(c.value->>1) THEN unhex(substr(t.direct_key, 38), '-')
        ELSE unhex(substr(t.direct_key, 1, 36), '-')
    END
    LEFT JOIN idempotency_keys k
        ON k.user_id = unhex(c.value->>1) AND k.key = c.value->>2 AND k.expires_at > $2
    ORDER BY c.key";

/// `$1` has `[thread, number of messages, minute]` of each thread, `$2` is the time.
const MOVE: &str = "
    UPDATE threads SET last_seq = last_seq + m.number, version = version + m.number, updated_at = $2,
        last_activity_at = max(last_activity_at, $2), recent_minute = m.minute
    FROM (SELECT unhex(value->>0) AS thread_id, value->>1 AS number, value->>2 AS minute FROM json_each($1)) m
    WHERE threads.id = m.thread_id";

/// `$1` has `[thread, minute before, minute]` of each thread that moves to another minute.
const REFILE: &str = "
    UPDATE recent_threads SET minute = m.minute
    FROM (SELECT unhex(value->>0) AS thread_id, value->>1 AS old, value->>2 AS minute FROM json_each($1)) m
    JOIN users_and_threads p ON p.thread_id = m.thread_id AND p.left_at IS NULL
    WHERE recent_threads.user_id = p.user_id AND recent_threads.minute = m.old
        AND recent_threads.thread_id = m.thread_id";

/// `$1` has `[thread, sender, number of messages]` of each sender.
const COUNT: &str = "
    UPDATE users_and_threads SET sent_since_read = sent_since_read + m.number
    FROM (
        SELECT unhex(value->>0) AS thread_id, unhex(value->>1) AS user_id, value->>2 AS number FROM json_each($1)
    ) m
    WHERE users_and_threads.thread_id = m.thread_id AND users_and_threads.user_id = m.user_id";

/// `$1` has `[id, thread, seq, version, sender, receiver, text]` of each message.
const INSERT: &str = "
    INSERT INTO messages (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
    SELECT unhex(m.value->>0), t.last_activity_at, t.last_activity_at, t.id, m.value->>2, m.value->>3,
        unhex(m.value->>4), unhex(m.value->>5), m.value->>6
    FROM json_each($1) m CROSS JOIN threads t ON t.id = unhex(m.value->>1)
    ORDER BY m.key";

/// `$1` has `[thread, version, actor, payload]` of each event, `$2` is the time, `$3` the kind.
const NOTE: &str = "
    INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
    SELECT 'thread', unhex(value->>0), value->>1, $3, unhex(value->>2), value->>3, $2
    FROM json_each($1) ORDER BY key";

/// `$1` has `[user, key, hash, result]` of each key, `$2` is when they expire. Those in the table have expired.
const CLAIM: &str = "
    INSERT INTO idempotency_keys (user_id, key, request_hash, result, expires_at)
    SELECT unhex(value->>0), value->>1, value->>2, value->>3, $2 FROM json_each($1) WHERE true
    ON CONFLICT (user_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, result = excluded.result, expires_at = excluded.expires_at";

/// Sends messages with different keys.
pub(super) async fn write(settings: &Settings, calls: &[&Call]) -> Result<Vec<Outcome>> {
    settings.db.write(async |tx| write_in(tx, settings, calls).await).await
}

async fn write_in(tx: &Tx, settings: &Settings, calls: &[&Call]) -> Result<Vec<Outcome>> {
    let wanted = calls.iter().map(|call| json!([hex(call.thread), hex(call.sender), call.key()]));
    let check = statement(CHECK, wanted.collect(), [tx.now().into()]);
    let known = tx.query_all_raw(check).await?;
    let (mut outcomes, mut good) = (Vec::with_capacity(calls.len()), Good::default());
    for (call, row) in calls.iter().zip(&known) {
        outcomes.push(match Known::of(row)? {
            Known::Good(known) => good.add(call, tx.new_id(), &known),
            Known::Bad(outcome) => outcome,
        });
    }
    good.write(tx, settings).await?;
    Ok(outcomes)
}

/// What the checks found of a message.
enum Known {
    Good(Place),
    Bad(Outcome),
}

/// Where a message goes: the thread before this batch.
struct Place {
    last_seq: i64,
    version: i64,
    at: Timestamp,
    receiver: Option<Uuid>,
    minute_before: i32,
    minute: i32,
}

impl Known {
    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(match (row.try_get_by_index(3)?, row.try_get_by_index(5)?, row.try_get_by_index(6)?) {
            (_, _, true) => Self::Bad(Outcome::Repeat),
            (false, _, _) => Self::Bad(Outcome::NotFound),
            (true, false, _) => Self::Bad(Outcome::Inactive),
            (true, true, false) => {
                let at = row.try_get_by_index(2)?;
                Self::Good(Place {
                    last_seq: row.try_get_by_index(0)?,
                    version: row.try_get_by_index(1)?,
                    at,
                    receiver: row.try_get_by_index(4)?,
                    minute_before: row.try_get_by_index(7)?,
                    minute: place(at, row.try_get_by_index(8)?),
                })
            }
        })
    }
}

/// The messages that are sent, as the parameters of the statements.
#[derive(Default)]
struct Good {
    /// Of each thread its messages, and the minute before and now.
    threads: BTreeMap<Uuid, (i64, i32, i32)>,
    senders: BTreeMap<(Uuid, Uuid), i64>,
    messages: Vec<Json>,
    events: Vec<Json>,
    keys: Vec<Json>,
}

impl Good {
    fn add(&mut self, call: &Call, id: Uuid, place: &Place) -> Outcome {
        let minutes = (place.minute_before, place.minute);
        let (count, ..) = self.threads.entry(call.thread).or_insert((0, minutes.0, minutes.1));
        *count += 1;
        *self.senders.entry((call.thread, call.sender)).or_default() += 1;
        let (seq, version) = (place.last_seq + *count, place.version + *count);
        let (thread, sender) = (hex(call.thread), hex(call.sender));
        let receiver = place.receiver.map(hex);
        self.messages.push(json!([hex(id), thread, seq, version, sender, receiver, call.text]));
        let about = payload(seq, call.client_id.as_deref());
        self.events.push(json!([thread, version, sender, about.to_string()]));
        if let Some(claim) = &call.claim {
            self.keys.push(json!([sender, claim.key, claim.request_hash, json!(id).to_string()]));
        }
        call.sent(id, (seq, version), place.receiver, place.at)
    }

    async fn write(self, tx: &Tx, settings: &Settings) -> Result<()> {
        if self.messages.is_empty() {
            return Ok(());
        }
        let now = tx.now();
        let threads =
            self.threads.iter().map(|(thread, (count, _, minute))| json!([hex(*thread), count, minute]));
        tx.execute_raw(statement(MOVE, threads.collect(), [now.into()])).await?;
        let moved = self.threads.iter().filter(|(_, (_, before, minute))| before != minute);
        let moved: Vec<Json> =
            moved.map(|(thread, (_, before, minute))| json!([hex(*thread), before, minute])).collect();
        if !moved.is_empty() {
            tx.execute_raw(statement(REFILE, moved, [])).await?;
        }
        let senders =
            self.senders.iter().map(|((thread, sender), count)| json!([hex(*thread), hex(*sender), count]));
        tx.execute_raw(statement(COUNT, senders.collect(), [])).await?;
        tx.execute_raw(statement(INSERT, self.messages, [])).await?;
        tx.execute_raw(statement(NOTE, self.events, [now.into(), MESSAGE_CREATED.into()])).await?;
        if !self.keys.is_empty() {
            tx.execute_raw(statement(CLAIM, self.keys, [(now + settings.key_lifetime).into()])).await?;
        }
        tx.mark_appended();
        Ok(())
    }
}

fn statement<const N: usize>(sql: &str, rows: Vec<Json>, values: [Value; N]) -> Statement {
    let rows = Value::from(Json::Array(rows).to_string());
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, [rows].into_iter().chain(values))
}

fn hex(id: Uuid) -> String {
    id.simple().to_string()
}
