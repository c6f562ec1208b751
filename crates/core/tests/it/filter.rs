use groundwork_core::{ListQuery, PageRequest, Repository};
use groundwork_testkit::{Backend, both_databases};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::book::{Entity, Library, add, shelf};

/// The page counts of the books that a query gives, in its order.
async fn pages(library: &Library, query: &[(&str, &str)]) -> Vec<i64> {
    let query = ListQuery::<Entity>::parse(query.iter().copied()).unwrap();
    let page = shelf(1).list(library.db.reader(), &query, PageRequest::default()).await.unwrap();
    page.items.iter().map(|book| book.pages).collect()
}

fn errors(query: &[(&str, &str)]) -> Vec<(String, String)> {
    let errors = ListQuery::<Entity>::parse(query.iter().copied()).unwrap_err();
    errors.into_vec().into_iter().map(|error| (error.field, error.code)).collect()
}

/// Every operator works on every type of value, with the same results on both databases.
#[both_databases]
async fn operators_do_what_they_say(library: &Library) {
    let mut ids = Vec::new();
    for (index, title) in ["Emma", "emma_2", "100%", "Persuasion"].into_iter().enumerate() {
        library.clock.advance(std::time::Duration::from_millis(1500));
        ids.push(add(&library.db, shelf(1), title, i64::try_from(index).unwrap() + 1).await);
    }
    let (second, third) = (ids[1].id.to_string(), ids[2].id.to_string());
    let two = format!("{second},{third}");
    let made = ids[1].created_at.to_string();
    let own_shelf = shelf(1).shelf.to_string();
    let table: &[(&str, &str, &[i64])] = &[
        ("pages", "2", &[2]),
        ("pages__neq", "2", &[1, 3, 4]),
        ("pages__gt", "2", &[3, 4]),
        ("pages__gte", "2", &[2, 3, 4]),
        ("pages__lt", "2", &[1]),
        ("pages__lte", "2", &[1, 2]),
        ("pages__in", "1,4,9", &[1, 4]),
        ("title", "Emma", &[1]),
        ("title__ilike", "EMMA", &[1, 2]),
        ("title__ilike", "0%", &[3]),
        ("title__ilike", "a_2", &[2]),
        ("title__ilike", "\\", &[]),
        ("isbn__isnull", "true", &[1, 2, 3, 4]),
        ("isbn__isnull", "false", &[]),
        ("lent", "false", &[1, 2, 3, 4]),
        ("lent__neq", "false", &[]),
        ("id", &second, &[2]),
        ("id__in", &two, &[2, 3]),
        ("created_at", &made, &[2]),
        ("created_at__gt", &made, &[3, 4]),
        ("created_at__lte", &made, &[1, 2]),
        ("shelf", &own_shelf, &[1, 2, 3, 4]),
        ("search", "emma", &[1, 2]),
    ];
    for (field, value, expected) in table {
        let found = pages(library, &[(field, value), ("order_by", "pages")]).await;
        assert_eq!(found, *expected, "{field}={value}");
    }
    let both = [("pages__gt", "1"), ("title__ilike", "emma"), ("order_by", "pages")];
    assert_eq!(pages(library, &both).await, [2], "filters are put together with and");
}

