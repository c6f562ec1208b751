//! Reading one page of a list.

use sea_orm::{
    ConnectionTrait, DbErr, FromQueryResult, QueryFilter, QueryResult, QuerySelect, QueryTrait, Select,
    SelectorTrait, Statement,
    prelude::Expr,
    sea_query::{Alias, Asterisk, ExprTrait, IntoValueTuple, Query, SelectStatement},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CommonBase, Cursor, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Result, page::Total,
};

/// The column with the number of rows of the list. No column of an entity has this name.
const COUNTED: &str = "counted_rows";

/// Returns a page of `select`, filtered and ordered by `query`, with the total, in one statement.
pub async fn page_of<E: CommonBase, C: ConnectionTrait>(
    conn: &C,
    select: Select<E>,
    query: &ListQuery<E>,
    page: PageRequest,
) -> Result<Page<E::Model>> {
    let backend = conn.get_database_backend();
    let all = select.clone().filter(query.condition(backend)).into_query();
    let rows = query.apply(select, backend).offset(page.offset()?).limit(page.size).into_query();
    let count = Count::to_bound(all, page);
    page_of_rows(conn, page, rows, count, |row| E::Model::from_query_result(row, "")).await
}

/// How many rows a list has: a statement that selects the number, and up to which number it is exact.
#[derive(Clone, Debug)]
pub struct Count {
    select: SelectStatement,
    bound: u64,
}

impl Count {
    /// Counts the rows of `all` up to [`PageRequest::count_bound`], so that the cost has a bound.
    pub fn to_bound(all: SelectStatement, page: PageRequest) -> Self {
        let bound = page.count_bound();
        Self { select: count_to(all, bound + 1), bound }
    }

    /// The number that `select` selects, a `bigint`.
    pub fn exact(select: SelectStatement) -> Self {
        Self { select, bound: u64::MAX }
    }
}

/// Returns the page that consists of `rows`, each read by `read`, in one statement. For a page beyond the last, which has no
/// row that could carry the number of rows, it takes another one.
pub async fn page_of_rows<C: ConnectionTrait, T>(
    conn: &C,
    page: PageRequest,
    rows: SelectStatement,
    count: Count,
    read: impl Fn(&QueryResult) -> std::result::Result<T, DbErr> + Send,
) -> Result<Page<T>> {
    let Count { select, bound } = count;
    let found = conn.query_all(&with_count(rows, select.clone())).await?;
    if let Some(total) = total_of(&found, page, bound)? {
        return assemble(&found, total, page, read);
    }
    let select = Query::select().expr_as(Expr::from(select), Alias::new(COUNTED)).take();
    let row = conn.query_one(&select).await?;
    let counted = row.as_ref().map(number).transpose()?.unwrap_or(0);
    Ok(Page::new(Vec::new(), Total::counted(counted, bound), page))
}

/// As [`page_of_rows`], from a statement of [`with_count`] and [`count_to`]. Returns `None` for a page beyond the last.
pub async fn page_of_counted<C: ConnectionTrait, T>(
    conn: &C,
    page: PageRequest,
    statement: Statement,
    read: impl Fn(&QueryResult) -> std::result::Result<T, DbErr> + Send,
) -> Result<Option<Page<T>>> {
    let found = conn.query_all_raw(statement).await?;
    let total = total_of(&found, page, page.count_bound())?;
    total.map(|total| assemble(&found, total, page, read)).transpose()
}

fn total_of(found: &[QueryResult], page: PageRequest, bound: u64) -> Result<Option<Total>> {
    match found.first() {
        Some(row) => Ok(Some(Total::counted(number(row)?, bound))),
        None if page.offset()? == 0 => Ok(Some(Total::exact(0))),
        None => Ok(None),
    }
}

fn number(row: &QueryResult) -> std::result::Result<u64, DbErr> {
    row.try_get::<i64>("", COUNTED).map(i64::unsigned_abs)
}

fn assemble<T>(
    found: &[QueryResult],
    total: Total,
    page: PageRequest,
    read: impl Fn(&QueryResult) -> std::result::Result<T, DbErr>,
) -> Result<Page<T>> {
    let items = found.iter().map(read).collect::<std::result::Result<_, _>>()?;
    Ok(Page::new(items, total, page))
}

/// Adds to each of `rows` the number that `count` selects.
pub fn with_count(mut rows: SelectStatement, count: SelectStatement) -> SelectStatement {
    rows.expr_as(Expr::from(count), Alias::new(COUNTED)).take()
}

/// Counts the rows of `all`, and reads no more than `limit` of them, in the order of `all`.
///
/// With an order that an index has, they are read from that index. Without one, PostgreSQL may read the table from its
/// begin, in the hope to meet enough of them.
pub fn count_to(mut all: SelectStatement, limit: u64) -> SelectStatement {
    all.clear_selects().expr(Expr::val(1)).limit(limit);
    Query::select().expr(Expr::col(Asterisk).count()).from_subquery(all, Alias::new("counted")).take()
}

/// Returns one page of `rows`, a keyset cursor by the list's sort key. `list` names the list (see
/// [`CursorRequest::position`]), and `key` returns the sort key of a row.
///
/// # Errors
/// `invalid` for a cursor of another list.
pub async fn cursor_page_of<S: SelectorTrait, K: Serialize + DeserializeOwned + IntoValueTuple + Clone>(
    conn: &impl ConnectionTrait,
    list: &str,
    request: &CursorRequest,
    mut rows: sea_orm::Cursor<S>,
    key: impl Fn(&S::Item) -> K,
) -> Result<CursorPage<S::Item>> {
    let position: Option<Cursor<K>> = request.position(list)?;
    let limit = request.limit + 1;
    match &position {
        Some(Cursor { key, backward: true }) => rows.before(key.clone()).last(limit),
        Some(Cursor { key, backward: false }) => rows.after(key.clone()).first(limit),
        None => rows.first(limit),
    };
    CursorPage::assemble(rows.all(conn).await?, request.limit, list, position.as_ref(), key)
}
