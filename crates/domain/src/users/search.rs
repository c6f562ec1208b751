//! Searching users by parts of their names.

use groundwork_core::{
    ListQuery, Page, PageRequest, Result, Uuid,
    filter::contains,
    repository::{page_of, page_of_counted, with_count},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Order, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select, Statement,
    prelude::Expr,
    sea_query::{Alias, Asterisk, CommonTableExpression, ExprTrait, Query, SelectStatement},
};

use super::{
    entity::{Column, Entity, Model},
    repository::UserRepository,
};

/// The columns that are searched.
const NAMES: [Column; 3] = [Column::Username, Column::FirstName, Column::LastName];
/// The least number of characters of a word that an index of trigrams finds.
const TRIGRAM: usize = 3;
/// The number of users beyond which reading them one by one is faster than the index: enough of them are found soon.
const MANY: i64 = 2000;

impl UserRepository {
    /// Returns a page of the active users that have each of `words` in the username, the first name or the last name.
    /// One word may be the id of a user instead.
    pub async fn search<C: ConnectionTrait>(
        self,
        conn: &C,
        words: &[&str],
        page: PageRequest,
    ) -> Result<Page<Model>> {
        let backend = conn.get_database_backend();
        let mut found = plain(words, backend);
        if id_in(words).is_none()
            && let Some(trigrams) = trigrams(words)
        {
            if backend == DbBackend::Postgres {
                let few = page_of_few(conn, words, page).await?;
                if let Some(few) = few.filter(|few| few.total_is_exact) {
                    return Ok(few);
                }
            } else if are_few(conn, &trigrams).await? {
                found = found.filter(in_index(trigrams));
            }
        }
        page_of(conn, found, &ListQuery::default(), page).await
    }
}

/// A page from the users that have the words, if they are no more than are counted. PostgreSQL expects many users for some words
/// that few have, and would then read all of them, the newest first, until the page is full. Here it finds them before it
/// sorts them.
async fn page_of_few<C: ConnectionTrait>(
    conn: &C,
    words: &[&str],
    page: PageRequest,
) -> Result<Option<Page<Model>>> {
    let statement = DbBackend::Postgres.build(&few(words, page)?);
    page_of_counted(conn, page, statement, |row| Model::from_query_result(row, "")).await
}

/// Selects the page from the first users that are found in the index, one more than are counted, with their number.
pub fn few(words: &[&str], page: PageRequest) -> Result<SelectStatement> {
    let few = Alias::new("few");
    let found = plain(words, DbBackend::Postgres).select_only().column(Column::Id);
    let found = found.limit(page.count_bound() + 1).into_query();
    let mut first = CommonTableExpression::new();
    first.query(found).table_name(few.clone()).materialized(true);
    let ids = Query::select()
        .column(Column::Id)
        .from(few.clone())
        .order_by(Column::Id, Order::Desc)
        .offset(page.offset()?)
        .limit(page.size)
        .take();
    let rows = Entity::find().filter(Column::Id.in_subquery(ids)).order_by_desc(Column::Id).into_query();
    let count = Query::select().expr(Expr::col(Asterisk).count()).from(few).take();
    Ok(with_count(rows, count).with_cte(first).take())
}

/// What a search finds, without SQLite's index. PostgreSQL uses its index by itself.
pub fn plain(words: &[&str], backend: DbBackend) -> Select<Entity> {
    let has = |word: &str| {
        NAMES.iter().fold(Condition::any(), |any, column| any.add(contains(*column, word, backend)))
    };
    let matching = match id_in(words) {
        Some(id) => Column::Id.eq(id).into(),
        None => words.iter().fold(Condition::all(), |all, word| all.add(has(word))),
    };
    UserRepository.active().filter(matching)
}

fn id_in(words: &[&str]) -> Option<Uuid> {
    match words {
        [word] => word.parse().ok(),
        _ => None,
    }
}

/// The query for the index of those words that have trigrams; `None` if there are none. A user who has the words is found by
/// it, and others may be: the index folds the case of all letters, and `LIKE` only that of ASCII letters.
fn trigrams(words: &[&str]) -> Option<String> {
    let long = words.iter().filter(|word| word.chars().count() >= TRIGRAM && !word.contains('\0'));
    let quoted: Vec<_> = long.map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

async fn are_few<C: ConnectionTrait>(conn: &C, words: &str) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS found FROM (SELECT 1 FROM users_text WHERE users_text MATCH ? LIMIT ?)";
    let values = [words.into(), (MANY + 1).into()];
    let row = conn.query_one_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)).await?;
    let found: i64 = row.map(|row| row.try_get("", "found")).transpose()?.unwrap_or_default();
    Ok(found <= MANY)
}

fn in_index(words: String) -> Expr {
    let sql = "\"users\".\"id\" IN (SELECT user_id FROM users_by_number WHERE number IN \
               (SELECT rowid FROM users_text WHERE users_text MATCH ?))";
    Expr::cust_with_values(sql, [words])
}

#[cfg(test)]
mod tests {
    use super::trigrams;

    #[test]
    fn short_words_have_no_trigrams() {
        assert_eq!(trigrams(&["ad", "é", "a\0da"]), None);
        assert_eq!(trigrams(&["ada", "l", "o\"ve"]).as_deref(), Some("\"ada\" AND \"o\"\"ve\""));
    }
}
