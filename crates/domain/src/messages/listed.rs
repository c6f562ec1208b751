//! A message as lists show it: with its author and the times of its first receipts, in one row.

use std::collections::BTreeMap;

use groundwork_core::{CursorPage, db::Columns};
use sea_orm::{
    ColumnTrait, DbErr, Order, QueryResult, QuerySelect, Select,
    prelude::Expr,
    sea_query::{CaseStatement, ExprTrait, Func, Query},
};

use super::{
    entity::{Column, Entity, Model},
    first_receipt,
    receipt::ReceiptKind,
    types::{Author, Message, MessageList, MessageRow},
};
use crate::users::entity::{Column as U, Entity as Users};

/// A message and its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The message.
    pub message: Message,
    /// The name of the sender.
    pub author: String,
}

/// The columns of a message, in the order in which [`MessageRow::read`] reads them.
const COLUMNS: [Column; 11] = [
    Column::Id,
    Column::CreatedAt,
    Column::UpdatedAt,
    Column::DeletedAt,
    Column::ThreadId,
    Column::Seq,
    Column::Version,
    Column::SenderId,
    Column::ReceiverId,
    Column::Text,
    Column::EditedAt,
];

/// Adds to each message its author and the times of its first receipts.
///
/// The author is a sub-select, so that it is a look-up by primary key for each message, whatever the planner thinks of joins.
pub(super) fn listed(select: Select<Entity>) -> Select<Entity> {
    let author = Query::select()
        .column((Users, U::Username))
        .from(Users)
        .and_where(Expr::col((Users, U::Id)).equals((Entity, Column::SenderId)))
        .take();
    shown(select).expr_as(Expr::from(author), "author")
}

/// Selects what [`MessageRow::read`] reads.
pub(super) fn shown(select: Select<Entity>) -> Select<Entity> {
    with_first_receipts(select.select_only().columns(COLUMNS))
}

impl MessageRow {
    /// Reads the columns of [`shown`].
    pub(super) fn read(columns: &mut Columns<'_>) -> Result<Self, DbErr> {
        let message = Model {
            id: columns.read()?,
            created_at: columns.read()?,
            updated_at: columns.read()?,
            deleted_at: columns.read()?,
            thread_id: columns.read()?,
            seq: columns.read()?,
            version: columns.read()?,
            sender_id: columns.read()?,
            receiver_id: columns.read()?,
            text: columns.read()?,
            edited_at: columns.read()?,
        };
        Ok(Self { message, delivered_at: columns.read()?, read_at: columns.read()? })
    }
}

impl Listed {
    /// Reads a row of [`listed`].
    pub(super) fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let mut columns = Columns::of(row);
        let row = MessageRow::read(&mut columns)?;
        Ok(Self { message: row.into(), author: columns.read()? })
    }
}

impl From<CursorPage<Listed>> for MessageList {
    fn from(page: CursorPage<Listed>) -> Self {
        let mut authors = BTreeMap::new();
        let mut without_author = |Listed { message, author }: Listed| {
            authors.entry(message.sender_id).or_insert(author);
            message
        };
        let items = page.items.into_iter().map(&mut without_author).collect();
        Self {
            items,
            authors: authors.into_iter().map(|(id, username)| Author { id, username }).collect(),
            next_cursor: page.next_cursor,
            prev_cursor: page.prev_cursor,
        }
    }
}

/// Adds to each message when it was first delivered to and read by somebody other than its sender: at most four
/// look-ups by primary key. See [`first_receipt`].
pub(super) fn with_first_receipts(select: Select<Entity>) -> Select<Entity> {
    use first_receipt::{Column as F, Entity as FirstReceipts};
    let at = |kind: ReceiptKind, rank: i16| {
        let of_another = Expr::col((FirstReceipts, F::UserId)).ne(Expr::col((Entity, Column::SenderId)));
        let mut covering = Query::select();
        covering
            .expr(CaseStatement::new().case(of_another, Expr::col((FirstReceipts, F::At))))
            .from(FirstReceipts)
            .and_where(Expr::col((FirstReceipts, F::ThreadId)).equals((Entity, Column::ThreadId)))
            .and_where(F::Kind.eq(kind))
            .and_where(F::Rank.eq(rank))
            .and_where(Expr::col((FirstReceipts, F::Seq)).gte(Expr::col((Entity, Column::Seq))))
            .order_by((FirstReceipts, F::Seq), Order::Asc)
            .limit(1);
        Expr::from(covering.take())
    };
    // If the sender is the first, the second counts.
    let first = |kind| Func::coalesce([at(kind, 1), at(kind, 2)]);
    select.expr_as(first(ReceiptKind::Delivered), "delivered_at").expr_as(first(ReceiptKind::Read), "read_at")
}