/// Rows are sorted in the requested order; nulls come last on both databases.
#[both_databases]
async fn order_is_as_asked_for(library: &Library) {
    use groundwork_core::Controller;
    let tx = library.db.begin().await.unwrap();
    for (pages, isbn) in [(1, Some("b")), (2, None), (3, Some("a"))] {
        let new = crate::book::NewBook { title: "Book".into(), isbn: isbn.map(str::to_owned), pages };
        Controller::create(&shelf(1), &tx, new).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(pages(library, &[("order_by", "isbn")]).await, [3, 1, 2]);
    assert_eq!(pages(library, &[("order_by", "-isbn")]).await, [1, 3, 2]);
    assert_eq!(pages(library, &[("order_by", "title,-pages")]).await, [3, 2, 1]);
    assert_eq!(pages(library, &[]).await, [3, 2, 1], "the newest first where nothing is asked for");
}

#[test]
fn what_is_not_open_is_named() {
    let table: &[(&str, &str, &str, &str)] = &[
        ("secret", "1", "secret", "unknown_field"),
        ("updated_at", "1", "updated_at", "unknown_field"),
        ("pages__like", "1", "pages__like", "unknown_operator"),
        ("pages__ilike", "1", "pages__ilike", "unknown_operator"),
        ("lent__gt", "true", "lent__gt", "unknown_operator"),
        ("pages", "many", "pages", "bad_value"),
        ("pages__in", "1,many", "pages__in", "bad_value"),
        ("lent", "yes", "lent", "bad_value"),
        ("id", "1", "id", "bad_value"),
        ("created_at__gt", "yesterday", "created_at__gt", "bad_value"),
        ("title", "a\0b", "title", "bad_value"),
        ("isbn__isnull", "1", "isbn__isnull", "bad_value"),
        ("order_by", "secret", "order_by", "unknown_field"),
        ("order_by", "title,-title", "order_by", "repeated"),
        ("order_by", "", "order_by", "unknown_field"),
        ("order_by", "+title", "order_by", "unknown_field"),
        ("id__isnull", "true", "id__isnull", "unknown_operator"),
        ("pages__", "1", "pages__", "unknown_operator"),
        ("__gt", "1", "__gt", "unknown_field"),
        ("search", "", "search", "too_short"),
    ];
    for (name, value, field, code) in table {
        assert_eq!(errors(&[(name, value)]), [((*field).to_owned(), (*code).to_owned())], "{name}={value}");
    }
    let many = vec!["1"; 101].join(",");
    let (long, pattern) = ("x".repeat(256), "x".repeat(101));
    let all = [
        ("pages__in", many.as_str()),
        ("title", &long),
        ("title__ilike", &pattern),
        ("search", &pattern),
        ("nope", "1"),
    ];
    assert_eq!(errors(&all).len(), 5, "all at once");
    for (name, value) in [("title", &long[1..]), ("title__ilike", &pattern[1..]), ("search", &pattern[1..])] {
        ListQuery::<Entity>::parse([(name, value)]).unwrap();
    }
}

/// What PostgreSQL can't hold, or RFC 3339 can't write, is an error of its field; what both can is found.
#[both_databases]
async fn times_are_bounded(library: &Library) {
    for time in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+00:01", "99999-01-01T00:00:00Z"] {
        for op in ["created_at", "created_at__gt", "created_at__in"] {
            assert_eq!(errors(&[(op, time)]), [(op.to_owned(), "bad_value".to_owned())], "{time}");
        }
    }
    add(&library.db, shelf(1), "Emma", 1).await;
    for (op, found) in [("created_at__gt", 1), ("created_at__lt", 0)] {
        assert_eq!(pages(library, &[(op, "0000-01-01T00:00:00Z")]).await.len(), found);
    }
    for (op, found) in [("created_at__gt", 0), ("created_at__lt", 1)] {
        assert_eq!(pages(library, &[(op, "9999-12-31T23:59:59.999999Z")]).await.len(), found);
    }
}

/// No parameter counts twice, and no query builds an expression of any depth.
#[both_databases]
async fn queries_are_bounded(library: &Library) {
    for (name, value) in
        [("pages", "1"), ("pages__gt", "1"), ("pages__in", "1,2"), ("search", "x"), ("order_by", "title")]
    {
        let twice = errors(&[(name, value), (name, value)]);
        assert_eq!(twice, [(name.to_owned(), "repeated".to_owned())]);
        let often = errors(&vec![(name, value); 1000]);
        assert_eq!(often.len(), 51);
        assert_eq!(often[50], (String::new(), "more_errors".to_owned()));
    }
    let mut all = Vec::new();
    for field in ["pages", "created_at", "title"] {
        let value = if field == "created_at" { "2026-01-01T00:00:00Z" } else { "1" };
        for op in ["", "__neq", "__gt", "__gte", "__lt", "__lte", "__in"] {
            all.push((format!("{field}{op}"), value));
        }
    }
    let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(pages(library, &all[..20]).await, Vec::<i64>::new());
    assert_eq!(errors(&all[..21]), [("title__in".to_owned(), "too_many".to_owned())]);
    let names = vec!["title"; 3000].join(",");
    assert_eq!(errors(&[("order_by", &names)]), [("order_by".to_owned(), "too_many".to_owned())]);
}

