//! The messenger live: what participants get over their sockets, and what they send.

use std::time::Duration;

use groundwork_core::events;
use groundwork_testkit::{Client, NatsServer, TestServer, both_databases, socket::Socket};
use serde_json::{Value, json};

use crate::support::{App, Talks};

const SOCKET: &str = "/api/v1/ws";

async fn connected(client: &Client) -> Socket {
    let mut socket = client.socket(SOCKET).await;
    socket.next("ready").await;
    socket
}

fn message_frame(thread: &str, client_id: &str, text: &str) -> Value {
    json!({"type": "message.send", "client_id": client_id, "thread_id": thread, "text": text})
}

/// A conversation as both sides see it: the thread, messages with author and `client_id`, edits, deletions, and receipts
/// with what is left unread.
#[both_databases]
async fn a_conversation_is_live(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let (mut of_ada, mut of_charles) = (connected(&ada).await, connected(&charles).await);
    let body = json!({"receiver_id": charles.id(), "text": "Have you drawn up the mill?"});
    let sent = ada.post_once("/api/v1/messages", "m-1", &body).await.expect(201);
    let thread = sent["thread_id"].as_str().unwrap();
    for socket in [&mut of_ada, &mut of_charles] {
        let created = socket.event().await;
        assert_eq!((&created["type"], &created["version"]), (&json!("thread.created"), &json!(1)));
        assert_eq!(created["data"]["participants"].as_array().unwrap().len(), 2);
        let message = socket.event().await;
        assert_eq!((&message["type"], &message["version"]), (&json!("message.created"), &json!(2)));
        assert_eq!(message["thread_id"], thread);
        assert_eq!(message["data"]["text"], "Have you drawn up the mill?");
        assert_eq!(message["data"]["author"], json!({"id": ada.id(), "username": "ada"}));
        assert_eq!(message["data"]["client_id"], "m-1");
    }
    of_charles.send(&message_frame(thread, "c-1", "All but the carriage.")).await;
    let ack = of_charles.next("ack").await;
    assert_eq!((&ack["client_id"], &ack["data"]["seq"]), (&json!("c-1"), &json!(2)));
    assert_eq!(of_ada.event().await["data"]["id"], ack["data"]["id"]);

    of_ada.send(&json!({"type": "read", "thread_id": thread, "seq": 2})).await;
    let own = of_ada.next("receipt.updated").await;
    assert_eq!((&own["data"]["unread_count"], &own["data"]["unread_total"]), (&json!(0), &json!(0)));
    let receipt = of_charles.next("receipt.updated").await;
    assert_eq!(receipt["version"], Value::Null);
    let shown = &receipt["data"]["receipts"][0];
    assert_eq!(
        (&shown["user_id"], &shown["kind"], &shown["seq"]),
        (&json!(ada.id()), &json!("read"), &json!(2))
    );

    let path = format!("/api/v1/messages/{}", sent["id"].as_str().unwrap());
    ada.patch(&path, &json!({"text": "And the mill?"})).await.expect(200);
    let edited = of_charles.next("message.updated").await;
    assert_eq!((&edited["version"], &edited["data"]["text"]), (&json!(4), &json!("And the mill?")));
    ada.delete(&path).await.expect(204);
    let deleted = of_charles.next("message.deleted").await;
    assert_eq!((&deleted["version"], &deleted["data"]["id"]), (&json!(5), &sent["id"]));
    assert!(deleted["data"].get("text").is_none() && deleted["data"]["deleted_at"].is_string());

    let path = "/api/v1/sync?since=";
    let now = charles.get("/api/v1/sync").await.expect(200);
    let missed = charles.get(&format!("{path}{}", now["cursor"].as_str().unwrap())).await.expect(200);
    assert_eq!((missed["items"].as_array().unwrap().len(), &missed["has_more"]), (0, &json!(false)));
}

