use std::time::Duration;

use groundwork_core::{CommonBase, Cursor, CursorRequest, ListQuery, PageRequest, Repository, Uuid};
use groundwork_testkit::both_databases;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait};

use crate::book::{ActiveModel, Column, Entity, Library, add, shelf};

/// A created row has an id and times, and is read back unchanged.
#[both_databases]
async fn what_is_made_is_read_back(library: &Library) {
    let books = shelf(1);
    let book = add(&library.db, books, "Emma", 400).await;
    assert_eq!(book.id.get_version_num(), 7);
    assert_eq!((book.created_at, book.deleted_at), (book.updated_at, None));
    assert_eq!(books.get(library.db.reader(), book.id).await.unwrap(), Some(book));
}

/// A change touches what is set and `updated_at`, and nothing else.
#[both_databases]
async fn a_change_touches_only_what_it_names(library: &Library) {
    let books = shelf(1);
    let book = add(&library.db, books, "Emma", 400).await;
    library.clock.advance(Duration::from_secs(1));
    let tx = library.db.begin().await.unwrap();
    let row = ActiveModel { id: Set(book.id), pages: Set(401), ..Default::default() };
    let changed = books.update(&tx, row).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(changed.updated_at > book.updated_at);
    assert_eq!(changed.pages, 401);
    assert_eq!((changed.title, changed.created_at), (book.title, book.created_at));
}

/// No finder returns a deleted row until it is restored; a hard delete is permanent.
#[both_databases]
async fn deleted_rows_are_gone_until_they_are_restored(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let book = add(db, books, "Emma", 400).await;
    let tx = db.begin().await.unwrap();
    assert!(books.soft_delete(&tx, book.id).await.unwrap());
    assert!(!books.soft_delete(&tx, book.id).await.unwrap(), "only once");
    let all = Condition::all;
    assert_eq!(books.get(&tx, book.id).await.unwrap(), None);
    assert_eq!(books.find_one(&tx, all()).await.unwrap(), None);
    assert!(books.find(&tx, all(), 10).await.unwrap().is_empty());
    assert!(!books.exists(&tx, all()).await.unwrap());
    assert_eq!(books.count(&tx, all()).await.unwrap(), 0);
    let query = ListQuery::default();
    assert_eq!(books.list(&tx, &query, PageRequest::default()).await.unwrap().total, 0);
    let some = books.list_by_cursor(&tx, "books", &query, &CursorRequest::default()).await.unwrap();
    assert!(some.items.is_empty());
    let row = ActiveModel { id: Set(book.id), pages: Set(1), ..Default::default() };
    assert_eq!(books.update(&tx, row).await.unwrap(), None);

    assert!(books.restore(&tx, book.id).await.unwrap());
    assert!(!books.restore(&tx, book.id).await.unwrap(), "only once");
    assert_eq!(books.get(&tx, book.id).await.unwrap().unwrap().pages, 400);
    assert!(books.hard_delete(&tx, book.id).await.unwrap());
    assert!(!books.restore(&tx, book.id).await.unwrap());
    tx.commit().await.unwrap();
}

