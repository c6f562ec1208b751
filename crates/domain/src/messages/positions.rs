//! Moving a participant's delivered position and read position. They only move forward.

use groundwork_core::{
    Error, Repository, Result, Tx, Uuid,
    events::{self, NewEvent},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, prelude::Expr, sea_query::LockType,
};
use serde_json::json;

use super::{
    first_receipt::{Move, Open, Span},
    receipt::{self, ReceiptKind},
};
use crate::{
    events::{self as subject, RECEIPT_UPDATED},
    threads::{self, ThreadRepository, participant},
};

/// Moves a position of `user` to `seq`, or to the end of the thread. Messages that are read count as delivered. A move
/// backward does nothing.
///
/// Locks the user's row in the thread, and before it the thread if the receipt is the first or the second for a
/// message. So the readers of a large group don't wait for each other.
///
/// # Errors
/// `not_found` if the user is not in the thread; `invalid` for a `seq` beyond its end.
pub(super) async fn advance(
    tx: &Tx,
    user: Uuid,
    thread_id: Uuid,
    kind: ReceiptKind,
    seq: Option<i64>,
) -> Result<()> {
    let mine = ThreadRepository.participant(tx, thread_id, user).await?;
    let thread = ThreadRepository.get(tx, thread_id).await?.ok_or_else(|| Error::not_found("thread"))?;
    let seq = seq.unwrap_or(thread.last_seq);
    if !(0..=thread.last_seq).contains(&seq) {
        let bound = thread.last_seq;
        return Err(Error::invalid(
            "seq",
            "out_of_range",
            format!("must be from 0 to {bound}, the last message"),
        ));
    }
    let moves = moves_of(&mine, kind, seq);
    if moves.is_empty() {
        return Ok(());
    }
    // Open spans only shrink, so without the lock the result is at worst too large.
    let is_first = Open::load(tx, thread_id, &moves).await?.touches(&moves);
    if is_first {
        lock_thread(tx, thread_id).await?;
    }
    let mine = locked_participant(tx, thread_id, user).await?;
    let moves = moves_of(&mine, kind, seq);
    if moves.is_empty() {
        return Ok(());
    }
    // No receipt is older than a message that it covers, even if the servers' clocks differ.
    let at = tx.now().max(thread.last_activity_at);
    if is_first {
        Open::load(tx, thread_id, &moves).await?.record(tx, thread_id, user, at, &moves).await?;
    }
    let mut update = participant::Entity::update_many()
        .filter(participant::Column::ThreadId.eq(thread_id))
        .filter(participant::Column::UserId.eq(user));
    for (kind, span) in &moves {
        let position = match kind {
            ReceiptKind::Delivered => participant::Column::LastDeliveredSeq,
            ReceiptKind::Read => participant::Column::LastReadSeq,
        };
        update = update.col_expr(position, Expr::value(span.to));
        if *kind == ReceiptKind::Read {
            let left = ThreadRepository.sent_after(tx, &mine, span.to, thread.last_seq).await?;
            update = update.col_expr(participant::Column::SentSinceRead, Expr::value(left));
        }
    }
    update.exec(tx).await?;
    // A `read` receipt implies that the messages were delivered.
    let own = moves.iter().find(|(moved, _)| *moved == kind);
    if let Some((_, span)) = own {
        let row = receipt::ActiveModel {
            thread_id: Set(thread_id),
            user_id: Set(user),
            kind: Set(kind),
            seq: Set(span.to),
            from_seq: Set(span.from),
            at: Set(at),
            folded: Set(false),
        };
        receipt::Entity::insert(row).exec_without_returning(tx).await?;
    }
    // No version: a receipt is not a change of the thread.
    let event = NewEvent::new(RECEIPT_UPDATED, subject::thread(thread_id)).of_user(user).by(user);
    events::append(tx, event.with(json!({"kind": kind, "seq": seq, "at": at}))).await
}

/// Which positions move, and over which messages, when `kind` moves to `seq`.
fn moves_of(mine: &participant::Model, kind: ReceiptKind, seq: i64) -> Vec<Move> {
    let mut moves = vec![(ReceiptKind::Delivered, Span { from: mine.last_delivered_seq, to: seq })];
    if kind == ReceiptKind::Read {
        moves.push((ReceiptKind::Read, Span { from: mine.last_read_seq, to: seq }));
    }
    moves.retain(|(_, span)| span.from < span.to);
    moves
}

/// Locks the thread as a change in it does.
async fn lock_thread(tx: &Tx, thread: Uuid) -> Result<()> {
    // Not for update: inserting a row that refers to the thread need not wait.
    let locked = threads::entity::Entity::find_by_id(thread).lock(LockType::NoKeyUpdate).one(tx).await?;
    locked.map(|_| ()).ok_or_else(|| Error::not_found("thread"))
}

async fn locked_participant(tx: &Tx, thread: Uuid, user: Uuid) -> Result<participant::Model> {
    let mine = participant::Entity::find_by_id((thread, user))
        .filter(participant::Column::LeftAt.is_null())
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    mine.ok_or_else(|| Error::not_found("thread"))
}
