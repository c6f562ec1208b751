//! Sends a message in a transaction that is given, with a fixed number of rows and round trips, whatever the size of the thread.
//!
//! Updating the thread's row takes the next `seq` and `version`, and locks the thread. Then the message and its event
//! are inserted if the sender is in the thread. This is checked after the lock is taken, so that somebody who was just
//! removed cannot send.
//!
//! [`queue`](super::queue) writes the same rows for many messages at once. This is what it is compared with.

use groundwork_core::{
    Error, Result, Timestamp, Tx, Uuid,
    events::{self, NewEvent},
    sea_orm::{DbBackend, Statement},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde_json::{Value as Json, json};

use super::entity::{ActiveModel, Entity, Model};
use crate::{
    codes::USER_INACTIVE,
    events::{self as subject, MESSAGE_CREATED},
    threads::{self, ThreadRepository, recent::place},
    users::UserRepository,
};

/// Sends `text` into the thread. `client_id` is the sender's own id for the message.
///
/// # Errors
/// `not_found` if there is no such thread or the sender is not in it, `user_inactive` if the receiver is deactivated.
pub(super) async fn send(
    tx: &Tx,
    sender: Uuid,
    thread: Uuid,
    text: String,
    client_id: Option<&str>,
) -> Result<Model> {
    let threads = ThreadRepository;
    let thread = threads.next_message(tx, thread).await?;
    threads.refile(tx, &thread, place(thread.last_activity_at, thread.participant_count)).await?;
    let message = new_message(tx, &thread, sender, text);
    let payload = payload(message.seq, client_id);
    if tx.get_database_backend() == DbBackend::Postgres {
        // Four statements would be three round trips more, with the lock held.
        let statement = postgres_insert(&message, payload, tx.now());
        if tx.execute_raw(statement).await?.rows_affected() == 0 {
            require_allowed(tx, &message).await?;
            return Err(Error::not_found("thread"));
        }
        tx.mark_appended();
    } else {
        require_allowed(tx, &message).await?;
        threads.count_sent(tx, &message).await?;
        Entity::insert(row_of(&message)).exec_without_returning(tx).await?;
        let event =
            NewEvent::new(MESSAGE_CREATED, subject::thread(thread.id)).at_version(message.version).by(sender);
        events::append(tx, event.with(payload)).await?;
    }
    Ok(message)
}

/// The payload of the event of a message. The thread, which is the event's subject, and the `seq` identify the message.
pub(super) fn payload(seq: i64, client_id: Option<&str>) -> Json {
    match client_id {
        Some(client_id) => json!({"seq": seq, "client_id": client_id}),
        None => json!({"seq": seq}),
    }
}

/// Checks that the sender is in the thread, and that the receiver of a direct message is active.
async fn require_allowed(tx: &Tx, message: &Model) -> Result<()> {
    ThreadRepository.participant(tx, message.thread_id, message.sender_id).await?;
    match message.receiver_id {
        Some(receiver) if !UserRepository.is_active(tx, receiver).await? => {
            Err(USER_INACTIVE.error("the receiver is deactivated"))
        }
        _ => Ok(()),
    }
}

fn new_message(tx: &Tx, thread: &threads::entity::Model, sender: Uuid, text: String) -> Model {
    Model {
        id: tx.new_id(),
        // Not `tx.now()`: the thread's clock never runs backwards.
        created_at: thread.last_activity_at,
        updated_at: thread.last_activity_at,
        deleted_at: None,
        thread_id: thread.id,
        seq: thread.last_seq,
        version: thread.version,
        sender_id: sender,
        receiver_id: thread.other_than(sender),
        text,
        edited_at: None,
    }
}

fn row_of(message: &Model) -> ActiveModel {
    let message = message.clone();
    ActiveModel {
        id: Set(message.id),
        created_at: Set(message.created_at),
        updated_at: Set(message.updated_at),
        deleted_at: Set(message.deleted_at),
        thread_id: Set(message.thread_id),
        seq: Set(message.seq),
        version: Set(message.version),
        sender_id: Set(message.sender_id),
        receiver_id: Set(message.receiver_id),
        text: Set(message.text),
        edited_at: Set(message.edited_at),
    }
}

/// Does in one statement what SQLite takes four for.
fn postgres_insert(message: &Model, payload: Json, now: Timestamp) -> Statement {
    const SQL: &str = r"
        WITH sender AS (
            UPDATE users_and_threads SET sent_since_read = sent_since_read + 1
            WHERE thread_id = $3 AND user_id = $6 AND left_at IS NULL
                AND ($7 IS NULL OR EXISTS (
                    SELECT FROM users WHERE id = $7 AND is_active AND deleted_at IS NULL
                ))
            RETURNING user_id
        ), sent AS (
            INSERT INTO messages
                (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
            SELECT $1, $2, $2, $3, $4, $5, $6, $7, $8 FROM sender
            RETURNING id
        )
        INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
        SELECT 'thread', $3, $5, $9, $6, $10, $11 FROM sent";
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        SQL,
        [
            message.id.into(),
            message.created_at.into(),
            message.thread_id.into(),
            message.seq.into(),
            message.version.into(),
            message.sender_id.into(),
            message.receiver_id.into(),
            message.text.clone().into(),
            MESSAGE_CREATED.into(),
            payload.into(),
            now.into(),
        ],
    )
}
