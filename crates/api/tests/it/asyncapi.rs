//! The AsyncAPI document: its content, and that the frames are as it declares.

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use groundwork_realtime::codes::Close;
use groundwork_testkit::{Client, Socket, both_databases, client::send, frames::Frames};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{App, Talks};

fn document() -> Value {
    serde_json::from_str(api::app::asyncapi().unwrap().as_str()).unwrap()
}

#[test]
fn is_as_it_was_agreed() {
    insta::assert_json_snapshot!(document());
}

#[test]
fn every_message_is_described_and_has_an_example_that_fits() {
    let document = document();
    let sides = [("server", Frames::new(&document, "server")), ("client", Frames::new(&document, "client"))];
    for (key, message) in document["components"]["messages"].as_object().unwrap() {
        assert!(message["summary"].as_str().is_some_and(|text| text.len() > 5), "{key} isn't described");
        let example = &message["examples"][0]["payload"];
        if key == "server.page" {
            example["items"].as_array().unwrap().iter().for_each(|item| sides[0].1.check(item));
            continue;
        }
        let side = sides.iter().find(|(side, _)| key.starts_with(side)).unwrap();
        side.1.check(example);
        assert!(!example.to_string().contains(r#""text":"text""#), "{key} has an example of no meaning");
    }
}

/// A frame with a member that is missing, unknown or of another type does not pass as one of the document.
#[test]
fn a_frame_of_another_form_is_noticed() {
    let frames = Frames::new(&document(), "server");
    let typing = json!({"type": "typing", "thread_id": "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11",
        "data": {"user_id": "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11", "active": true, "expires_in_ms": 1}});
    frames.check(&typing);
    for (pointer, value) in [("/thread_id", json!(7)), ("/data", json!({})), ("/type", json!("other"))] {
        let mut wrong = typing.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(!frames.errors(&wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn every_close_code_is_there_with_what_to_do() {
    let document = document();
    let closes = document["channels"]["socket"]["x-close-codes"].as_array().unwrap();
    assert_eq!(closes.len(), Close::ALL.len());
    for (close, declared) in Close::ALL.iter().zip(closes) {
        assert_eq!((&declared["code"], &declared["reason"]), (&close.code.into(), &close.reason.into()));
        assert!(close.meaning.len() > 10 && close.advice.ends_with('.'), "{close:?}");
    }
}

/// The document for people has the close codes of the code, and names every type of frame.
#[test]
fn the_document_for_people_names_every_frame_and_close_code() {
    let text = include_str!("../../../../docs/realtime.md");
    for Close { code, reason, meaning, advice } in Close::ALL {
        let line = format!("| {code} | `{reason}` | {meaning} | {advice} |");
        assert!(text.contains(&line), "docs/realtime.md lacks the line\n{line}");
    }
    for key in document()["components"]["messages"].as_object().unwrap().keys() {
        let kind = key.split_once('.').unwrap().1;
        assert!(kind == "page" || text.contains(&format!("`{kind}`")), "docs/realtime.md lacks `{kind}`");
    }
}

/// Reads frames until one of this type.
async fn until(socket: &mut Socket, kind: &str, seen: &mut BTreeSet<String>) -> Value {
    let wait = async {
        loop {
            let frame = socket.frame().await;
            let found = frame["type"].as_str().unwrap().to_owned();
            seen.insert(found.clone());
            if found == kind {
                return frame;
            }
        }
    };
    let found = timeout(Duration::from_secs(30), wait).await;
    found.unwrap_or_else(|_| panic!("no {kind} came, after {seen:?}"))
}

/// Sends a frame, which must be one of the document.
async fn says(socket: &mut Socket, frame: Value, sent: &mut BTreeSet<String>) {
    Frames::new(&document(), "client").check(&frame);
    sent.insert(frame["type"].as_str().unwrap().to_owned());
    socket.send(&frame).await;
}

/// Two users do everything that there are frames for. The client of the testkit checks each frame that it gets.
#[both_databases]
async fn every_frame_of_the_document_occurs_as_it_is_declared(app: &App) {
    let (ada, bob, carol) = (app.user("ada").await, app.user("bob").await, app.user("carol").await);
    let (mut sent, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut socket = ada.socket("/api/v1/ws").await;
    let ready = until(&mut socket, "ready", &mut seen).await;
    let cursor = ready["data"]["cursor"].as_str().unwrap().to_owned();
    let thread = ada.starts_group("Engines", &[&bob]).await;
    until(&mut socket, "thread.created", &mut seen).await;

    let mut other = app.client().socket("/api/v1/ws").await;
    says(&mut other, json!({"type": "auth", "token": bob.token}), &mut sent).await;
    until(&mut other, "ready", &mut seen).await;
    says(
        &mut socket,
        json!({"type": "message.send", "client_id": "1", "thread_id": thread, "text": "Hello"}),
        &mut sent,
    )
    .await;
    until(&mut socket, "ack", &mut seen).await;
    let created = until(&mut other, "message.created", &mut seen).await;
    let message = format!("/api/v1/messages/{}", created["data"]["id"].as_str().unwrap());

    says(&mut other, json!({"type": "delivered", "thread_id": thread, "seq": 1}), &mut sent).await;
    says(&mut other, json!({"type": "read", "client_id": "2", "thread_id": thread}), &mut sent).await;
    // The acknowledgement and one's own receipt come in either order.
    let mut own = BTreeSet::new();
    while !["ack", "receipt.updated"].iter().all(|kind| own.contains(*kind)) {
        own.insert(other.frame().await["type"].as_str().unwrap().to_owned());
    }
    seen.extend(own);
    until(&mut socket, "receipt.updated", &mut seen).await;
    says(&mut other, json!({"type": "typing", "thread_id": thread}), &mut sent).await;
    until(&mut socket, "typing", &mut seen).await;
    says(&mut other, json!({"type": "presence", "status": "away"}), &mut sent).await;
    until(&mut socket, "presence", &mut seen).await;
    says(&mut other, json!({"type": "ping"}), &mut sent).await;
    until(&mut other, "pong", &mut seen).await;
    other.send(&json!({"type": "nonsense"})).await;
    until(&mut other, "error", &mut seen).await;

    ada.patch(&message, &json!({"text": "Hello, Bob"})).await.expect(200);
    until(&mut other, "message.updated", &mut seen).await;
    ada.delete(&message).await.expect(204);
    until(&mut other, "message.deleted", &mut seen).await;
    let path = format!("/api/v1/threads/{thread}");
    ada.patch(&path, &json!({"name": "Machines"})).await.expect(200);
    until(&mut other, "thread.updated", &mut seen).await;
    let mut third = carol.socket("/api/v1/ws").await;
    until(&mut third, "ready", &mut seen).await;
    assert_eq!(ada.adds(&thread, &carol).await.status, 200);
    let own = until(&mut third, "participant.added", &mut seen).await;
    assert_eq!(own["data"]["thread"]["name"], "Machines");
    let role = format!("{path}/participants/{}", carol.id());
    assert!(ada.patch(&role, &json!({"role": "admin"})).await.status < 300);
    until(&mut other, "participant.updated", &mut seen).await;
    assert_eq!(ada.removes(&thread, &carol).await.status, 200);
    until(&mut third, "participant.removed", &mut seen).await;
    ada.patch("/api/v1/users/me", &json!({"bio": "Engines"})).await.expect(200);
    until(&mut socket, "user.updated", &mut seen).await;
    ada.delete(&path).await.expect(204);
    until(&mut other, "thread.deleted", &mut seen).await;
    // All of it again from the log, where what is deleted has nothing left to show.
    says(&mut socket, json!({"type": "resume", "cursor": cursor}), &mut sent).await;
    until(&mut socket, "thread.deleted", &mut seen).await;

    let declared =
        |side: &str| Frames::new(&document(), side).types().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sent, declared("client"));
    // Those of a server that stops, of a client that does not read, and the page of `/sync`.
    let mut expected = declared("server");
    expected.retain(|kind| !["reconnect", "resync_required", "page"].contains(&kind.as_str()));
    assert_eq!(seen, expected);
}

/// The events of the stream and of the paged feed are those of the document, too.
#[both_databases]
async fn the_stream_and_the_pages_are_as_declared(app: &App) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let frames = Frames::new(&document(), "server");
    let start = ada.get("/api/v1/sync").await.expect(200);
    let mut stream = ada.request(Method::GET, "/api/v1/events").send().await.unwrap().bytes_stream();
    for text in ["one", "two"] {
        bob.writes_to(&ada, text).await;
    }
    let since = start["cursor"].as_str().unwrap();
    // Transactions of other tests on the same server may hold the log back for a moment.
    let page = loop {
        let page = ada.get(&format!("/api/v1/sync?since={since}")).await.expect(200);
        if page["items"].as_array().unwrap().len() >= 3 {
            break page;
        }
    };
    let kinds: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, ["thread.created", "message.created", "message.created"]);
    let mut page = page;
    page["type"] = "page".into();
    frames.check(&page);

    let mut text = String::new();
    while text.matches("message.created\n").count() < 2 {
        text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
    }
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        frames.check(&serde_json::from_str(data).unwrap());
    }
    assert!(text.contains("event: ready\n"));
}

fn header<'a>(answer: &'a groundwork_testkit::Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// The page shows the whole document without scripts, and loads nothing from elsewhere.
#[both_databases]
async fn the_page_shows_the_document(app: &App) {
    let client: Client = app.client();
    let page = send(client.request(Method::GET, "/docs/realtime")).await;
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    let html = page.body.as_str().unwrap();
    assert!(!html.contains("<script") && !html.contains("style=") && !html.contains("https://"));
    for key in
        document()["components"]["messages"].as_object().unwrap().keys().filter(|key| *key != "server.page")
    {
        assert!(html.contains(&format!("id=\"{key}\"")), "the page lacks {key}");
    }
    for name in document()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("id=\"type.{name}\"")), "the page lacks {name}");
    }
    for target in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(html.contains(&format!("id=\"{target}\"")), "there is no #{target}");
    }
    for path in ["/asyncapi.json", "/docs/realtime.css", "/docs"] {
        assert!(html.contains(&format!("href=\"{path}\"")), "no link to {path}");
        assert_eq!(send(client.request(Method::GET, path)).await.status, 200, "{path}");
    }
    assert_eq!(client.get("/asyncapi.json").await.expect(200), document());
    let openapi = client.get("/openapi.json").await.expect(200);
    assert!(openapi["info"]["description"].as_str().unwrap().contains("/docs/realtime"));
}
