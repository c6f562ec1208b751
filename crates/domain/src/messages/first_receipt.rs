//! The table `first_receipts`: for every message of a thread, whose receipt was the first to cover it, and whose was
//! the second.
//!
//! A message's `delivered_at` and `read_at` are the time of the first receipt of somebody other than its sender. The
//! sender may be the first (their own position moves over their own messages), but never both of the first two. So
//! two ranks are enough for every sender, and each is found by one look-up in the primary key, however many receipts
//! there are.
//!
//! The rows of one thread, kind and rank cover all `seq` from 1 to [`END`] without overlapping. A row without a user
//! is *open*: no receipt covers its messages yet. If a rank has no row, all of it is open.

use groundwork_core::{Result, Timestamp, Tx, Uuid};
use sea_orm::{ActiveValue::Set, Condition, ConnectionTrait, QueryOrder, entity::prelude::*};

use super::receipt::ReceiptKind;

/// The upper end of the last row of a rank: above every `seq`.
pub const END: i64 = i64::MAX;
/// The first two users who received or read a message.
const RANKS: [i16; 2] = [1, 2];

/// The messages after `from_seq` up to `seq` were first received or read (`rank` 1), or first by a second user
/// (`rank` 2), by `user_id` at `at`; by nobody yet if these are null.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "first_receipts")]
pub struct Model {
    /// The thread.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thread_id: Uuid,
    /// Received or read.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: ReceiptKind,
    /// 1 for the first user, 2 for the second.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rank: i16,
    /// The last message of the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The message before the first of the row.
    pub from_seq: i64,
    /// Whose receipt it was, or null.
    pub user_id: Option<Uuid>,
    /// The time of that receipt, or null.
    pub at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The messages after `from` up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: i64,
    pub to: i64,
}

impl Span {
    /// Returns the intersection.
    fn overlap(self, other: Self) -> Option<Self> {
        let span = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (span.from < span.to).then_some(span)
    }
}

/// Takes `wanted` out of `open`, both without overlaps. Returns what is still open, and what was taken.
fn take(open: &[Span], wanted: &[Span]) -> (Vec<Span>, Vec<Span>) {
    let (mut left, mut taken) = (Vec::new(), Vec::new());
    for span in open {
        let mut from = span.from;
        for part in wanted.iter().filter_map(|part| span.overlap(*part)) {
            left.extend(span.overlap(Span { from, to: part.from }));
            taken.push(part);
            from = part.to;
        }
        left.extend(span.overlap(Span { from, to: span.to }));
    }
    (left, taken)
}

/// The open spans of a thread around some moves, as they are in the table.
#[derive(Debug)]
pub(super) struct Open(Vec<Model>);

/// A move of a participant's position.
pub(super) type Move = (ReceiptKind, Span);

impl Open {
    /// Reads the open spans that `moves` may touch.
    pub async fn load<C: ConnectionTrait>(conn: &C, thread: Uuid, moves: &[Move]) -> Result<Self> {
        let from = moves.iter().map(|(_, span)| span.from).min().unwrap_or(END);
        let to = moves.iter().map(|(_, span)| span.to).max().unwrap_or(0);
        let near = Condition::any().add(Column::FromSeq.lt(to)).add(Column::Seq.eq(END));
        let rows = Entity::find()
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::UserId.is_null())
            .filter(Column::Seq.gt(from))
            .filter(near)
            .order_by_asc(Column::Seq);
        Ok(Self(rows.all(conn).await?))
    }

    /// Whether a receipt for `moves` would be the first or the second for any message.
    pub fn touches(&self, moves: &[Move]) -> bool {
        moves.iter().any(|(kind, span)| {
            RANKS.iter().any(|rank| self.spans(*kind, *rank).iter().any(|open| open.overlap(*span).is_some()))
        })
    }

    fn spans(&self, kind: ReceiptKind, rank: i16) -> Vec<Span> {
        let rows = self.0.iter().filter(|row| row.kind == kind && row.rank == rank);
        let spans: Vec<Span> = rows.map(|row| Span { from: row.from_seq, to: row.seq }).collect();
        // A rank that has rows has the one that ends at `END`.
        if spans.is_empty() { vec![Span { from: 0, to: END }] } else { spans }
    }

    /// Records that `user` received or read the messages of `moves`. The caller holds the thread's lock.
    pub async fn record(
        self,
        tx: &Tx,
        thread: Uuid,
        user: Uuid,
        at: Timestamp,
        moves: &[Move],
    ) -> Result<()> {
        let row = |kind, rank, span: Span, user: Option<Uuid>| ActiveModel {
            thread_id: Set(thread),
            kind: Set(kind),
            rank: Set(rank),
            seq: Set(span.to),
            from_seq: Set(span.from),
            user_id: Set(user),
            at: Set(user.map(|_| at)),
        };
        let (mut gone, mut new) = (Condition::any(), Vec::new());
        for (kind, span) in moves {
            // Messages with another first user remain for the second rank.
            let mut wanted = vec![*span];
            for rank in RANKS {
                let open = self.spans(*kind, rank);
                let (left, taken) = take(&open, &wanted);
                for span in open.iter().filter(|span| !left.contains(span)) {
                    let row = Condition::all().add(Column::Kind.eq(*kind)).add(Column::Rank.eq(rank));
                    gone = gone.add(row.add(Column::Seq.eq(span.to)));
                }
                new.extend(
                    left.iter().filter(|span| !open.contains(span)).map(|span| row(*kind, rank, *span, None)),
                );
                new.extend(taken.iter().map(|span| row(*kind, rank, *span, Some(user))));
                wanted = take(&wanted, &taken).0;
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        Entity::delete_many()
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::UserId.is_null())
            .filter(gone)
            .exec(tx)
            .await?;
        Entity::insert_many(new).exec_without_returning(tx).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The numbers from 1 to 20 in any of the spans.
    fn numbers(spans: &[Span]) -> Vec<i64> {
        (1..=20).filter(|n| spans.iter().any(|span| span.from < *n && *n <= span.to)).collect()
    }

    /// Spans without overlaps, in order.
    fn spans() -> impl Strategy<Value = Vec<Span>> {
        proptest::collection::btree_set(0_i64..=20, 0..8).prop_map(|bounds| {
            let bounds: Vec<i64> = bounds.into_iter().collect();
            bounds.chunks_exact(2).map(|pair| Span { from: pair[0], to: pair[1] }).collect()
        })
    }

    proptest! {
        /// Every number is either still open or taken, and what is taken was open and wanted.
        #[test]
        fn takes_what_is_open_and_wanted(open in spans(), wanted in spans()) {
            let (left, taken) = take(&open, &wanted);
            let (open, wanted) = (numbers(&open), numbers(&wanted));
            let both: Vec<i64> = open.iter().copied().filter(|n| wanted.contains(n)).collect();
            prop_assert_eq!(numbers(&taken), both.clone());
            let rest: Vec<i64> = open.into_iter().filter(|n| !both.contains(n)).collect();
            prop_assert_eq!(numbers(&left), rest);
        }
    }
}
