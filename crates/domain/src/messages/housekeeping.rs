//! Folds old receipts, and deletes those of deleted threads.
//!
//! What a message itself shows (`delivered_at`, `read_at`) is in `first_receipts`, which has at most four rows per
//! message. `receipts` is the record of each participant. Of an old day it keeps one row for each participant and kind:
//! who received and read each message stays exact, and when is exact to the day.

use std::time::Duration;

use groundwork_core::{Db, Result, Timestamp, Tx};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    prelude::Expr,
    sea_query::{ExprTrait, IntoIden, LockType, Query, SelectStatement},
};

use super::{
    first_receipt,
    receipt::{ActiveModel, Column, Entity, Model},
};
use crate::threads::{self, participant};

/// The maximum number of rows that one transaction reads, to keep it short.
const BATCH: u64 = 1000;

/// Folds the receipts that are older than `detail`, and deletes those of threads that were deleted before. Returns
/// the number of rows saved.
///
/// It can be repeated, interrupted, and run on several servers at once.
///
/// # Errors
/// The errors of the database.
pub async fn sweep(db: &Db, detail: Duration) -> Result<u64> {
    // Whole days only, so that a folded day is final.
    let before = (db.now() - detail).start_of_day();
    let mut gone = 0;
    while let Some(folded) = db.write(async |tx| fold_one(tx, before).await).await? {
        gone += folded;
    }
    loop {
        let deleted = db.write(async |tx| delete_some(tx, before).await).await?;
        gone += deleted;
        if deleted == 0 {
            return Ok(gone);
        }
    }
}

/// Folds old receipts of one participant. Returns how many rows it saved, or `None` if nothing is left to fold.
async fn fold_one(tx: &Tx, before: Timestamp) -> Result<Option<u64>> {
    let unfolded =
        || Entity::find().filter(Expr::col((Entity, Column::Folded)).not()).filter(Column::At.lt(before));
    let Some(oldest) = unfolded().order_by_asc(Column::At).one(tx).await? else {
        return Ok(None);
    };
    // Another server may fold the same rows: the lock of the participant's row excludes it.
    participant::Entity::find_by_id((oldest.thread_id, oldest.user_id))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    let rows = unfolded()
        .filter(Column::ThreadId.eq(oldest.thread_id))
        .filter(Column::UserId.eq(oldest.user_id))
        .filter(Column::Kind.eq(oldest.kind))
        .order_by_asc(Column::Seq)
        .limit(BATCH)
        .all(tx)
        .await?;
    if rows.is_empty() {
        return Ok(Some(0));
    }
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let folded = fold(rows);
    let saved = seqs.len() - folded.len();
    Entity::delete_many()
        .filter(Column::ThreadId.eq(oldest.thread_id))
        .filter(Column::UserId.eq(oldest.user_id))
        .filter(Column::Kind.eq(oldest.kind))
        .filter(Column::Seq.is_in(seqs))
        .exec(tx)
        .await?;
    let rows = folded.into_iter().map(|row| ActiveModel {
        thread_id: Set(row.thread_id),
        user_id: Set(row.user_id),
        kind: Set(row.kind),
        seq: Set(row.seq),
        from_seq: Set(row.from_seq),
        at: Set(row.at),
        folded: Set(true),
    });
    Entity::insert_many(rows).exec_without_returning(tx).await?;
    Ok(Some(u64::try_from(saved).unwrap_or(0)))
}

/// Joins receipts of one participant and kind, in the order of `seq`, that follow each other on the same day. The time
/// is that of the last: it is never before a message was sent.
fn fold(rows: Vec<Model>) -> Vec<Model> {
    let mut folded: Vec<Model> = Vec::new();
    for row in rows {
        match folded.last_mut() {
            Some(last) if last.seq == row.from_seq && last.at.start_of_day() == row.at.start_of_day() => {
                *last = Model { from_seq: last.from_seq, ..row };
            }
            _ => folded.push(row),
        }
    }
    folded
}

/// Deletes some receipts of threads that were deleted before `before`, and returns their number.
async fn delete_some(tx: &Tx, before: Timestamp) -> Result<u64> {
    use first_receipt::{Column as F, Entity as FirstReceipts};
    use threads::entity::{Column as T, Entity as Threads};
    let of_deleted = |table: sea_orm::DynIden, columns: Vec<sea_orm::DynIden>| -> SelectStatement {
        let mut select = Query::select();
        let thread_id = (table.clone(), Column::ThreadId.into_iden());
        select
            .columns(columns.into_iter().map(|column| (table.clone(), column)))
            .from(table)
            .inner_join(Threads, Expr::col((Threads, T::Id)).equals(thread_id))
            .and_where(Expr::col((Threads, T::DeletedAt)).lt(before))
            .order_by((Threads, T::DeletedAt), Order::Asc)
            .limit(BATCH);
        select
    };
    let mut deleted = 0;
    let keys = [
        (
            Entity.into_iden(),
            vec![
                Column::ThreadId.into_iden(),
                Column::UserId.into_iden(),
                Column::Kind.into_iden(),
                Column::Seq.into_iden(),
            ],
        ),
        (
            FirstReceipts.into_iden(),
            vec![F::ThreadId.into_iden(), F::Kind.into_iden(), F::Rank.into_iden(), F::Seq.into_iden()],
        ),
    ];
    for (table, key) in keys {
        let rows =
            Expr::tuple(key.iter().cloned().map(Expr::col)).in_subquery(of_deleted(table.clone(), key));
        let statement = Query::delete().from_table(table).and_where(rows).take();
        deleted += tx.execute(&statement).await?.rows_affected();
    }
    Ok(deleted)
}
