//! The use cases of the five messengers that this one replaces.

use std::time::Duration;

use groundwork_testkit::{
    Client, both_databases,
    client::{PASSWORD, send},
};
use messenger_domain::messages::Message;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{App, Talks};

async fn items(client: &Client, path: &str) -> Vec<Value> {
    client.get(path).await.expect(200)["items"].as_array().unwrap().clone()
}

/// S0: users by OAuth bearer; multi-user threads made, listed, deleted; users added and removed; messages sent,
/// listed by thread, edited, deleted; filters on lists.
#[both_databases]
async fn s0_threads_of_many(app: &App) {
    let names = ["ada", "charles", "grace"];
    for name in names {
        app.user(name).await;
    }
    let mut clients = Vec::new();
    for name in names {
        let form = [("grant_type", "password"), ("username", name), ("password", PASSWORD)];
        let tokens =
            send(app.client().request(Method::POST, "/api/v1/auth/token").form(&form)).await.expect(200);
        let mut client = app.client().signed_in(&tokens);
        client.user = client.get("/api/v1/users/me").await.expect(200);
        clients.push(client);
    }
    let [ada, charles, grace] = &clients[..] else { panic!("three") };
    let thread = ada.starts_group("Engines", &[charles]).await;
    ada.adds(&thread, grace).await.expect(200);
    let sent = grace.says(&thread, "hello").await;
    let path = format!("/api/v1/messages/{}", sent.id);
    grace.patch(&path, &json!({"text": "hello all"})).await.expect(200);
    let of_thread = format!("/api/v1/threads/{thread}/messages");
    assert_eq!(items(ada, &format!("{of_thread}?text__ilike=ALL&sender_id={}", grace.id())).await.len(), 1);
    grace.delete(&path).await.expect(204);
    assert!(items(ada, &of_thread).await.is_empty());
    ada.removes(&thread, charles).await.expect(200);
    assert!(items(charles, "/api/v1/threads").await.is_empty());
    assert_eq!(
        items(ada, "/api/v1/threads?name__ilike=engine&created_at__gte=2020-01-01T00:00:00Z").await.len(),
        1
    );
    ada.delete(&format!("/api/v1/threads/{thread}")).await.expect(204);
    assert!(items(grace, "/api/v1/threads").await.is_empty());
}

/// S1: scopes regular, admin and superuser; administrators list, read, update and soft-delete users.
#[both_databases]
async fn s1_administration(app: &App) {
    let root = app.user_in("superuser", "root").await;
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    root.put(&format!("/api/v1/users/{}/group", ada.id()), &json!({"group": "admin"})).await.expect(200);
    let ada = ada.login("ada").await;
    assert_eq!(items(&ada, "/api/v1/users?group__in=regular,admin&order_by=-username").await.len(), 2);
    let path = format!("/api/v1/users/{}", charles.id());
    ada.get(&path).await.expect(200);
    ada.patch(&path, &json!({"first_name": "Charles"})).await.expect(200);
    ada.delete(&path).await.expect(204);
    assert_eq!(items(&ada, "/api/v1/users?username=charles").await.len(), 0);
    assert_eq!(items(&ada, "/api/v1/users?username=charles&include_deleted=true").await.len(), 1);
}

/// S2: list users; all messages of a user by username, no older than so many days; from one username to another; first
/// and last name, e-mail, an mfa flag; sent, delivered and read times.
#[both_databases]
async fn s2_messages_by_username(app: &App) {
    let body = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace"});
    let ada = app.client().post("/api/v1/auth/register", &body).await.expect(201);
    assert_eq!((&ada["user"]["mfa_enabled"], &ada["user"]["last_name"]), (&json!(false), &json!("Lovelace")));
    let ada = app.client().signed_in(&ada);
    let charles = app.user("charles").await;
    let admin = app.user_in("admin", "admin").await;
    assert_eq!(items(&admin, "/api/v1/users").await.len(), 3);
    let sent: Message =
        ada.post("/api/v1/messages", &json!({"receiver_username": "charles", "text": "x"})).await.read(201);
    app.db.clock.advance(Duration::from_secs(5));
    charles.post(&format!("/api/v1/messages/{}/delivered", sent.id), &Value::Null).await.expect(200);
    app.db.clock.advance(Duration::from_secs(5));
    let read: Message =
        charles.post(&format!("/api/v1/messages/{}/read", sent.id), &Value::Null).await.read(200);
    assert!(Some(read.created_at) < read.delivered_at && read.delivered_at < read.read_at);
    assert_eq!(items(&ada, "/api/v1/messages?user=ada").await.len(), 1);
    assert_eq!(items(&admin, "/api/v1/messages?user=charles&max_age_days=7").await.len(), 1);
    app.db.clock.advance(Duration::from_hours(24 * 8));
    let admin = admin.login("admin").await;
    assert_eq!(items(&admin, "/api/v1/messages?user=charles&max_age_days=7").await.len(), 0);
}

