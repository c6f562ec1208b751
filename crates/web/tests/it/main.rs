//! Tests of [`Crud`] with every row policy, on both databases.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what isn't as promised ends the test")]

use actix_web::web::Data;
use groundwork_auth::{Caller, Scopes};
use groundwork_core::{Db, Error, Timestamp, Uuid, events};
use groundwork_testkit::{Backend, Client, Fixture, TestDb, TestServer, both_databases, client::send};
use groundwork_web::{
    Crud, Routes, WebApp, WebAppOptions,
    http::bearer::Authenticator,
    http::extract::BodyLimit,
    openapi::About,
    service::health::Probe,
    service::migrate::{create_table, library_v1},
};
use reqwest::Method;
use sea_orm::{EntityTrait, QueryOrder};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::{Value, json};

mod connections;
mod entry;
mod idempotency;
mod migrate;
mod notebook;
mod page;
mod rule;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            library_v1(),
            create_table("create_pages", page::table_v1()),
            create_table("create_rules", rule::table_v1()),
            create_table("create_notebooks", notebook::table_v1()),
            create_table("create_entries", entry::table_v1()),
        ]
    }
}

/// A wiki: pages that everybody can read and their authors can change, and rules that belong to all.
struct Wiki {
    db: TestDb<Migrator>,
    server: TestServer,
}

impl Fixture for Wiki {
    async fn set_up(backend: Backend) -> Self {
        let db = TestDb::new(backend).await;
        let shell = shell(&db.db, BodyLimit::default());
        Self { server: TestServer::start(move || shell.app().app_data(Data::new(()))), db }
    }

    async fn tear_down(self) {
        self.server.stop().await;
        self.db.tear_down().await;
    }
}

fn shell(db: &Db, body_limit: BodyLimit) -> WebApp {
    let mut routes = Routes::new();
    routes.prefix("/api/v1");
    Crud::<page::Entity>::mount(&mut routes);
    Crud::<rule::Entity>::mount(&mut routes);
    Crud::<notebook::Entity>::mount(&mut routes);
    Crud::<entry::Entity>::mount(&mut routes);
    // The token is the id of the user, as authentication is not tested here.
    let authenticator = Authenticator::new(|token: String| async move {
        let user_id = token.parse().map_err(|_| Error::internal("no id"))?;
        let names = ["pages", "rules", "notebooks", "entries"];
        let scopes = names.map(|name| format!("{name}:read {name}:write")).join(" ");
        let scopes = Scopes::parse(&scopes);
        Ok(Caller { user_id, session_id: Uuid::nil(), scopes, expires_at: Timestamp::MAX })
    });
    let about = About {
        title: "Wiki".to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        token_url: "/token".to_owned(),
        ..About::default()
    };
    let options = WebAppOptions { about, body_limit, cors_origins: Vec::new() };
    WebApp::new(options, routes, authenticator, Probe::new(db.clone(), "1")).unwrap()
}

impl Wiki {
    fn user(&self, number: u128) -> Client {
        self.server.client().with_token(&Uuid::from_u128(number).to_string())
    }
}

async fn change(
    client: &Client,
    method: Method,
    path: &str,
    etag: Option<&str>,
) -> groundwork_testkit::Answer {
    let request = client.request(method.clone(), path);
    let request = if method == Method::PATCH { request.json(&json!({"text": "changed"})) } else { request };
    send(match etag {
        Some(etag) => request.header("if-match", etag),
        None => request,
    })
    .await
}

/// Everybody can read pages, and only their authors can change them.
#[both_databases]
async fn what_is_public_is_read_by_all(wiki: &Wiki) {
    let (ada, charles) = (wiki.user(1), wiki.user(2));
    let made = ada.post("/api/v1/pages", &json!({"text": "hello"})).await.expect(201);
    let path = format!("/api/v1/pages/{}", made["id"].as_str().unwrap());
    assert_eq!(charles.get(&path).await.expect(200), made);
    charles.patch(&path, &json!({"text": "mine"})).await.refused(403, "forbidden");
    charles.delete(&path).await.refused(403, "forbidden");
    ada.patch(&path, &json!({"text": "again"})).await.expect(200);
    ada.delete(&path).await.expect(204);
    charles.delete(&path).await.refused(404, "not_found");
    charles.post(&format!("{path}/restore"), &Value::Null).await.refused(404, "not_found");
    ada.post(&format!("{path}/restore"), &Value::Null).await.expect(200);
}

