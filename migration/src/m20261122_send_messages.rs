//! The functions that send messages on PostgreSQL, and less to write for each message.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let conn = manager.get_connection();
        conn.execute_unprepared("DROP INDEX ix_messages_sender").await?;
        conn.execute_unprepared(SENDER).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            for (name, ..) in FOREIGN_KEYS {
                conn.execute_unprepared(&format!("ALTER TABLE messages DROP CONSTRAINT {name}")).await?;
            }
            conn.execute_unprepared(SEND_MESSAGES).await?;
            conn.execute_unprepared(SEND_MESSAGE).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let conn = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            conn.execute_unprepared("DROP FUNCTION send_message, send_messages").await?;
            for (name, column, table) in FOREIGN_KEYS {
                let key = format!("FOREIGN KEY ({column}) REFERENCES {table} (id)");
                conn.execute_unprepared(&format!("ALTER TABLE messages ADD CONSTRAINT {name} {key}")).await?;
            }
        }
        conn.execute_unprepared("DROP INDEX ix_messages_sender").await?;
        conn.execute_unprepared(SENDER_AND_THREAD).await?;
        Ok(())
    }
}

/// The outbox. The threads of a page are looked up by the messages of the page.
const SENDER: &str = "CREATE INDEX ix_messages_sender ON messages (sender_id, id) WHERE deleted_at IS NULL";
const SENDER_AND_THREAD: &str =
    "CREATE INDEX ix_messages_sender ON messages (sender_id, id, thread_id) WHERE deleted_at IS NULL";

/// Each inserted message looked up and locked the rows that these refer to. The statements that insert messages check all
/// three, and threads and users are never removed. SQLite cannot drop them from a table.
const FOREIGN_KEYS: [(&str, &str, &str); 3] = [
    ("fk_messages_thread", "thread_id", "threads"),
    ("fk_messages_sender", "sender_id", "users"),
    ("fk_messages_receiver", "receiver_id", "users"),
];