/// S3: register, sign in, me, rename, deactivate, search, send by receiver id, inbox, outbox, mark read, delete while
/// unread, pages, health with the state of the database.
#[both_databases]
async fn s3_inbox_and_outbox(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let ada = ada.login("ADA").await;
    ada.patch("/api/v1/users/me", &json!({"username": "ada2"})).await.expect(200);
    assert_eq!(items(&ada, "/api/v1/users/search?q=charl").await[0]["id"], charles.id());
    assert_eq!(items(&ada, &format!("/api/v1/users/search?q={}", charles.id())).await.len(), 1);
    let first = ada.writes_to(&charles, "first").await;
    let second = ada.writes_to(&charles, "second").await;
    let inbox = charles.get("/api/v1/messages/inbox?unread_only=true&size=1").await.expect(200);
    assert_eq!(
        (&inbox["total"], &inbox["pages"], &inbox["items"][0]["text"]),
        (&json!(2), &json!(2), &json!("second"))
    );
    let path = format!("/api/v1/messages/{}/read", first.id);
    let once = charles.post(&path, &Value::Null).await.expect(200);
    assert_eq!(charles.post(&path, &Value::Null).await.expect(200), once);
    assert_eq!(items(&charles, "/api/v1/messages/inbox?unread_only=true").await.len(), 1);
    ada.delete(&format!("/api/v1/messages/{}", first.id)).await.refused(409, "already_read");
    ada.delete(&format!("/api/v1/messages/{}", second.id)).await.expect(204);
    assert_eq!(items(&ada, "/api/v1/messages/outbox").await.len(), 1);
    assert_eq!(app.client().get("/health").await.expect(200)["db"], "ok");
    ada.delete("/api/v1/users/me").await.expect(204);
    let login = json!({"username": "ada2", "password": PASSWORD});
    app.client().post("/api/v1/auth/login", &login).await.refused(401, "bad_credentials");
}

/// S4: register with e-mail, sign in by either, bio, private and group chats by latest activity with a cursor, messages
/// by cursor with their authors, participants, last message.
#[both_databases]
async fn s4_chats(app: &App) {
    let body = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.org"});
    app.client().post("/api/v1/auth/register", &body).await.expect(201);
    let ada = app.client().login("ada@example.org").await;
    ada.patch("/api/v1/users/me", &json!({"bio": "Counting on engines."})).await.expect(200);
    let charles = app.user("charles").await;
    let private = charles.writes_to(&ada, "privately").await.thread_id.to_string();
    let group = ada.starts_group("Engines", &[&charles]).await;
    for text in ["one", "two", "three"] {
        charles.says(&group, text).await;
    }
    let page = ada.get("/api/v1/threads?limit=1").await.expect(200);
    assert_eq!(
        (&page["items"][0]["id"], &page["items"][0]["last_message"]["text"]),
        (&json!(group), &json!("three"))
    );
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(items(&ada, &format!("/api/v1/threads?limit=1&cursor={next}")).await[0]["id"], private);
    let page = ada.get(&format!("/api/v1/threads/{group}/messages?limit=2")).await.expect(200);
    assert_eq!(page["authors"], json!([{"id": charles.id(), "username": "charles"}]));
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        items(&ada, &format!("/api/v1/threads/{group}/messages?cursor={next}")).await[0]["text"],
        "one"
    );
    assert_eq!(items(&ada, &format!("/api/v1/threads/{group}/participants")).await.len(), 2);
}