/// If the resource requires it, a change without `If-Match` is refused.
#[both_databases]
async fn changes_say_what_they_have_seen(wiki: &Wiki) {
    let (ada, charles) = (wiki.user(1), wiki.user(2));
    let made = ada.post("/api/v1/rules", &json!({"text": "one"})).await;
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("/api/v1/rules/{}", made.expect(201)["id"].as_str().unwrap());
    for method in [Method::PATCH, Method::DELETE] {
        change(&charles, method.clone(), &path, None).await.refused(428, "precondition_required");
        change(&charles, method, &path, Some("\"old\"")).await.refused(412, "precondition_failed");
    }
    let changed = change(&charles, Method::PATCH, &path, Some(&etag)).await;
    let next = changed.headers["etag"].to_str().unwrap().to_owned();
    changed.expect(200);
    change(&ada, Method::DELETE, &path, Some(&etag)).await.refused(412, "precondition_failed");
    change(&ada, Method::DELETE, &path, Some(&next)).await.expect(204);
}

/// Of concurrent changes of one version, one succeeds.
#[both_databases]
async fn one_of_many_changes_a_state(wiki: &Wiki) {
    let ada = wiki.user(1);
    let made = ada.post("/api/v1/rules", &json!({"text": "one"})).await;
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("/api/v1/rules/{}", made.expect(201)["id"].as_str().unwrap());
    let all = (0..10).map(|_| change(&ada, Method::PATCH, &path, Some(&etag)));
    let statuses: Vec<_> = futures::future::join_all(all).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)));
}

/// Two resources have operations and schemas of their own in the document.
#[both_databases]
async fn resources_do_not_collide(wiki: &Wiki) {
    let document = wiki.server.client().get("/openapi.json").await.expect(200);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in ["Page_PageView", "Page_RuleView", "Bulk_NewPage", "Bulk_NewRule", "PagePatch", "RulePatch"] {
        assert!(schemas.contains_key(name), "{name} of {:?}", schemas.keys());
    }
    assert_eq!(
        schemas["Page_PageView"]["properties"]["items"]["items"]["$ref"],
        "#/components/schemas/PageView"
    );
    let rule = &document["paths"]["/api/v1/rules/{id}"]["patch"];
    assert_eq!(
        (&rule["operationId"], &rule["security"][0]["oauth2"][0]),
        (&json!("rules_update"), &json!("rules:write"))
    );
    assert!(rule["responses"].get("428").is_some() && rule["responses"].get("412").is_some());
    assert!(document["paths"]["/api/v1/pages/{id}"]["patch"]["responses"].get("428").is_none());
}