/// A page deep in a list is refused; one beyond the end is empty.
#[both_databases]
async fn pages_are_bounded(library: &Library) {
    add(&library.db, shelf(1), "Emma", 1).await;
    let query = ListQuery::<Entity>::default();
    let page = |page, size| {
        let (query, db) = (query.clone(), library.db.reader());
        async move { shelf(1).list(db, &query, PageRequest { page, size }).await }
    };
    for (number, size) in [(2, 1), (101, 100), (10_001, 1)] {
        let empty = page(number, size).await.unwrap();
        assert_eq!((empty.items.len(), empty.total, empty.page), (0, 1, number));
    }
    for (number, size) in [(102, 100), (10_002, 1), (u64::MAX, u64::MAX)] {
        let error = page(number, size).await.unwrap_err();
        assert!(matches!(&error, groundwork_core::Error::Refused(refusal)
            if refusal.field_errors[0].field == "page" && refusal.field_errors[0].message.contains("10000")));
    }
}

/// Every parameter that is documented is parsed, and a list without an order has none.
#[test]
fn what_is_documented_is_parsed() {
    use groundwork_core::filter::{filter_parameters, order_parameter, search_parameter};
    let parameters = filter_parameters::<Entity>();
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    for name in ["pages", "pages__in", "title__ilike", "isbn__isnull", "lent__neq", "created_at__gte"] {
        assert!(names.contains(&name), "{name} is none of {names:?}");
    }
    for name in ["lent__gt", "id__lt", "pages__ilike", "title__isnull"] {
        assert!(!names.contains(&name), "{name}");
    }
    for parameter in parameters {
        let mut schema = serde_json::to_value(&parameter.schema).unwrap();
        if schema["type"] == "array" {
            schema = schema["items"].take();
        }
        let value = match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
            ("string", None) => "x",
            ("string", Some("uuid")) => "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11",
            ("string", Some("date-time")) => "2026-01-31T09:30:00Z",
            ("integer", Some("int64")) => "1",
            ("boolean", None) => "true",
            other => panic!("{other:?}"),
        };
        ListQuery::<Entity>::parse([(parameter.name.as_str(), value)]).unwrap();
    }
    let order = serde_json::to_value(order_parameter::<Entity>().schema).unwrap();
    for value in order["items"]["enum"].as_array().unwrap() {
        let pair = ("order_by", value.as_str().unwrap());
        ListQuery::<Entity>::parse([pair]).unwrap();
        let errors = ListQuery::<Entity>::parse_unordered([pair]).unwrap_err();
        assert_eq!(errors.into_vec()[0].code, "unknown_field");
    }
    assert_eq!(search_parameter::<Entity>().unwrap().name, "search");
}

/// PostgreSQL plans a statement with a pattern for that pattern, however often it is run, and keeps the plan of others.
#[test]
fn patterns_are_planned_by_their_value() {
    groundwork_testkit::run::<Library>(Backend::Postgres, async |library| {
        let tx = library.db.begin().await.unwrap();
        let statement =
            |sql: &str, value: &str| Statement::from_sql_and_values(DbBackend::Postgres, sql, [value.into()]);
        for _ in 0..3 {
            let few = statement("SELECT 1 AS one FROM books WHERE title ILIKE $1", "%Emma%");
            tx.query_all_raw(few).await.unwrap();
            tx.query_all_raw(statement("SELECT 1 AS one FROM books WHERE title = $1", "Emma")).await.unwrap();
        }
        let kept = "SELECT statement FROM pg_prepared_statements WHERE statement LIKE $1";
        let kept = tx.query_all_raw(statement(kept, "%title%")).await.unwrap();
        let kept: Vec<String> = kept.iter().map(|row| row.try_get("", "statement").unwrap()).collect();
        assert_eq!(kept, ["SELECT 1 AS one FROM books WHERE title = $1"]);
        tx.rollback().await.unwrap();
    });
}
