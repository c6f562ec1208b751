//! Checks the numbers and rows that repeat what other rows say, for tests.

use groundwork_core::{Result, Uuid};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::recent::SMALL_THREAD;

/// What each statement returns is wrong: a thread, a user, or both.
const CHECKS: [(&str, &str); 5] = [
    (
        "is missing in recent_threads",
        "SELECT threads.id AS thread_id, users_and_threads.user_id FROM users_and_threads
         JOIN threads ON threads.id = users_and_threads.thread_id
         WHERE left_at IS NULL AND deleted_at IS NULL AND NOT EXISTS (
             SELECT 1 FROM recent_threads WHERE recent_threads.thread_id = threads.id
                 AND recent_threads.user_id = users_and_threads.user_id AND minute = recent_minute
         )",
    ),
    (
        "is not to be in recent_threads",
        "SELECT thread_id, user_id FROM recent_threads WHERE NOT EXISTS (
             SELECT 1 FROM users_and_threads JOIN threads ON threads.id = users_and_threads.thread_id
             WHERE recent_threads.thread_id = threads.id
                 AND recent_threads.user_id = users_and_threads.user_id AND minute = recent_minute
                 AND left_at IS NULL AND deleted_at IS NULL
         )",
    ),
    (
        "has another recent_minute",
        "SELECT id AS thread_id, creator_id AS user_id FROM threads WHERE deleted_at IS NULL
             AND recent_minute <> CASE WHEN participant_count > {small} THEN 0 ELSE {minute} END",
    ),
    (
        "has another participant_count",
        "SELECT id AS thread_id, creator_id AS user_id FROM threads WHERE participant_count <> (
             SELECT count(*) FROM users_and_threads
             WHERE users_and_threads.thread_id = threads.id AND left_at IS NULL
         )",
    ),
    (
        "has another sent_since_read",
        "SELECT thread_id, user_id FROM users_and_threads WHERE sent_since_read <> (
             SELECT count(*) FROM messages WHERE messages.thread_id = users_and_threads.thread_id
                 AND sender_id = users_and_threads.user_id AND seq > last_read_seq
         )",
    ),
];

/// Compares what is stored for a fast answer with what it repeats, by reading all rows. Returns what differs; nothing if
/// the rules are right.
pub async fn differences<C: ConnectionTrait>(conn: &C) -> Result<Vec<String>> {
    let backend = conn.get_database_backend();
    let minute = if backend == DbBackend::Postgres {
        "floor(extract(epoch FROM last_activity_at) / 60)"
    } else {
        "CAST(strftime('%s', last_activity_at) AS INTEGER) / 60"
    };
    let small = SMALL_THREAD.to_string();
    let mut differences = Vec::new();
    for (what, sql) in CHECKS {
        let statement =
            Statement::from_string(backend, sql.replace("{minute}", minute).replace("{small}", &small));
        for row in conn.query_all_raw(statement).await? {
            let (thread, user): (Uuid, Uuid) = (row.try_get("", "thread_id")?, row.try_get("", "user_id")?);
            differences.push(format!("{thread} of {user} {what}"));
        }
    }
    Ok(differences)
}
