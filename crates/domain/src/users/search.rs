//! Searching users by parts of their names.

use groundwork_core::{ListQuery, Page, PageRequest, Result, Uuid, filter::contains, repository::page_of};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, QueryFilter, Select, Statement, prelude::Expr,
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
        if backend == DbBackend::Sqlite
            && id_in(words).is_none()
            && let Some(words) = trigrams(words)
            && are_few(conn, &words).await?
        {
            found = found.filter(in_index(words));
        }
        page_of(conn, found, &ListQuery::default(), page).await
    }
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
