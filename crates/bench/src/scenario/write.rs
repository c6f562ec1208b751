//! The scenarios that write.

use std::rc::Rc;

use super::{Direct, Ground, Scenario, mix, one_of};
use crate::load::{
    sql::Dialect,
    tables::SMALL_THREAD,
    world::{Block, World, id},
};

/// The text that is sent: 30 bytes.
const TEXT: &str = "A text that has thirty bytes..";
/// Part of the ids of the messages that are written without the service.
const WRITTEN: u64 = 0x300;

pub(super) fn scenarios(ground: &Ground) -> Vec<Scenario> {
    let send = |name, connections, block: fn(&World) -> &Block| Scenario {
        name,
        request: ground.post(move |world, number| {
            let (thread, sender) = place(world, block(world), number);
            let path = format!("/threads/{}/messages", world.thread(block(world), thread));
            (sender, path, format!(r#"{{"text":"{TEXT}"}}"#))
        }),
        connections,
        direct: Some(direct_send(ground, block)),
    };
    vec![
        send("send", None, |world| &world.directs),
        send("send, 1 connection", Some(1), |world| &world.directs),
        send("send, 256 connections", Some(256), |world| &world.directs),
        send("send, group of 3", None, |world| &world.groups),
        send("send, group of 1,000", Some(8), |world| &world.medium),
        send("send, group of 10,000", Some(8), |world| &world.large),
        mark_read(ground),
    ]
}

/// A thread, and the number of a user who writes in it.
fn place(world: &World, block: &Block, number: u64) -> (u64, u64) {
    let thread = one_of(block, number);
    (thread, world.sender(block, thread, mix(number) >> 8))
}

/// Moves the position of the second participant of a direct thread by one message.
fn mark_read(ground: &Ground) -> Scenario {
    let request = ground.post(|world, number| {
        let block = &world.directs;
        let (thread, step) = (number % block.threads, number / block.threads);
        let seq = (block.second_read + 1 + step).min(block.per_thread);
        let path = format!("/threads/{}/read", world.thread(block, thread));
        (world.member(block, thread, 1), path, format!(r#"{{"seq":{seq}}}"#))
    });
    Scenario { name: "mark read", request, connections: None, direct: None }
}

/// What a send writes: the thread, the message, the event, the sender's count, and once a minute the places of the thread
/// in the lists of its participants.
fn direct_send(ground: &Ground, block: fn(&World) -> &Block) -> Direct {
    let world = Rc::clone(&ground.world);
    let values = move |number: u64| {
        let block = block(&world);
        let (thread, sender) = place(&world, block, number);
        let receiver = if block.is_direct {
            let members = [0, 1].map(|place| world.member(block, thread, place));
            members.into_iter().find(|member| *member != sender).unwrap_or(sender)
        } else {
            sender
        };
        let message = id(world.start + 25 * 24 * 3_600_000 + number / 10, WRITTEN, number);
        let [thread, message, sender, receiver] =
            [world.thread(block, thread), message, world.user(sender), world.user(receiver)]
                .map(|id| id.simple().to_string());
        vec![thread, message, sender, receiver, TEXT.into()]
    };
    let receives = block(&ground.world).is_direct;
    let statements = match ground.dialect {
        Dialect::Postgres => vec![postgres_send(receives)],
        Dialect::Sqlite => sqlite_send(receives),
    };
    Direct { statements, values: Rc::new(values), writes: true }
}

/// The parameters are the thread, the message, the sender, the receiver and the text.
fn postgres_send(receives: bool) -> String {
    let to = if receives { "$4::uuid" } else { "NULLIF($4::uuid, $4::uuid)" };
    let (payload, minute) =
        (Dialect::Postgres.payload("seq"), Dialect::Postgres.minute("now() AT TIME ZONE 'UTC'"));
    format!(
        "WITH old AS (
            SELECT recent_minute FROM threads WHERE id = $1::uuid FOR NO KEY UPDATE
        ), thread AS (
            UPDATE threads t SET version = version + 1, last_seq = last_seq + 1, updated_at = now() AT TIME ZONE 'UTC',
                last_activity_at = greatest(last_activity_at, now() AT TIME ZONE 'UTC'),
                recent_minute = CASE WHEN participant_count > {SMALL_THREAD} THEN 0 ELSE {minute} END
            FROM old WHERE t.id = $1::uuid
            RETURNING t.id, t.last_seq, t.version, t.last_activity_at, t.recent_minute
        ), refiled AS (
            UPDATE recent_threads r SET minute = thread.recent_minute
            FROM old, thread, users_and_threads p
            WHERE thread.recent_minute <> old.recent_minute AND p.thread_id = thread.id AND p.left_at IS NULL
                AND r.user_id = p.user_id AND r.minute = old.recent_minute AND r.thread_id = thread.id
        ), counted AS (
            UPDATE users_and_threads SET sent_since_read = sent_since_read + 1
            WHERE thread_id = $1::uuid AND user_id = $3::uuid
        ), sent AS (
            INSERT INTO messages (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
            SELECT $2::uuid, last_activity_at, last_activity_at, id, last_seq, version, $3::uuid, {to}, $5::text
            FROM thread
            RETURNING thread_id, seq, version, sender_id, created_at
        )
        INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
        SELECT 'thread', thread_id, version, 'message.created', sender_id, {payload}, created_at FROM sent
        RETURNING version"
    )
}

/// As [`postgres_send`].
fn sqlite_send(receives: bool) -> Vec<String> {
    let to = if receives { "unhex(?4)" } else { "NULLIF(?4, ?4)" };
    let (now, payload) = (Dialect::Sqlite.now(), Dialect::Sqlite.payload("seq"));
    let minute = Dialect::Sqlite.minute("'now'");
    vec![
        format!(
            "UPDATE recent_threads SET minute = {minute}
             WHERE thread_id = unhex(?1)
                AND user_id IN (SELECT user_id FROM users_and_threads WHERE thread_id = unhex(?1) AND left_at IS NULL)
                AND minute = (SELECT recent_minute FROM threads WHERE id = unhex(?1))
                AND minute NOT IN (0, {minute})"
        ),
        format!(
            "UPDATE threads SET version = version + 1, last_seq = last_seq + 1, updated_at = {now},
                last_activity_at = {now},
                recent_minute = CASE WHEN participant_count > {SMALL_THREAD} THEN 0 ELSE {minute} END
             WHERE id = unhex(?1)"
        ),
        "UPDATE users_and_threads SET sent_since_read = sent_since_read + 1
         WHERE thread_id = unhex(?1) AND user_id = unhex(?3)"
            .into(),
        format!(
            "INSERT INTO messages (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
             SELECT unhex(?2), last_activity_at, last_activity_at, id, last_seq, version, unhex(?3), {to}, ?5
             FROM threads WHERE id = unhex(?1)"
        ),
        format!(
            "INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
             SELECT 'thread', thread_id, version, 'message.created', sender_id, {payload}, created_at
             FROM messages WHERE id = unhex(?2)"
        ),
    ]
}
