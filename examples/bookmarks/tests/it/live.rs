//! Live delivery of bookmarks: over a WebSocket, as Server-Sent Events, and by pages.

use groundwork_testkit::{Client, EventStream, Socket, both_databases};
use serde_json::{Value, json};

use crate::support::App;

const PATH: &str = "/api/v1/bookmarks";

/// The three ways of one user.
struct Live {
    client: Client,
    socket: Socket,
    stream: EventStream,
    cursor: String,
}

impl Live {
    async fn of(client: &Client) -> Self {
        let mut socket = client.socket("/api/v1/ws").await;
        socket.next("ready").await;
        let mut stream = client.stream("/api/v1/events", None).await;
        assert_eq!(stream.next().await["type"], "ready");
        let cursor = page(client, "").await["cursor"].as_str().unwrap().to_owned();
        Self { client: client.clone(), socket, stream, cursor }
    }

    /// Waits for the next event, which all three ways have.
    async fn event(&mut self) -> Value {
        let event = self.socket.event().await;
        assert_eq!(self.stream.event().await, event);
        let page = page(&self.client, &format!("since={}&limit=1&wait=30", self.cursor)).await;
        assert_eq!(page["items"], json!([event]));
        page["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        event
    }
}

async fn page(client: &Client, query: &str) -> Value {
    client.get(&format!("/api/v1/sync?{query}")).await.expect(200)
}

async fn add(client: &Client, title: &str) -> (String, Value) {
    let url = format!("https://{title}.example");
    let made = client.post(PATH, &json!({"url": url, "title": title})).await.expect(201);
    (format!("{PATH}/{}", made["id"].as_str().unwrap()), made)
}

/// The owner of a bookmark gets each of its changes by all three ways, with the bookmark as the routes return it. Nobody else
/// gets any of them.
#[both_databases]
async fn owners_get_changes_of_their_bookmarks(app: &App) {
    let (ada, charles) = (app.client().register("ada").await, app.client().register("charles").await);
    let (mut of_ada, mut of_charles) = (Live::of(&ada).await, Live::of(&charles).await);

    let (one, made) = add(&ada, "one").await;
    let event = of_ada.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("bookmark.created"), &made));
    assert_eq!(event["bookmark_id"], made["id"]);

    let changed = ada.patch(&one, &json!({"title": "two"})).await.expect(200);
    let event = of_ada.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("bookmark.updated"), &changed));

    ada.delete(&one).await.expect(204);
    let event = of_ada.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("bookmark.deleted"), &json!({"id": made["id"]})));

    let back = ada.post(&format!("{one}/restore"), &Value::Null).await.expect(200);
    let event = of_ada.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("bookmark.restored"), &back));

    // What is Charles' first event shows that nothing came before it.
    let (_, of_his_own) = add(&charles, "his").await;
    let event = of_charles.event().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("bookmark.created"), &of_his_own));
}

/// A client that was away gets what it missed, once and in order: by the socket, the stream, and by pages of any size. A
/// bookmark that is deleted by now shows nothing but its id.
#[both_databases]
async fn resuming_loses_nothing(app: &App) {
    let (ada, charles) = (app.client().register("ada").await, app.client().register("charles").await);
    let mut live = Live::of(&ada).await;
    add(&ada, "seen").await;
    live.event().await;
    let (cursor, id) = (live.socket.cursor().to_owned(), live.stream.id().to_owned());
    drop(live);

    let mut expected = Vec::new();
    for title in ["a", "b", "c"] {
        add(&charles, title).await;
        let (one, made) = add(&ada, title).await;
        expected.push(("bookmark.created", json!({"id": made["id"]})));
        expected.push(("bookmark.deleted", json!({"id": made["id"]})));
        ada.delete(&one).await.expect(204);
    }
    let (_, made) = add(&ada, "kept").await;
    expected.push(("bookmark.created", made));

    let mut socket = ada.socket(&format!("/api/v1/ws?since={cursor}")).await;
    let mut stream = ada.stream("/api/v1/events", Some(&id)).await;
    let (mut pages, mut since) = (Vec::new(), cursor);
    loop {
        let page = page(&ada, &format!("since={since}&limit=2")).await;
        pages.extend(page["items"].as_array().unwrap().clone());
        page["cursor"].as_str().unwrap().clone_into(&mut since);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(pages.len(), expected.len());
    for ((kind, data), event) in expected.iter().zip(&pages) {
        assert_eq!((event["type"].as_str().unwrap(), &event["data"]), (*kind, data));
        assert_eq!(&socket.event().await, event);
        assert_eq!(&stream.event().await, event);
    }
    // And goes on live, without doubling what came from the log.
    let (_, made) = add(&ada, "next").await;
    assert_eq!(socket.event().await["data"], made);
    assert_eq!(stream.event().await["data"], made);
}

/// Who has no scope to read bookmarks gets no events of them.
#[both_databases]
async fn events_need_the_scope(app: &App) {
    let ada = app.client().register("ada").await;
    let form = [("grant_type", "password"), ("username", "ada"), ("scope", "bookmarks:write")];
    let form = form.into_iter().chain([("password", groundwork_testkit::client::PASSWORD)]);
    let request = app.client().request("POST".parse().unwrap(), "/api/v1/auth/token");
    let token = groundwork_testkit::client::send(request.form(&form.collect::<Vec<_>>())).await.expect(200);
    let writer = ada.with_token(token["access_token"].as_str().unwrap());
    let (mut reading, mut writing) = (Live::of(&ada).await, writer.socket("/api/v1/ws").await);
    let since = reading.cursor.clone();
    add(&writer, "one").await;
    reading.event().await;
    assert_eq!(page(&writer, &format!("since={since}")).await["items"], json!([]));
    // The pong comes after everything that was sent before.
    writing.send(&json!({"type": "ping"})).await;
    loop {
        let frame = writing.frame().await;
        assert!(frame["id"].is_null(), "{frame}");
        if frame["type"] == "pong" {
            break;
        }
    }
}
