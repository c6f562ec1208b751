//! Moving watermarks: how far a participant has received and read a thread. They only move forwards.

use groundwork_core::{
    Error, Repository, Result, Tx, Uuid,
    events::{self, NewEvent},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, prelude::Expr};
use serde_json::json;

use super::receipt::{self, ReceiptKind};
use crate::{
    events::{self as subject, RECEIPT_UPDATED},
    threads::{ThreadRepository, participant},
};

/// Moves a watermark of `user` to `seq`, or to the end of the thread. What was read was delivered. A move backwards
/// does nothing. Errors: `not_found` where the user isn't in the thread, `invalid` beyond its end.
pub(super) async fn advance(
    tx: &Tx,
    user: Uuid,
    thread_id: Uuid,
    kind: ReceiptKind,
    seq: Option<i64>,
) -> Result<()> {
    let mine = participant::Entity::find_by_id((thread_id, user))
        .filter(participant::Column::LeftAt.is_null())
        .lock_exclusive()
        .one(tx)
        .await?;
    let mine = mine.ok_or_else(|| Error::not_found("thread"))?;
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
    let read = if kind == ReceiptKind::Read { seq.max(mine.last_read_seq) } else { mine.last_read_seq };
    let delivered = seq.max(mine.last_delivered_seq);
    let moved: Vec<(ReceiptKind, i64)> = [
        (ReceiptKind::Delivered, mine.last_delivered_seq, delivered),
        (ReceiptKind::Read, mine.last_read_seq, read),
    ]
    .into_iter()
    .filter_map(|(kind, from, to)| (from < to).then_some((kind, from)))
    .collect();
    if moved.is_empty() {
        return Ok(());
    }
    participant::Entity::update_many()
        .col_expr(participant::Column::LastDeliveredSeq, Expr::value(delivered))
        .col_expr(participant::Column::LastReadSeq, Expr::value(read))
        .filter(participant::Column::ThreadId.eq(thread_id))
        .filter(participant::Column::UserId.eq(user))
        .exec(tx)
        .await?;
    let rows = moved.into_iter().map(|(kind, from)| receipt::ActiveModel {
        thread_id: Set(thread_id),
        user_id: Set(user),
        kind: Set(kind),
        seq: Set(seq),
        from_seq: Set(from),
        // See the invariant of `receipt::Model`: no message of the thread is younger than its last activity.
        at: Set(tx.now().max(thread.last_activity_at)),
    });
    receipt::Entity::insert_many(rows).exec_without_returning(tx).await?;
    let event = NewEvent::new(RECEIPT_UPDATED, subject::thread(thread_id))
        .at_version(thread.version)
        .of_user(user)
        .by(user);
    events::append(tx, event.with(json!({"kind": kind, "seq": seq}))).await
}