/// Sends messages, each with an outcome of its own: `sent`, `not_found`, `inactive`, `repeat` (the key was used before) or
/// `locked` (not sent, as another transaction holds the lock of the thread). An empty text stands for none of a client's id,
/// a key and a hash.
///
/// - The threads are locked in the order of their ids, in a statement before the one that checks and writes. So this one
///   has a snapshot from after the locks: somebody who was just removed cannot send, and the stamps of the events are in
///   the order of the versions.
/// - If `p_waits` is false, it waits for no thread, and for a key that another transaction is using only for a moment. Keys
///   are claimed first then: a transaction that claims a key and then waits for a thread cannot wait for this one.
/// - If `p_waits` is true, it claims the keys after it has the locks, as whoever waits for a key of a waiting call would wait
///   for the thread as well.
/// - A message that is not sent leaves no key.
const SEND_MESSAGES: &str = r"
CREATE FUNCTION send_messages(
    p_now timestamp, p_expires timestamp, p_waits boolean,
    p_ids uuid[], p_threads uuid[], p_senders uuid[], p_texts text[], p_client_ids text[],
    p_keys text[], p_hashes text[]
) RETURNS TABLE (n bigint, outcome text, seq bigint, version bigint, sent_at timestamp, receiver_id uuid)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_locked uuid[];
    v_claimed text[];
    v_keyed boolean := p_keys <> array_fill(''::text, ARRAY[cardinality(p_keys)]);
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'send_messages needs the isolation level READ COMMITTED';
    END IF;
    IF p_waits THEN
        SELECT array_agg(l.id) INTO v_locked FROM (
            SELECT t.id FROM threads t WHERE t.id = ANY (p_threads) AND t.deleted_at IS NULL
            ORDER BY t.id FOR NO KEY UPDATE
        ) l;
    END IF;
    IF v_keyed THEN
        IF NOT p_waits THEN
            PERFORM set_config('lock_timeout', '100', true);
        END IF;
        WITH claimed AS (
            INSERT INTO idempotency_keys AS k (user_id, key, request_hash, result, expires_at)
            SELECT c.sender_id, c.key, c.hash, to_json(c.id)::text, p_expires
            FROM unnest(p_ids, p_senders, p_keys, p_hashes) AS c (id, sender_id, key, hash)
            WHERE c.key <> ''
            ORDER BY c.sender_id, c.key
            ON CONFLICT (user_id, key) DO UPDATE
                SET request_hash = excluded.request_hash, result = excluded.result, expires_at = excluded.expires_at
                WHERE k.expires_at <= p_now
            RETURNING k.result
        )
        SELECT coalesce(array_agg(c.result), '{}') INTO v_claimed FROM claimed c;
    END IF;
    IF NOT p_waits THEN
        SELECT array_agg(l.id) INTO v_locked FROM (
            SELECT t.id FROM threads t WHERE t.id = ANY (p_threads) AND t.deleted_at IS NULL
            ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED
        ) l;
    END IF;
    RETURN QUERY
    WITH checked AS (
        SELECT c.n, c.id, c.thread_id, c.sender_id, u.id AS receiver_id, c.text, c.client_id,
            t.last_seq, t.version, greatest(t.last_activity_at, p_now) AS sent_at, t.recent_minute,
            CASE WHEN t.participant_count > 50 THEN 0
                ELSE greatest(1, floor(extract(epoch FROM greatest(t.last_activity_at, p_now)) / 60)::integer)
            END AS minute,
            CASE
                WHEN c.key <> '' AND to_json(c.id)::text <> ALL (v_claimed) THEN 'repeat'
                WHEN t.id IS NULL AND EXISTS (
                    SELECT FROM threads x WHERE x.id = c.thread_id AND x.deleted_at IS NULL
                ) THEN 'locked'
                WHEN p.user_id IS NULL OR t.id IS NULL THEN 'not_found'
                WHEN t.direct_key IS NOT NULL AND (u.is_active AND u.deleted_at IS NULL) IS NOT TRUE THEN 'inactive'
                ELSE 'sent'
            END AS outcome
        FROM unnest(p_ids, p_threads, p_senders, p_texts, p_client_ids, p_keys)
            WITH ORDINALITY AS c (id, thread_id, sender_id, text, client_id, key, n)
        LEFT JOIN threads t ON t.id = c.thread_id AND t.id = ANY (v_locked)
        LEFT JOIN users_and_threads p
            ON p.thread_id = c.thread_id AND p.user_id = c.sender_id AND p.left_at IS NULL
        LEFT JOIN users u ON u.id = CASE left(t.direct_key, 36)::uuid
            WHEN c.sender_id THEN right(t.direct_key, 36)::uuid
            ELSE left(t.direct_key, 36)::uuid
        END
    ), numbered AS MATERIALIZED (
        SELECT c.*, row_number() OVER (PARTITION BY c.thread_id, c.outcome ORDER BY c.n) AS k FROM checked c
    ), moved AS (
        UPDATE threads t
        SET last_seq = t.last_seq + m.k, version = t.version + m.k, updated_at = p_now,
            last_activity_at = greatest(t.last_activity_at, p_now), recent_minute = m.minute
        FROM (
            SELECT g.thread_id, g.minute, count(*) AS k FROM numbered g WHERE g.outcome = 'sent'
            GROUP BY g.thread_id, g.minute
        ) m
        WHERE t.id = m.thread_id
    ), refiled AS (
        UPDATE recent_threads r
        SET minute = g.minute
        FROM numbered g JOIN users_and_threads p ON p.thread_id = g.thread_id AND p.left_at IS NULL
        WHERE g.outcome = 'sent' AND g.k = 1 AND g.minute <> g.recent_minute
            AND r.user_id = p.user_id AND r.minute = g.recent_minute AND r.thread_id = g.thread_id
    ), counted AS (
        UPDATE users_and_threads p
        SET sent_since_read = p.sent_since_read + m.k
        FROM (
            SELECT g.thread_id, g.sender_id, count(*) AS k FROM numbered g WHERE g.outcome = 'sent'
            GROUP BY g.thread_id, g.sender_id
        ) m
        WHERE p.thread_id = m.thread_id AND p.user_id = m.sender_id
    ), written AS (
        INSERT INTO messages
            (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
        SELECT g.id, g.sent_at, g.sent_at, g.thread_id, g.last_seq + g.k, g.version + g.k, g.sender_id,
            g.receiver_id, g.text
        FROM numbered g WHERE g.outcome = 'sent'
    ), noted AS (
        INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
        SELECT 'thread', g.thread_id, g.version + g.k, 'message.created', g.sender_id,
            CASE g.client_id
                WHEN '' THEN jsonb_build_object('seq', g.last_seq + g.k)
                ELSE jsonb_build_object('seq', g.last_seq + g.k, 'client_id', g.client_id)
            END,
            p_now
        FROM numbered g WHERE g.outcome = 'sent' ORDER BY g.n
    )
    SELECT g.n, g.outcome, g.last_seq + g.k, g.version + g.k, g.sent_at, g.receiver_id FROM numbered g;
    IF v_keyed THEN
        DELETE FROM idempotency_keys k
        USING unnest(p_ids, p_senders, p_keys) AS c (id, sender_id, key)
        WHERE k.user_id = c.sender_id AND k.key = c.key AND k.result = to_json(c.id)::text
            AND to_json(c.id)::text = ANY (v_claimed)
            AND NOT EXISTS (SELECT FROM messages m WHERE m.id = c.id);
    END IF;
END $$;
";

/// As [`SEND_MESSAGES`] without waiting, for one message: what a message costs when nobody else sends. It costs less, as its
/// statements have no arrays to join. If the message cannot be sent, `send_messages` tells why.
const SEND_MESSAGE: &str = r"
CREATE FUNCTION send_message(
    p_now timestamp, p_expires timestamp, p_id uuid, p_thread uuid, p_sender uuid, p_text text, p_client_id text,
    p_key text, p_hash text
) RETURNS TABLE (n bigint, outcome text, seq bigint, version bigint, sent_at timestamp, receiver_id uuid)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'send_message needs the isolation level READ COMMITTED';
    END IF;
    IF p_key <> '' THEN
        PERFORM set_config('lock_timeout', '100', true);
        INSERT INTO idempotency_keys AS k (user_id, key, request_hash, result, expires_at)
        VALUES (p_sender, p_key, p_hash, to_json(p_id)::text, p_expires)
        ON CONFLICT (user_id, key) DO UPDATE
            SET request_hash = excluded.request_hash, result = excluded.result, expires_at = excluded.expires_at
            WHERE k.expires_at <= p_now;
        IF NOT FOUND THEN
            RETURN QUERY SELECT 1::bigint, 'repeat', NULL::bigint, NULL::bigint, NULL::timestamp, NULL::uuid;
            RETURN;
        END IF;
    END IF;
    SELECT t.last_seq + 1 AS seq, t.version + 1 AS version, greatest(t.last_activity_at, p_now) AS sent_at,
        t.recent_minute, CASE WHEN t.participant_count > 50 THEN 0
            ELSE greatest(1, floor(extract(epoch FROM greatest(t.last_activity_at, p_now)) / 60)::integer)
        END AS minute,
        CASE left(t.direct_key, 36)::uuid
            WHEN p_sender THEN right(t.direct_key, 36)::uuid
            ELSE left(t.direct_key, 36)::uuid
        END AS receiver_id
    INTO v
    FROM threads t WHERE t.id = p_thread AND t.deleted_at IS NULL FOR NO KEY UPDATE SKIP LOCKED;
    WITH sender AS (
        UPDATE users_and_threads p SET sent_since_read = p.sent_since_read + 1
        WHERE v.seq IS NOT NULL AND p.thread_id = p_thread AND p.user_id = p_sender AND p.left_at IS NULL
            AND (v.receiver_id IS NULL OR EXISTS (
                SELECT FROM users u WHERE u.id = v.receiver_id AND u.is_active AND u.deleted_at IS NULL
            ))
        RETURNING p.user_id
    ), moved AS (
        UPDATE threads t SET last_seq = v.seq, version = v.version, updated_at = p_now, last_activity_at = v.sent_at,
            recent_minute = v.minute
        FROM sender WHERE t.id = p_thread
    ), written AS (
        INSERT INTO messages
            (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
        SELECT p_id, v.sent_at, v.sent_at, p_thread, v.seq, v.version, p_sender, v.receiver_id, p_text FROM sender
    )
    INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
    SELECT 'thread', p_thread, v.version, 'message.created', p_sender,
        CASE p_client_id
            WHEN '' THEN jsonb_build_object('seq', v.seq)
            ELSE jsonb_build_object('seq', v.seq, 'client_id', p_client_id)
        END,
        p_now
    FROM sender;
    IF FOUND THEN
        IF v.minute <> v.recent_minute THEN
            UPDATE recent_threads r SET minute = v.minute
            FROM users_and_threads p
            WHERE p.thread_id = p_thread AND p.left_at IS NULL
                AND r.user_id = p.user_id AND r.minute = v.recent_minute AND r.thread_id = p_thread;
        END IF;
        RETURN QUERY SELECT 1::bigint, 'sent', v.seq, v.version, v.sent_at, v.receiver_id;
    ELSE
        DELETE FROM idempotency_keys k WHERE k.user_id = p_sender AND k.key = p_key;
        RETURN QUERY SELECT * FROM send_messages(
            p_now, p_expires, false, ARRAY[p_id], ARRAY[p_thread], ARRAY[p_sender], ARRAY[p_text],
            ARRAY[p_client_id], ARRAY[p_key], ARRAY[p_hash]
        );
    END IF;
END $$;
";