/// One id is one message, whether it is sent over a socket or by a request, and however often.
#[both_databases]
async fn a_client_id_is_one_message(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.writes_to(&charles, "first").await.thread_id.to_string();
    let mut socket = connected(&ada).await;
    socket.send(&message_frame(&thread, "x", "second")).await;
    let sent = socket.next("ack").await["data"].clone();
    socket.send(&message_frame(&thread, "x", "second")).await;
    assert_eq!(socket.next("ack").await["data"], sent);
    let path = format!("/api/v1/threads/{thread}/messages");
    let again = ada.post_once(&path, "x", &json!({"text": "second"})).await;
    assert_eq!((again.headers.get("idempotency-replayed").is_some(), again.expect(201)), (true, sent));
    let by_request = ada.post_once(&path, "y", &json!({"text": "third"})).await.expect(201);
    socket.send(&message_frame(&thread, "y", "third")).await;
    assert_eq!(socket.next("ack").await["data"], by_request);
    socket.send(&message_frame(&thread, "y", "another text")).await;
    assert_eq!(socket.next("error").await["data"]["code"], "idempotency_key_reused");
    assert_eq!(ada.thread(&thread).await["last_seq"], 3);
}

/// Frames are refused as requests are: with the code, and the field and its bound.
#[both_databases]
async fn frames_are_refused_as_requests_are(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    let mut socket = connected(&grace).await;
    let mut refused = async |frame: Value| {
        socket.send(&frame).await;
        let error = socket.next("error").await;
        let field = error["data"]["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
        (error["client_id"].clone(), error["data"]["code"].as_str().unwrap().to_owned(), field)
    };
    let answer = |id: Value, code: &str, field: &str| (id, code.to_owned(), field.to_owned());
    assert_eq!(refused(message_frame(&thread, "a", "hi")).await, answer(json!("a"), "not_found", ""));
    assert_eq!(refused(message_frame(&thread, "b", " ")).await, answer(json!("b"), "invalid", "text"));
    let long = "x".repeat(4097);
    assert_eq!(refused(message_frame(&thread, "c", &long)).await, answer(json!("c"), "invalid", "text"));
    let unnamed = json!({"type": "message.send", "thread_id": thread, "text": "hi"});
    assert_eq!(refused(unnamed).await, answer(Value::Null, "invalid", "client_id"));
    let typing = json!({"type": "typing", "thread_id": thread});
    assert_eq!(refused(typing).await, answer(Value::Null, "not_found", ""));
    let read = json!({"type": "read", "thread_id": thread, "seq": 1, "client_id": "r"});
    assert_eq!(refused(read).await, answer(json!("r"), "not_found", ""));
    let other = json!({"type": "read", "thread_id": thread, "at": 1});
    assert_eq!(refused(other).await, answer(Value::Null, "invalid", "at"));
    assert_eq!(ada.thread(&thread).await["last_seq"], 1);
}

/// Somebody who is removed gets that as the last event of the thread, on another server as well; who is added gets the
/// thread, and nothing from before.
#[both_databases]
async fn membership_takes_effect_at_once(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    ada.says(&thread, "before").await;
    let (mut of_charles, mut of_grace) = (connected(&charles).await, connected(&grace).await);
    ada.adds(&thread, &grace).await.expect(200);
    let added = of_grace.event().await;
    assert_eq!((&added["type"], &added["data"]["id"]), (&json!("participant.added"), &json!(grace.id())));
    assert_eq!(added["data"]["thread"]["name"], "Engines");
    assert_eq!(added["data"]["unread_count"], 0);
    assert_eq!(of_charles.event().await["data"].get("thread"), None);
    ada.removes(&thread, &charles).await.expect(200);
    let removed = of_charles.event().await;
    assert_eq!(
        (&removed["type"], &removed["data"]["id"]),
        (&json!("participant.removed"), &json!(charles.id()))
    );
    ada.says(&thread, "after").await;
    assert_eq!(of_grace.next("message.created").await["data"]["text"], "after");
    // What charles gets next is of another thread.
    let other = grace.writes_to(&charles, "to charles alone").await;
    let next = of_charles.event().await;
    assert_eq!(next["thread_id"], json!(other.thread_id));
}

/// Signing out, being deactivated and moving to another group close the sockets of the session, on every server.
#[both_databases]
async fn sockets_end_with_their_session(app: &App) {
    let (ada, root) = (app.user("ada").await, app.user_in("superuser", "root").await);
    let (other, _delivery) = app.another_live_server(&[]).await;
    let elsewhere = other.client();
    let again = elsewhere.login("ada").await;
    let (mut here, mut there) = (connected(&ada).await, connected(&again).await);
    ada.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    assert_eq!(here.next("error").await["data"]["code"], "session_ended");
    assert_eq!(here.closed().await, (4401, "session_ended".to_owned()));
    there.send(&json!({"type": "ping"})).await;
    there.next("pong").await;
    root.patch(&format!("/api/v1/users/{}", ada.id()), &json!({"is_active": false})).await.expect(200);
    assert_eq!(there.closed().await, (4401, "session_ended".to_owned()));
    other.stop().await;
}

/// A socket goes on with a fresh token, and ends with the last one.
#[both_databases]
async fn sockets_need_a_valid_token(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut socket = connected(&ada).await;
    app.db.clock.advance(Duration::from_mins(10));
    let fresh = ada.login("ada").await;
    socket.send(&json!({"type": "auth", "token": fresh.token})).await;
    socket.next("ready").await;
    app.db.clock.advance(Duration::from_mins(10));
    socket.send(&json!({"type": "ping"})).await;
    socket.next("pong").await;
    let late = charles.login("charles").await;
    let mut of_charles = connected(&late).await;
    of_charles.send(&json!({"type": "auth", "token": fresh.token})).await;
    assert_eq!(of_charles.closed().await.0, 4403);
    app.db.clock.advance(Duration::from_mins(10));
    socket.send(&json!({"type": "ping"})).await;
    assert_eq!(socket.next("error").await["data"]["code"], "token_expired");
    assert_eq!(socket.closed().await, (4401, "token_expired".to_owned()));
}

/// Others see who is online where they share a thread, unless the user keeps it private.
#[both_databases]
async fn presence_is_private(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    ada.writes_to(&charles, "hello").await;
    let mut of_ada = connected(&ada).await;
    let mut of_charles = connected(&charles).await;
    let seen = of_ada.next("presence").await;
    assert_eq!((&seen["data"]["user_id"], &seen["data"]["status"]), (&json!(charles.id()), &json!("online")));
    assert_eq!(of_charles.next("presence").await["data"]["user_id"], json!(ada.id()));
    of_charles.send(&json!({"type": "presence", "status": "away"})).await;
    // Who is online when a connection opens may come twice: in its greeting, and as news.
    let changed = async |socket: &mut Socket| loop {
        let news = socket.next("presence").await;
        if news["data"]["status"] != "online" {
            return news;
        }
    };
    assert_eq!(changed(&mut of_ada).await["data"]["status"], "away");
    let asked = async |client: &Client| {
        let path = format!("/api/v1/users/presence?ids={},{}", ada.id(), charles.id());
        let found = client.get(&path).await.expect(200);
        let items = found["items"].as_array().unwrap().iter();
        items.map(|item| (item["user_id"].clone(), item["status"].clone())).collect::<Vec<_>>()
    };
    let (of_a, of_c) = ((json!(ada.id()), json!("online")), (json!(charles.id()), json!("away")));
    assert_eq!(asked(&ada).await, [of_a.clone(), of_c]);
    assert_eq!(asked(&grace).await, []);
    ada.patch("/api/v1/users/me", &json!({"last_seen": "everyone"})).await.expect(200);
    assert_eq!(asked(&grace).await, std::slice::from_ref(&of_a));
    ada.patch("/api/v1/users/me", &json!({"last_seen": "nobody"})).await.expect(200);
    assert_eq!(asked(&grace).await, []);
    let gone = changed(&mut of_charles).await;
    assert_eq!((&gone["data"]["user_id"], &gone["data"]["status"]), (&json!(ada.id()), &json!("offline")));
}

/// A cursor from before what the log still has is refused on each of the three ways, and they go on from the present.
#[both_databases]
async fn a_cursor_expires_with_its_events(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let start = ada.get("/api/v1/sync").await.expect(200)["cursor"].as_str().unwrap().to_owned();
    let thread = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    let mut resumed = ada.socket(&format!("{SOCKET}?since={start}")).await;
    assert_eq!(resumed.next("thread.created").await["thread_id"], thread);
    app.db.clock.advance(Duration::from_mins(1));
    // On PostgreSQL events stay while an older transaction is open, which may be one of another test.
    let end = app.db.db.now();
    while events::prune(&app.db.db, end).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    ada.get(&format!("/api/v1/sync?since={start}")).await.refused(410, "cursor_expired");
    ada.get(&format!("/api/v1/events?since={start}")).await.refused(410, "cursor_expired");
    let mut socket = ada.socket(&format!("{SOCKET}?since={start}")).await;
    assert_eq!(socket.next("error").await["data"]["code"], "cursor_expired");
    socket.next("ready").await;
    charles.says(&thread, "still live").await;
    assert_eq!(socket.next("message.created").await["data"]["text"], "still live");
    ada.get("/api/v1/sync?since=x").await.refused(422, "invalid");
    ada.get("/api/v1/sync?limit=501").await.refused(422, "invalid");
}

/// Waits until the health check of a server shows that state of the bus.
async fn bus_is(server: &TestServer, state: &str) {
    while server.client().get("/health").await.expect(200)["live"]["bus"] != state {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Over NATS, servers deliver each other's events, typing and presence at once, and end each other's sessions.
#[both_databases]
async fn servers_deliver_together(app: &App) {
    let Some(nats) = NatsServer::new().await else { return };
    // Without NATS, the other's events would come after a minute.
    let settings = [("NATS_URL", &*nats.url()), ("REALTIME_POLL_MILLISECONDS", "60000")];
    let (here, _here) = app.another_live_server(&settings).await;
    let (there, _there) = app.another_live_server(&settings).await;
    bus_is(&here, "connected").await;
    bus_is(&there, "connected").await;
    let ada = here.client().register("ada").await;
    let charles = there.client().register("charles").await;
    let thread = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    let mut of_charles = connected(&charles).await;
    let mut of_ada = connected(&ada).await;
    let online = of_charles.next("presence").await;
    assert_eq!((&online["data"]["user_id"], &online["data"]["status"]), (&json!(ada.id()), &json!("online")));
    of_ada.send(&message_frame(&thread, "x", "over there")).await;
    assert_eq!(of_charles.next("message.created").await["data"]["text"], "over there");
    of_charles.send(&json!({"type": "typing", "thread_id": thread})).await;
    assert_eq!(of_ada.next("typing").await["data"]["user_id"], json!(charles.id()));
    let elsewhere = here.client().with_token(charles.token.as_deref().unwrap());
    elsewhere.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    assert_eq!(of_charles.closed().await, (4401, "session_ended".to_owned()));
    here.stop().await;
    there.stop().await;
}

/// Without NATS, from the start or since it went away, servers serve and deliver through the log, and say so.
#[both_databases]
async fn servers_deliver_without_nats(app: &App) {
    let Some(nats) = NatsServer::new().await else { return };
    nats.stop().await;
    let settings = [("NATS_URL", &*nats.url()), ("REALTIME_POLL_MILLISECONDS", "50")];
    let (here, _here) = app.another_live_server(&settings).await;
    let (there, _there) = app.another_live_server(&settings).await;
    let (ada, charles) = (here.client().register("ada").await, there.client().register("charles").await);
    let mut of_charles = connected(&charles).await;
    bus_is(&there, "disconnected").await;
    for text in ["from the start", "after it was back", "gone again"] {
        ada.writes_to(&charles, text).await;
        assert_eq!(of_charles.next("message.created").await["data"]["text"], text);
        if text == "from the start" {
            nats.start().await;
            bus_is(&there, "connected").await;
            // A server without NATS commits and tells nobody, as one that is killed in between.
            let elsewhere = app.client().with_token(ada.token.as_deref().unwrap());
            elsewhere.writes_to(&charles, "committed").await;
            assert_eq!(of_charles.next("message.created").await["data"]["text"], "committed");
        } else {
            nats.stop().await;
            bus_is(&there, "disconnected").await;
        }
    }
    here.stop().await;
    there.stop().await;
}
