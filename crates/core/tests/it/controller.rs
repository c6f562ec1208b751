use groundwork_core::{Change, Controller, NullableChange, error::codes};
use groundwork_testkit::both_databases;
use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use crate::book::{ActiveModel, BookPatch, ISBN_TAKEN, LENT, Library, NewBook, add, shelf};

/// Invalid input is refused with every error, and nothing is written.
#[both_databases]
async fn faulty_input_is_refused_whole(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let tx = db.begin().await.unwrap();
    let new = NewBook { title: String::new(), isbn: None, pages: 0 };
    let error = Controller::create(&books, &tx, new).await.unwrap_err();
    assert_eq!(error.code(), codes::INVALID);
    let groundwork_core::Error::Refused(refusal) = error else { panic!("a refusal") };
    let fields: Vec<_> = refusal.field_errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["title", "pages"]);
    tx.commit().await.unwrap();
    let query = groundwork_core::ListQuery::default();
    let page = Controller::list(&books, db.reader(), &query, groundwork_core::PageRequest::default()).await;
    assert_eq!(page.unwrap().total, 0);
}

/// A unique value in use is refused with the controller's conflict code.
#[both_databases]
async fn a_unique_value_in_use_is_a_conflict(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let new = |isbn: &str| NewBook { title: "Emma".into(), isbn: Some(isbn.into()), pages: 1 };
    let tx = db.begin().await.unwrap();
    Controller::create(&books, &tx, new("1")).await.unwrap();
    let second = Controller::create(&books, &tx, new("2")).await.unwrap();
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(Controller::create(&books, &tx, new("1")).await.unwrap_err().code(), ISBN_TAKEN);
    drop(tx);
    let tx = db.begin().await.unwrap();
    let patch = BookPatch { isbn: NullableChange::Value("1".into()), ..BookPatch::default() };
    let error = Controller::update(&books, &tx, second.id, patch).await.unwrap_err();
    assert_eq!(error.code(), ISBN_TAKEN);
}

/// A patch sets the given fields, clears those that are null, and keeps the rest.
#[both_databases]
async fn a_patch_tells_absent_from_null(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let tx = db.begin().await.unwrap();
    let new = NewBook { title: "Emma".into(), isbn: Some("1".into()), pages: 1 };
    let book = Controller::create(&books, &tx, new).await.unwrap();
    let patch = BookPatch { title: Change::Value("Emma II".into()), isbn: NullableChange::Absent };
    let book = Controller::update(&books, &tx, book.id, patch).await.unwrap();
    assert_eq!((book.title.as_str(), book.isbn.as_deref()), ("Emma II", Some("1")));
    let patch = BookPatch { title: Change::Absent, isbn: NullableChange::Null };
    let book = Controller::update(&books, &tx, book.id, patch).await.unwrap();
    assert_eq!((book.title.as_str(), book.isbn), ("Emma II", None));
    tx.commit().await.unwrap();
}

/// Every operation on a missing row is `not_found`.
#[both_databases]
async fn what_is_not_there_is_not_found(library: &Library) {
    let (mine, db) = (shelf(1), &library.db);
    let foreign = add(db, shelf(2), "Emma", 1).await.id;
    let tx = db.begin().await.unwrap();
    for code in [
        Controller::get(&mine, &tx, foreign).await.unwrap_err().code(),
        Controller::update(&mine, &tx, foreign, BookPatch::default()).await.unwrap_err().code(),
        Controller::delete(&mine, &tx, foreign).await.unwrap_err().code(),
        Controller::restore(&mine, &tx, foreign).await.unwrap_err().code(),
    ] {
        assert_eq!(code, codes::NOT_FOUND);
    }
}

/// A hook can refuse a change, and then nothing is written.
#[both_databases]
async fn hooks_can_refuse(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let book = add(db, books, "Emma", 1).await;
    let tx = db.begin().await.unwrap();
    ActiveModel { id: Set(book.id), lent: Set(true), ..Default::default() }.update(&tx).await.unwrap();
    assert_eq!(Controller::delete(&books, &tx, book.id).await.unwrap_err().code(), LENT);
    assert!(Controller::get(&books, &tx, book.id).await.is_ok());
    ActiveModel { id: Set(book.id), lent: Set(false), ..Default::default() }.update(&tx).await.unwrap();
    Controller::delete(&books, &tx, book.id).await.unwrap();
    let back = Controller::restore(&books, &tx, book.id).await.unwrap();
    assert_eq!(back.deleted_at, None);
    tx.commit().await.unwrap();
}
