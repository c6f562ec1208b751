//! A whole conversation: two users register, write and read.

use groundwork_testkit::both_databases;
use serde_json::{Value, json};

use crate::support::{App, Talks};

/// Two users register, one writes to the other by name, and the other reads and replies.
#[both_databases]
async fn two_users_talk(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("Charles").await);

    let sent = ada
        .post(
            "/api/v1/messages",
            &json!({"receiver_username": "CHARLES", "text": "Hello, Charles! 👋🏽 e\u{301}"}),
        )
        .await
        .expect(201);
    assert_eq!(sent["seq"], 1);
    assert_eq!(sent["sender_id"], ada.id());
    assert_eq!(sent["receiver_id"], charles.id());
    assert_eq!(sent["text"], "Hello, Charles! 👋🏽 e\u{301}");
    assert_eq!((&sent["is_read"], &sent["read_at"]), (&json!(false), &Value::Null));

    let threads = charles.get("/api/v1/threads").await.expect(200);
    let thread = &threads["items"][0];
    assert_eq!(thread["unread_count"], 1);
    assert_eq!(thread["type"], "direct");
    assert_eq!(thread["last_message"]["id"], sent["id"]);
    let names: Vec<_> = thread["participants"].as_array().unwrap().iter().map(|p| &p["username"]).collect();
    assert_eq!(names, ["ada", "charles"]);

    let path = format!("/api/v1/messages/{}/read", sent["id"].as_str().unwrap());
    let read = charles.post(&path, &Value::Null).await.expect(200);
    assert_eq!(read["is_read"], true);
    assert_eq!(read["delivered_at"], read["read_at"]);

    let id = thread["id"].as_str().unwrap();
    let answer = charles.says(id, "Hello, Ada!").await;
    assert_eq!((answer.seq, answer.sender_id.to_string()), (2, charles.id()));

    let list = ada.get(&format!("/api/v1/threads/{id}/messages?order=asc")).await.expect(200);
    let texts: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello, Charles! 👋🏽 e\u{301}", "Hello, Ada!"]);
    assert_eq!(list["items"][0]["is_read"], true);
    assert_eq!(list["authors"].as_array().unwrap().len(), 2);
    assert_eq!(ada.thread(id).await["unread_count"], 1);
}
