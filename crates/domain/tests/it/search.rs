//! Searching users: what is found with an index is what is found without.

use std::fmt::Write as _;

use groundwork_core::{Page, PageRequest};
use groundwork_testkit::{Backend, both_databases, run};
use messenger_domain::{
    Users,
    users::{
        entity::{Column, Model},
        search::{few, plain},
    },
};
use sea_orm::{ConnectionTrait, DbBackend, QueryOrder, QuerySelect, Statement};

use crate::people::Store;

/// Names that differ in case, accents, length and in characters that mean something to a pattern or to an index.
const PARTS: [&str; 16] = [
    "ada",
    "Lovelace",
    "LOVE",
    "é",
    "Éva",
    "éva",
    "straße",
    "o'neil",
    "a_l",
    "100%",
    "\"quoted\"",
    "back\\slash",
    "小林",
    "小林一茶",
    "x",
    "AND OR",
];

/// Adds users by SQL, as many as `number`.
async fn fill(store: &Store, number: usize) {
    let tx = store.db.begin().await.unwrap();
    for start in (0..number).step_by(500) {
        let mut sql = "INSERT INTO users (id, created_at, updated_at, username, email_confirmed, password_hash, first_name, \
                       last_name, is_active, mfa_enabled, \"group\", last_seen) VALUES "
            .to_owned();
        for index in start..number.min(start + 500) {
            let id = match store.db.backend() {
                DbBackend::Postgres => format!("'00000000-0000-0000-0000-{index:012x}'"),
                _ => format!("x'{index:032x}'"),
            };
            let part = |step: usize| PARTS[(index / step) % PARTS.len()].replace('\'', "''");
            let comma = if index == start { "" } else { "," };
            let name = if index % 7 == 0 { "NULL".to_owned() } else { format!("'{}'", part(1)) };
            let active = if index % 11 == 0 { "FALSE" } else { "TRUE" };
            let time = "'2026-01-01 00:00:00.000000'";
            let _ = write!(
                sql,
                "{comma}({id}, {time}, {time}, 'user-{index}', FALSE, '', {name}, '{}', {active}, FALSE, 'regular', \
                 'contacts')",
                part(PARTS.len()),
            );
        }
        tx.execute_unprepared(&sql).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn found(store: &Store, text: &str, page: u64) -> Page<Model> {
    let page = PageRequest { page, size: 10 };
    Users::default().search(store.db.reader(), text, page).await.unwrap()
}

/// Each search finds the same users as one that compares every user, in the same order, in pages.
#[both_databases]
async fn the_index_finds_what_is_there(store: &Store) {
    fill(store, 400).await;
    // Changed and removed names are found, or not, as well.
    let tx = store.db.begin().await.unwrap();
    tx.execute_unprepared(
        "UPDATE users SET first_name = 'Renamed', last_name = NULL WHERE username LIKE '%3'",
    )
    .await
    .unwrap();
    tx.execute_unprepared("DELETE FROM users WHERE username LIKE '%5'").await.unwrap();
    tx.commit().await.unwrap();
    let mut texts: Vec<String> = PARTS.iter().map(|part| (*part).to_owned()).collect();
    for part in PARTS {
        texts.extend([part.to_uppercase(), part.to_lowercase(), format!("{part} user-1")]);
        let characters: Vec<char> = part.chars().collect();
        for length in 1..=characters.len().min(4) {
            texts.extend(characters.windows(length).map(|some| some.iter().collect::<String>()));
        }
    }
    texts.extend(
        ["user-12", "ser-1", "renamed", "nobody", "user 12 ada", "*", "\"", "^user", "a*"].map(str::to_owned),
    );
    let backend = store.db.backend();
    for text in texts.iter().filter(|text| !text.trim().is_empty()) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let query = plain(&words, backend).order_by_desc(Column::Id);
        let expected = query.clone().all(store.db.reader()).await.unwrap();
        let page = found(store, text, 1).await;
        assert_eq!(page.items, expected[..expected.len().min(10)], "{text}");
        assert_eq!(page.total, expected.len() as u64, "{text}");
        let second = query.offset(10).limit(10).all(store.db.reader()).await.unwrap();
        assert_eq!(found(store, text, 2).await.items, second, "{text}");
    }
    assert!(found(store, "renamed", 1).await.total > 0);
}

/// A word that more users have than the index is asked for is found all the same.
#[both_databases]
async fn a_common_word_is_found(store: &Store) {
    fill(store, 2500).await;
    let names: Vec<_> = found(store, "user-", 1).await.items.into_iter().map(|user| user.username).collect();
    let newest = (0..2500).rev().filter(|index| index % 11 != 0).take(10);
    assert_eq!(names, newest.map(|index| format!("user-{index}")).collect::<Vec<_>>());
    assert_eq!(found(store, "user-2499", 1).await.items[0].username, "user-2499");
}

/// PostgreSQL does not read every user for a word that few have.
#[test]
fn postgres_uses_its_index() {
    run::<Store>(Backend::Postgres, async |store| {
        fill(store, 20_000).await;
        let tx = store.db.begin().await.unwrap();
        tx.execute_unprepared("ANALYZE users").await.unwrap();
        // Of the last ones the planner expects many more than there are, as some are in its sample.
        for words in [&["user-1234"][..], &["19999", "love"], &["user-1111"], &["r-77"]] {
            let query = few(words, PageRequest { page: 1, size: 20 }).unwrap();
            let query = DbBackend::Postgres.build(&query);
            let sql = format!("EXPLAIN {}", query.sql);
            let explain = Statement::from_sql_and_values(DbBackend::Postgres, sql, query.values.unwrap());
            let rows = tx.query_all_raw(explain).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
            let plan = plan.join("\n");
            let reads_all = plan.contains("Seq Scan") || plan.contains("Backward");
            assert!(plan.contains("ix_users_text") && !reads_all, "{plan}");
        }
        tx.rollback().await.unwrap();
    });
}

/// SQLite finds a word that few have without reading every user.
#[test]
fn sqlite_uses_its_index() {
    run::<Store>(Backend::Sqlite, async |store| {
        let sql = "EXPLAIN QUERY PLAN SELECT * FROM users WHERE id IN (SELECT user_id FROM users_by_number WHERE number IN \
                   (SELECT rowid FROM users_text WHERE users_text MATCH '\"ada\"')) ORDER BY id DESC LIMIT 20";
        let explain = Statement::from_string(DbBackend::Sqlite, sql);
        let rows = store.db.reader().query_all_raw(explain).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("SEARCH users USING INDEX") && !plan.contains("SCAN users\n"), "{plan}");
    });
}

/// The migration takes the users that are there, and gives back what it made.
#[both_databases]
async fn the_index_can_be_made_later(store: &Store) {
    use migration::Migrator;
    use sea_orm_migration::{MigratorTrait as _, SchemaManager};
    fill(store, 50).await;
    let all = Migrator::migrations();
    let index = all.iter().find(|migration| migration.name().ends_with("_user_search")).unwrap();
    let manager = SchemaManager::new(store.db.schema());
    index.down(&manager).await.unwrap();
    index.up(&manager).await.unwrap();
    assert_eq!(found(store, "user-49", 1).await.total, 1);
}
