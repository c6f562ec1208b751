//! What is deleted is gone from the file as well.

use groundwork_core::Repository;
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
