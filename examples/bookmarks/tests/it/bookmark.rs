//! Bookmarks.

use groundwork_core::events;
use groundwork_testkit::{Client, both_databases, client::send};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::App;

const PATH: &str = "/api/v1/bookmarks";

async fn add(client: &Client, url: &str, tags: &str) -> Value {
    client.post(PATH, &json!({"url": url, "title": url, "tags": tags})).await.expect(201)
}

fn one(bookmark: &Value) -> String {
    format!("{PATH}/{}", bookmark["id"].as_str().unwrap())
}

/// The URLs of a list.
async fn urls(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("{PATH}?{query}")).await.expect(200);
    page["items"].as_array().unwrap().iter().map(|item| item["url"].as_str().unwrap().to_owned()).collect()
}

/// A bookmark is created, read, updated, deleted and restored; each change appends an event.
#[both_databases]
async fn a_bookmark_lives(app: &App) {
    let ada = app.client().register("ada").await;
    let made = add(&ada, "https://a.example", "x").await;
    assert_eq!(made["owner_id"], ada.id());
    assert_eq!((&made["pinned"], &made["note"]), (&json!(false), &Value::Null));
    assert_eq!(ada.get(&one(&made)).await.expect(200), made);
    let changed = ada.patch(&one(&made), &json!({"note": "read", "pinned": true})).await.expect(200);
    assert_eq!((&changed["note"], &changed["url"]), (&json!("read"), &made["url"]));
    let cleared = ada.patch(&one(&made), &json!({"note": null})).await.expect(200);
    assert_eq!((&cleared["note"], &cleared["pinned"]), (&Value::Null, &json!(true)));
    ada.delete(&one(&made)).await.expect(204);
    ada.get(&one(&made)).await.refused(404, "not_found");
    ada.delete(&one(&made)).await.refused(404, "not_found");
    assert_eq!(urls(&ada, "").await, Vec::<String>::new());
    let back = ada.post(&format!("{}/restore", one(&made)), &Value::Null).await.expect(200);
    assert_eq!(back["deleted_at"], Value::Null);
    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    let kinds: Vec<_> = log.iter().map(|event| event.kind.as_str()).collect();
    let expected = ["created", "updated", "updated", "deleted", "restored"];
    assert_eq!(kinds, expected.map(|verb| format!("bookmark.{verb}")));
    assert!(
        log.iter()
            .all(|event| event.subject_kind == "bookmark" && event.subject_id.to_string() == made["id"])
    );
}

/// Users see only their own bookmarks, and have each URL once.
#[both_databases]
async fn everybody_has_their_own(app: &App) {
    let ada = app.client().register("ada").await;
    let charles = app.client().register("charles").await;
    let made = add(&ada, "https://a.example", "").await;
    add(&charles, "https://a.example", "").await;
    let again = json!({"url": "https://a.example", "title": "again"});
    ada.post(PATH, &again).await.refused(409, "conflict");
    charles.patch(&one(&made), &json!({"title": "mine"})).await.refused(404, "not_found");
    let forged = json!({"url": "https://b.example", "title": "b", "owner_id": charles.id()});
    assert_eq!(ada.post(PATH, &forged).await.field_errors(), ["owner_id: unknown_field"]);
    assert_eq!(urls(&charles, "").await.len(), 1);
}

/// Lists have filters, order, search and pages.
#[both_databases]
async fn lists_are_filtered(app: &App) {
    let ada = app.client().register("ada").await;
    for (url, tags) in
        [("https://a.example", "rust web"), ("https://b.example", "web"), ("https://c.example", "")]
    {
        add(&ada, url, tags).await;
    }
    assert_eq!(urls(&ada, "tags__ilike=rust").await, ["https://a.example"]);
    assert_eq!(urls(&ada, "search=WEB&order_by=url").await, ["https://a.example", "https://b.example"]);
    assert_eq!(urls(&ada, "order_by=-url&size=1&page=2").await, ["https://b.example"]);
    assert_eq!(
        ada.get(&format!("{PATH}?owner_id=1&size=101")).await.field_errors(),
        ["owner_id: unknown_field", "size: out_of_range"]
    );
}

/// An update with `If-Match` does not overwrite a change that the caller has not seen.
#[both_databases]
async fn no_change_is_lost(app: &App) {
    let ada = app.client().register("ada").await;
    let made = ada.post(PATH, &json!({"url": "https://a.example", "title": "one"})).await;
    let first = made.headers["etag"].to_str().unwrap().to_owned();
    let made = made.expect(201);
    let change = |etag: String, title: &str| {
        let request = ada.request("PATCH".parse().unwrap(), &one(&made));
        send(request.header("if-match", etag).json(&json!({"title": title})))
    };
    let second = change(first.clone(), "two").await;
    let etag = second.headers["etag"].to_str().unwrap().to_owned();
    second.expect(200);
    assert_ne!(etag, first);
    change(first, "three").await.refused(412, "precondition_failed");
    let now = ada.get(&one(&made)).await;
    assert_eq!(now.headers["etag"].to_str().unwrap(), etag);
    assert_eq!(now.expect(200)["title"], "two");
}

/// A bulk request creates all items or none, and names each invalid one.
#[both_databases]
async fn several_are_made_or_none(app: &App) {
    let ada = app.client().register("ada").await;
    let item = |url: &str| json!({"url": url, "title": "t"});
    let path = format!("{PATH}/bulk");
    let good = json!({"items": [item("https://a.example"), item("https://b.example")]});
    let made = ada.post_once(&path, "key", &good).await.expect(201);
    assert_eq!(made["items"].as_array().unwrap().len(), 2);
    assert_eq!(ada.post_once(&path, "key", &good).await.expect(201), made);
    let faulty =
        json!({"items": [item("https://c.example"), {"url": "nowhere", "title": " "}, {"title": 1}]});
    let errors = ada.post(&path, &faulty).await.field_errors();
    assert_eq!(errors, ["items.1.url: bad_format", "items.2.title: wrong_type", "items.2.url: missing"]);
    let blank = json!({"items": [item("https://c.example"), {"url": "https://d.example", "title": " "}]});
    assert_eq!(ada.post(&path, &blank).await.field_errors(), ["items.1.title: blank"]);
    let taken = json!({"items": [item("https://c.example"), item("https://a.example")]});
    let problem = ada.post(&path, &taken).await.refused(409, "conflict");
    assert_eq!(problem["errors"][0]["field"], "items.1");
    let many: Vec<_> = (0..101).map(|n| item(&format!("https://{n}.example"))).collect();
    assert_eq!(ada.post(&path, &json!({"items": many})).await.field_errors(), ["items: too_many"]);
    assert_eq!(urls(&ada, "order_by=url").await, ["https://a.example", "https://b.example"]);
}
