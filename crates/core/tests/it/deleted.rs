//! What is in a SQLite file, and what is not.

use groundwork_core::{Db, DbOptions, Repository};
use groundwork_testkit::Backend;
use sea_orm::ConnectionTrait;

use crate::book::{Library, add, shelf};

/// Removed text does not stay in free space of a SQLite file.
#[test]
fn removed_text_is_not_in_the_file() {
    groundwork_testkit::run::<Library>(Backend::Sqlite, async |library| {
        let file = library.url.trim_start_matches("sqlite://").to_owned();
        let holds = async |text: &str| {
            library.db.schema().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
            let bytes = std::fs::read(&file).unwrap();
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        };
        let book = add(&library.db, shelf(1), "TopSecret", 1).await;
        assert!(holds("TopSecret").await);
        library.db.write(async |tx| shelf(1).hard_delete(tx, book.id).await).await.unwrap();
        assert!(!holds("TopSecret").await);
    });
}

/// A closed database is one file, which may be copied: nothing is left in a WAL beside it.
#[test]
fn a_closed_database_is_one_file() {
    groundwork_testkit::run::<Library>(Backend::Sqlite, async |_| {
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("one.db");
            let db =
                Db::open(&DbOptions::new(&format!("sqlite://{}", file.display())).unwrap()).await.unwrap();
            db.schema().execute_unprepared("CREATE TABLE users (id INTEGER)").await.unwrap();
            db.close().await.unwrap();
            let files: Vec<_> =
                std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert_eq!(files, [file]);
        }
    });
}