/// A row cannot be pointed at the parent of somebody else: not when it is created, alone or in bulk, not when it is
/// changed, and not when it is restored. A parent that does not exist gets the same answer.
#[both_databases]
async fn what_is_written_is_checked_too(wiki: &Wiki) {
    let (ada, charles) = (wiki.user(1), wiki.user(2));
    let notebook = async |client: &Client| {
        let made = client.post("/api/v1/notebooks", &json!({"text": "a notebook"})).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    };
    let (own, foreign, other) = (notebook(&ada).await, notebook(&charles).await, notebook(&ada).await);
    let entry = |notebook: &str| json!({"notebook_id": notebook, "text": "an entry"});
    let made = ada.post("/api/v1/entries", &entry(&own)).await.expect(201);
    let path = format!("/api/v1/entries/{}", made["id"].as_str().unwrap());
    let nowhere = Uuid::from_u128(3).to_string();

    for notebook in [&foreign, &nowhere] {
        let refused = ada.post("/api/v1/entries", &entry(notebook)).await.refused(403, "forbidden");
        assert_eq!(refused["detail"], "the entry refers to a resource that is not yours or does not exist");
        let bulk = json!({"items": [entry(&own), entry(notebook)]});
        let refused = ada.post("/api/v1/entries/bulk", &bulk).await.refused(403, "forbidden");
        assert_eq!(refused["errors"][0]["field"], "items.1");
        ada.patch(&path, &json!({"notebook_id": notebook})).await.refused(403, "forbidden");
    }
    assert_eq!(ada.get(&path).await.expect(200), made);
    assert_eq!(ada.get("/api/v1/entries").await.expect(200)["total"], 1, "nothing of it was kept");
    let log = wiki.db.dump().await;
    assert_eq!(log.matches("entry.created").count(), 1, "and nothing of it is in the log");

    ada.patch(&path, &json!({"notebook_id": other})).await.expect(200);
    ada.delete(&path).await.expect(204);
    ada.delete(&format!("/api/v1/notebooks/{other}")).await.expect(204);
    ada.post(&format!("{path}/restore"), &Value::Null).await.refused(404, "not_found");
    ada.post(&format!("/api/v1/notebooks/{other}/restore"), &Value::Null).await.expect(200);
    charles.post(&format!("{path}/restore"), &Value::Null).await.refused(404, "not_found");
    ada.post(&format!("{path}/restore"), &Value::Null).await.expect(200);
}

/// A repeat with the same key returns the row as it is now, with its current tag, and nothing once it is deleted.
#[both_databases]
async fn a_repeated_create_returns_the_row_as_it_is(wiki: &Wiki) {
    let ada = wiki.user(1);
    let (one, two) = (json!({"text": "one"}), json!({"text": "two"}));
    let made = ada.post_once("/api/v1/pages", "one", &one).await;
    let path = format!("/api/v1/pages/{}", made.body["id"].as_str().unwrap());
    let items = json!({"items": [one, two]});
    let bulk = ada.post_once("/api/v1/pages/bulk", "bulk", &items).await.expect(201);
    assert_eq!(ada.post_once("/api/v1/pages/bulk", "bulk", &items).await.expect(201), bulk);

    let changed = ada.patch(&path, &two).await;
    let again = ada.post_once("/api/v1/pages", "one", &one).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["etag"], changed.headers["etag"]);
    assert_eq!(again.expect(201), changed.expect(200));
    ada.delete(&path).await.expect(204);
    ada.post_once("/api/v1/pages", "one", &one).await.refused(410, "gone");
    let restore = format!("{path}/restore");
    let restored = ada.post_once(&restore, "restore", &Value::Null).await.expect(200);
    assert_eq!(ada.post_once(&restore, "restore", &Value::Null).await.expect(200), restored);
    assert_eq!(ada.get("/api/v1/pages").await.expect(200)["total"], 3);
}

/// The event of a change concerns the owner of the row, whoever made the change. If the row gets another owner, there is an
/// event for each of them.
#[both_databases]
async fn events_concern_the_owner(wiki: &Wiki) {
    let (ada, administrator) = (wiki.user(1), wiki.user(notebook::ADMINISTRATOR));
    let made = ada.post("/api/v1/notebooks", &json!({"text": "one"})).await.expect(201);
    let path = format!("/api/v1/notebooks/{}", made["id"].as_str().unwrap());
    let [one, two] = [1, 2].map(Uuid::from_u128);
    ada.patch(&path, &json!({"owner_id": two})).await.refused(403, "forbidden");
    administrator.patch(&path, &json!({"text": "two"})).await.expect(200);
    administrator.patch(&path, &json!({"owner_id": two})).await.expect(200);
    administrator.delete(&path).await.expect(204);
    let log = events::Entity::find().order_by_asc(events::Column::Position);
    let log = log.all(wiki.db.db.reader()).await.unwrap();
    let found: Vec<_> = log.iter().map(|event| (event.kind.as_str(), event.user_id)).collect();
    let expected = [("created", one), ("updated", one), ("updated", one), ("updated", two), ("deleted", two)];
    let expected = expected.map(|(verb, owner)| (format!("notebook.{verb}"), Some(owner)));
    assert_eq!(found, expected.each_ref().map(|(kind, owner)| (kind.as_str(), *owner)));
}