/// A repository with a row rule can neither see nor change the rows of others.
#[both_databases]
async fn foreign_rows_are_out_of_reach(library: &Library) {
    let (mine, others, db) = (shelf(1), shelf(2), &library.db);
    let book = add(db, others, "Emma", 400).await;
    let tx = db.begin().await.unwrap();
    assert_eq!(mine.get(&tx, book.id).await.unwrap(), None);
    let row = ActiveModel { id: Set(book.id), pages: Set(1), ..Default::default() };
    assert_eq!(mine.update(&tx, row).await.unwrap(), None);
    assert!(!mine.soft_delete(&tx, book.id).await.unwrap());
    assert!(!mine.hard_delete(&tx, book.id).await.unwrap());
    assert!(others.soft_delete(&tx, book.id).await.unwrap());
    assert!(!mine.restore(&tx, book.id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(mine.list(db.reader(), &ListQuery::default(), PageRequest::default()).await.unwrap().total, 0);
}

/// Pages have the expected rows, and a page after the last one is empty with the correct total.
#[both_databases]
async fn pages_add_up(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    for pages in 1..=5 {
        add(db, books, "Book", pages).await;
    }
    let page = async |number| {
        let request = PageRequest { page: number, size: 2 };
        books.list(db.reader(), &ListQuery::default(), request).await.unwrap()
    };
    let numbers = |page: groundwork_core::Page<crate::book::Model>| {
        page.items.iter().map(|book| book.pages).collect::<Vec<_>>()
    };
    let first = page(1).await;
    assert_eq!((first.total, first.pages, first.size), (5, 3, 2));
    assert_eq!(numbers(first), [5, 4], "the newest first");
    assert_eq!(numbers(page(3).await), [1]);
    let behind = page(4).await;
    assert_eq!((behind.items.len(), behind.total), (0, 5));
}

/// By cursor every row is returned once in both directions, also while rows are added and deleted.
#[both_databases]
async fn cursors_neither_skip_nor_repeat(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let mut ids: Vec<Uuid> = Vec::new();
    for pages in 1..=7 {
        ids.push(add(db, books, "Book", pages).await.id);
    }
    let page = async |cursor| {
        let request = CursorRequest { limit: 3, cursor };
        books.list_by_cursor(db.reader(), "books", &ListQuery::default(), &request).await.unwrap()
    };
    let first = page(None).await;
    assert_eq!(first.prev_cursor, None);
    add(db, books, "New", 8).await;
    let tx = db.begin().await.unwrap();
    books.soft_delete(&tx, ids[4]).await.unwrap();
    tx.commit().await.unwrap();
    let second = page(first.next_cursor.clone()).await;
    let third = page(second.next_cursor.clone()).await;
    assert_eq!(third.next_cursor, None);
    let seen: Vec<Uuid> =
        [&first, &second, &third].iter().flat_map(|page| page.items.iter().map(Entity::id_of)).collect();
    let newest_first: Vec<Uuid> = ids.iter().rev().copied().collect();
    assert_eq!(seen, newest_first);
    let back = page(third.prev_cursor).await;
    assert_eq!(back.items, second.items);
    let start = page(back.prev_cursor).await;
    let numbers: Vec<_> = start.items.iter().map(|book| book.pages).collect();
    assert_eq!(numbers, [8, 7, 6], "what was added meanwhile comes before, and what was deleted is gone");
    assert_eq!(start.prev_cursor, None);
}

/// The first page, reached backward, has no previous cursor.
#[both_databases]
async fn the_first_page_has_nothing_before_it(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let first = add(db, books, "One", 1).await;
    let second = add(db, books, "Two", 2).await;
    let cursor = Cursor { key: first.id, backward: true }.encode("books").unwrap();
    let request = CursorRequest { limit: 5, cursor: Some(cursor) };
    let page = books.list_by_cursor(db.reader(), "books", &ListQuery::default(), &request).await.unwrap();
    assert_eq!((page.items, page.prev_cursor), (vec![second], None));
    let found = books.find(db.reader(), Column::Pages.gte(2).into(), 10).await.unwrap();
    assert_eq!(found.len(), 1);
}

/// The total is exact up to a number of rows beyond the page. If there are more, it is a lower bound and says so.
#[both_databases]
async fn rows_are_counted_up_to_a_bound(library: &Library) {
    let (books, db) = (shelf(1), &library.db);
    let book = add(db, books, "Emma", 1).await;
    let copy = |pages| ActiveModel {
        id: Set(db.new_id()),
        created_at: Set(book.created_at),
        updated_at: Set(book.updated_at),
        deleted_at: Set(None),
        title: Set("Emma".to_owned()),
        isbn: Set(None),
        pages: Set(pages),
        lent: Set(false),
        shelf: Set(book.shelf),
    };
    let insert = async |count: i64| {
        let tx = db.begin().await.unwrap();
        Entity::insert_many((0..count).map(copy)).exec_without_returning(&tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let total = async |page| {
        let page = PageRequest { page, size: 2 };
        let page = books.list(db.reader(), &ListQuery::default(), page).await.unwrap();
        (page.items.len(), page.total, page.total_is_exact, page.pages)
    };
    assert_eq!(total(1).await, (1, 1, true, 1));
    assert_eq!(total(2).await, (0, 1, true, 1), "beyond the last page");
    let bound = PageRequest { page: 1, size: 2 }.count_bound();
    insert(i64::try_from(bound).unwrap() - 1).await;
    assert_eq!(total(1).await, (2, bound, true, bound / 2));
    insert(1).await;
    assert_eq!(total(1).await, (2, bound, false, bound / 2));
    assert_eq!(total(2).await, (2, bound + 1, true, bound / 2 + 1));
    assert_eq!(total(bound).await, (0, bound + 1, true, bound / 2 + 1), "beyond the last page");
}
