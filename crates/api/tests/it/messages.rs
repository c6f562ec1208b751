//! Messages: sending, listing, editing, deleting, and receipts.

use std::time::Duration;

use groundwork_core::events;
use groundwork_testkit::{
    Backend, Client, Fixture, both_databases,
    client::{field_errors_of, send},
};
use messenger_domain::messages::{Message, entity};
use reqwest::Method;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{App, Talks};

fn at(message: &Message) -> String {
    format!("/api/v1/messages/{}", message.id)
}

fn texts(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect()
}

async fn read(client: &Client, message: &Message) -> Message {
    client.post(&format!("{}/read", at(message)), &Value::Null).await.read(200)
}

async fn delivered(client: &Client, message: &Message) -> Message {
    client.post(&format!("{}/delivered", at(message)), &Value::Null).await.read(200)
}

/// The messenger with `MESSAGE_DELETE_POLICY=always`.
struct AlwaysDeletable(App);

impl Fixture for AlwaysDeletable {
    async fn set_up(backend: Backend) -> Self {
        Self(App::with_settings(backend, &[("MESSAGE_DELETE_POLICY", "always")]).await)
    }

    async fn tear_down(self) {
        self.0.tear_down().await;
    }
}

/// A direct message names its receiver by id or by name; the receiver must exist.
#[both_databases]
async fn direct_messages_need_a_receiver(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let gone = app.user("gone").await;
    gone.delete("/api/v1/users/me").await.expect(204);
    let path = "/api/v1/messages";
    let by_name =
        ada.post(path, &json!({"receiver_username": "Charles", "text": "x"})).await.read::<Message>(201);
    assert_eq!(by_name.thread_id, ada.writes_to(&charles, "y").await.thread_id);
    for (field, value) in
        [("receiver_id", "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11"), ("receiver_username", "nobody")]
    {
        let problem =
            ada.post(path, &json!({field: value, "text": "x"})).await.refused(404, "user_not_found");
        assert_eq!(field_errors_of(&problem), [format!("{field}: not_found")]);
    }
    for (field, value) in [("receiver_id", gone.id()), ("receiver_username", "gone".to_owned())] {
        let problem = ada.post(path, &json!({field: value, "text": "x"})).await.refused(409, "user_inactive");
        assert_eq!(field_errors_of(&problem), [format!("{field}: inactive")]);
    }
    let both = json!({"receiver_id": charles.id(), "receiver_username": "charles", "text": "x"});
    assert_eq!(ada.post(path, &both).await.field_errors(), ["receiver_username: not_allowed"]);
    assert_eq!(
        ada.post(path, &json!({"text": " "})).await.field_errors(),
        ["receiver_id: missing", "text: blank"]
    );
    assert_eq!(ada.get("/api/v1/messages/outbox").await.expect(200)["total"], 2);
}

/// A thread's messages come newest first or oldest first, by cursor both ways, by `seq`, and by filter.
#[both_databases]
async fn threads_are_listed_both_ways(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    for index in 1..=7 {
        let from = if index % 2 == 0 { &charles } else { &ada };
        from.says(&thread, &format!("m{index}")).await;
    }
    let path = format!("/api/v1/threads/{thread}/messages");
    let list = async |query: &str| ada.get(&format!("{path}?{query}")).await.expect(200);
    assert_eq!(texts(&list("limit=3").await), ["m7", "m6", "m5"]);
    assert_eq!(texts(&list("order=asc&limit=2").await), ["m1", "m2"]);
    assert_eq!(texts(&list("before=3").await), ["m2", "m1"]);
    assert_eq!(texts(&list("after=5&order=asc").await), ["m6", "m7"]);
    assert_eq!(texts(&list(&format!("sender_id={}&seq__lt=5", charles.id())).await), ["m4", "m2"]);
    assert_eq!(texts(&list("text__ilike=M3").await), ["m3"]);
    assert_eq!(texts(&list("search=m7").await), ["m7"]);
    let first = list("limit=3").await;
    assert_eq!(
        first["authors"],
        json!([{"id": ada.id(), "username": "ada"}, {"id": charles.id(), "username": "charles"}])
    );
    charles.says(&thread, "m8").await;
    let second = list(&format!("limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(texts(&second), ["m4", "m3", "m2"]);
    let back = list(&format!("limit=9&cursor={}", second["prev_cursor"].as_str().unwrap())).await;
    assert_eq!(texts(&back), ["m8", "m7", "m6", "m5"]);
    assert_eq!(back["prev_cursor"], Value::Null);
    let other = ada.starts_group("Other", &[&charles]).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let foreign = ada.get(&format!("/api/v1/threads/{other}/messages?cursor={cursor}")).await.field_errors();
    assert_eq!(foreign, ["cursor: foreign_cursor"]);
    let errors = ada.get(&format!("{path}?limit=101&order=up&before=-1&version=1")).await.field_errors();
    assert_eq!(
        errors,
        ["before: out_of_range", "limit: out_of_range", "order: unknown_value", "version: unknown_field"]
    );
}

/// `after` and `before` begin at their bound, in the order asked for, and the cursors go on from there.
#[both_databases]
async fn bounds_have_what_is_next_to_them(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    for index in 1..=20 {
        ada.says(&thread, &format!("m{index}")).await;
    }
    let path = format!("/api/v1/threads/{thread}/messages");
    let list = async |query: &str| charles.get(&format!("{path}?{query}")).await.expect(200);
    let follow = async |page: &Value, name: &str, query: &str| {
        list(&format!("{query}&cursor={}", page[name].as_str().unwrap())).await
    };

    let after = list("after=10&limit=3").await;
    assert_eq!((texts(&after), &after["next_cursor"]), (vec!["m13", "m12", "m11"], &Value::Null));
    for query in ["after=10&limit=3", "limit=3"] {
        let newer = follow(&after, "prev_cursor", query).await;
        assert_eq!(texts(&newer), ["m16", "m15", "m14"]);
        assert_eq!(texts(&follow(&newer, "next_cursor", query).await), ["m13", "m12", "m11"]);
    }
    let newest = list("after=18&limit=3").await;
    assert_eq!((texts(&newest), &newest["prev_cursor"]), (vec!["m20", "m19"], &Value::Null));

    let after = list("after=10&limit=3&order=asc").await;
    assert_eq!((texts(&after), &after["prev_cursor"]), (vec!["m11", "m12", "m13"], &Value::Null));
    let newer = follow(&after, "next_cursor", "after=10&limit=3&order=asc").await;
    assert_eq!(texts(&newer), ["m14", "m15", "m16"]);

    assert_eq!(texts(&list("before=10&limit=3").await), ["m9", "m8", "m7"]);
    let before = list("before=10&limit=3&order=asc").await;
    assert_eq!((texts(&before), &before["next_cursor"]), (vec!["m7", "m8", "m9"], &Value::Null));
    let older = follow(&before, "prev_cursor", "before=10&limit=3&order=asc").await;
    assert_eq!(texts(&older), ["m4", "m5", "m6"]);

    assert_eq!(texts(&list("after=5&before=9").await), ["m8", "m7", "m6"]);
    assert_eq!(texts(&list("after=10&limit=2&text__ilike=m1").await), ["m12", "m11"]);
    assert_eq!(texts(&list("after=20").await), Vec::<&str>::new());
}

/// The context of a message is it and those beside it, with cursors into the list of its thread both ways.
#[both_databases]
async fn context_is_around_a_message(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let mut sent = Vec::new();
    for index in 1..=9 {
        let from = if index % 2 == 0 { &charles } else { &ada };
        sent.push(from.says(&thread, &format!("m{index}")).await);
    }
    ada.delete(&at(&sent[6])).await.expect(204);
    let around = async |message: &Message, query: &str| {
        charles.get(&format!("{}/context?{query}", at(message))).await.expect(200)
    };
    let list = async |order: &str, cursor: &Value| {
        let path = format!("/api/v1/threads/{thread}/messages?order={order}&limit=2");
        charles.get(&format!("{path}&cursor={}", cursor.as_str().unwrap())).await.expect(200)
    };
    let page = around(&sent[4], "before=2&after=2").await;
    assert_eq!(texts(&page), ["m8", "m6", "m5", "m4", "m3"]);
    assert_eq!(page["authors"].as_array().unwrap().len(), 2);
    assert_eq!(texts(&list("desc", &page["next_cursor"]).await), ["m2", "m1"]);
    assert_eq!(texts(&list("desc", &page["prev_cursor"]).await), ["m9"]);
    let page = around(&sent[4], "before=1&after=1&order=asc").await;
    assert_eq!(texts(&page), ["m4", "m5", "m6"]);
    assert_eq!(texts(&list("asc", &page["next_cursor"]).await), ["m8", "m9"]);
    assert_eq!(texts(&list("asc", &page["prev_cursor"]).await), ["m2", "m3"]);
    let all = around(&sent[4], "").await;
    assert_eq!(
        (texts(&all).len(), &all["next_cursor"], &all["prev_cursor"]),
        (8, &Value::Null, &Value::Null)
    );
    assert_eq!(texts(&around(&sent[4], "before=0&after=0").await), ["m5"]);
    let context = |message: &Message| format!("{}/context", at(message));
    charles.get(&context(&sent[6])).await.refused(404, "not_found");
    let errors = charles.get(&format!("{}?before=51&after=-1", context(&sent[4]))).await.field_errors();
    assert_eq!(errors, ["after: out_of_range", "before: out_of_range"]);
}

/// The sender's messages stay in the outbox after leaving a group, until the group is deleted, and cannot be changed.
#[both_databases]
async fn sent_messages_stay_in_the_outbox(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let message = charles.says(&thread, "from charles").await;
    let of_ada = ada.says(&thread, "from ada").await;
    charles.removes(&thread, &charles).await.expect(200);
    let outbox = async || charles.get("/api/v1/messages/outbox").await.expect(200);
    assert_eq!(texts(&outbox().await), ["from charles"]);
    charles.get(&at(&message)).await.expect(200);
    charles.get(&at(&of_ada)).await.refused(404, "not_found");
    charles.patch(&at(&message), &json!({"text": "x"})).await.refused(404, "not_found");
    charles.delete(&at(&message)).await.refused(404, "not_found");
    charles.get(&format!("{}/receipts", at(&message))).await.refused(404, "not_found");
    charles.get(&format!("{}/context", at(&message))).await.refused(404, "not_found");
    ada.delete(&format!("/api/v1/threads/{thread}")).await.expect(204);
    assert_eq!(texts(&outbox().await), Vec::<&str>::new());
    charles.get(&at(&message)).await.refused(404, "not_found");
}

/// Receiving and reading a message move its `updated_at`; a repeat doesn't.
#[both_databases]
async fn reading_moves_updated_at(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let message = ada.writes_to(&charles, "hello").await;
    assert_eq!(message.updated_at, message.created_at);
    app.db.clock.advance(Duration::from_secs(1));
    let received = delivered(&charles, &message).await;
    assert_eq!(Some(received.updated_at), received.delivered_at);
    app.db.clock.advance(Duration::from_secs(1));
    let seen = read(&charles, &message).await;
    assert_eq!(Some(seen.updated_at), seen.read_at);
    assert!(message.updated_at < received.updated_at && received.updated_at < seen.updated_at);
    app.db.clock.advance(Duration::from_secs(1));
    assert_eq!(read(&charles, &message).await, seen);
    assert_eq!(ada.get(&at(&message)).await.read::<Message>(200), seen);
    app.db.clock.advance(Duration::from_secs(1));
    let edited: Message = ada.patch(&at(&message), &json!({"text": "edited"})).await.read(200);
    assert!(seen.updated_at < edited.updated_at);
}

/// The list of direct messages has those sent and received, up to the given age; other users' are for administrators.
#[both_databases]
async fn direct_messages_of_the_last_days(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    ada.writes_to(&charles, "old").await;
    app.db.clock.advance(Duration::from_hours(24 * 29));
    let (ada, charles, grace) =
        (ada.login("ada").await, charles.login("charles").await, grace.login("grace").await);
    charles.writes_to(&ada, "newer").await;
    grace.writes_to(&ada, "from grace").await;
    charles.writes_to(&grace, "not ada's").await;
    ada.writes_to(&ada, "note").await;
    let group = ada.starts_group("Group", &[&charles]).await;
    ada.says(&group, "in a group").await;
    let list = ada.get("/api/v1/messages").await.expect(200);
    assert_eq!(texts(&list), ["note", "from grace", "newer", "old"]);
    let page = ada.get("/api/v1/messages?limit=2").await.expect(200);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = ada.get(&format!("/api/v1/messages?limit=2&cursor={next}")).await.expect(200);
    assert_eq!((texts(&rest), &rest["next_cursor"]), (vec!["newer", "old"], &Value::Null));
    let back = rest["prev_cursor"].as_str().unwrap();
    let back = ada.get(&format!("/api/v1/messages?limit=2&cursor={back}")).await.expect(200);
    assert_eq!(texts(&back), ["note", "from grace"]);
    app.db.clock.advance(Duration::from_hours(25));
    let (ada, charles) = (ada.login("ada").await, charles.login("charles").await);
    assert_eq!(texts(&ada.get("/api/v1/messages").await.expect(200)), ["note", "from grace", "newer"]);
    assert_eq!(texts(&ada.get("/api/v1/messages?max_age_days=31").await.expect(200)).len(), 4);
    for bad in ["0", "36501", "x"] {
        ada.get(&format!("/api/v1/messages?max_age_days={bad}")).await.refused(422, "invalid");
    }
    let admin = app.user_in("admin", "root").await;
    for user in ["ADA".to_owned(), ada.id()] {
        let list = admin.get(&format!("/api/v1/messages?user={user}")).await.expect(200);
        assert_eq!(texts(&list).len(), 3);
    }
    ada.get("/api/v1/messages?user=ada").await.expect(200);
    charles.get("/api/v1/messages?user=ada").await.refused(403, "missing_scope");
    charles.get("/api/v1/messages?user=nobody").await.refused(403, "missing_scope");
    admin.get("/api/v1/messages?user=nobody").await.refused(404, "not_found");
}

/// Inbox and outbox have pages; the inbox filters by read and unread.
#[both_databases]
async fn inbox_and_outbox(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut sent = Vec::new();
    for index in 1..=3 {
        sent.push(ada.writes_to(&charles, &format!("m{index}")).await);
    }
    read(&charles, &sent[1]).await;
    let inbox = async |query: &str| charles.get(&format!("/api/v1/messages/inbox?{query}")).await.expect(200);
    assert_eq!(texts(&inbox("").await), ["m3", "m2", "m1"]);
    assert_eq!(texts(&inbox("unread_only=true").await), ["m3"]);
    assert_eq!(texts(&inbox("unread_only=false&order_by=seq").await), ["m1", "m2"]);
    let page = inbox("size=2&page=2").await;
    assert_eq!((texts(&page), &page["total"], &page["pages"]), (vec!["m1"], &json!(3), &json!(2)));
    let beyond = inbox("size=2&page=3").await;
    assert_eq!((texts(&beyond), &beyond["total"], &beyond["pages"]), (vec![], &json!(3), &json!(2)));
    let outbox = ada.get("/api/v1/messages/outbox?text=m2").await.expect(200);
    assert_eq!((texts(&outbox), &outbox["items"][0]["is_read"]), (vec!["m2"], &json!(true)));
    assert_eq!(charles.get("/api/v1/messages/outbox").await.expect(200)["total"], 0);
    let bad = charles.get("/api/v1/messages/inbox?unread_only=yes").await.field_errors();
    assert_eq!(bad, ["unread_only: wrong_type"]);
}

/// Only the sender can edit a message; the text is stored unchanged, and the version increases.
#[both_databases]
async fn senders_edit(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let message = ada.writes_to(&charles, "first").await;
    let text = json!({"text": "  zwo\u{308}lf\n👩‍👩‍👧  "});
    charles.patch(&at(&message), &text).await.refused(403, "forbidden");
    grace.patch(&at(&message), &text).await.refused(404, "not_found");
    let edited: Message = ada.patch(&at(&message), &text).await.read(200);
    assert_eq!((edited.text.as_str(), edited.seq), ("  zwo\u{308}lf\n👩‍👩‍👧  ", 1));
    assert!(edited.edited_at.is_some() && edited.version == message.version + 1);
    assert_eq!(ada.patch(&at(&message), &json!({"text": "\n\t "})).await.field_errors(), ["text: blank"]);
    assert_eq!(charles.get(&at(&message)).await.read::<Message>(200), edited);
    grace.get(&at(&message)).await.refused(404, "not_found");
}

/// The sender can delete a message until somebody has read it. A tombstone without its text remains.
#[both_databases]
async fn unread_messages_are_taken_back(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let kept = ada.writes_to(&charles, "kept").await;
    let taken = ada.writes_to(&charles, "taken back").await;
    charles.delete(&at(&taken)).await.refused(403, "forbidden");
    grace.delete(&at(&taken)).await.refused(404, "not_found");
    ada.delete(&at(&taken)).await.expect(204);
    ada.delete(&at(&taken)).await.refused(404, "not_found");
    ada.patch(&at(&taken), &json!({"text": "x"})).await.refused(404, "not_found");
    charles.post(&format!("{}/read", at(&taken)), &Value::Null).await.refused(404, "not_found");
    let thread = charles.thread(&kept.thread_id.to_string()).await;
    assert_eq!((&thread["unread_count"], &thread["last_message"]["text"]), (&json!(1), &json!("kept")));
    assert_eq!(thread["last_seq"], 2, "a place is never given twice");
    let changes = charles
        .get(&format!("/api/v1/threads/{}/changes?since={}", kept.thread_id, kept.version))
        .await
        .expect(200);
    let items = changes["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["id"], &items[0]["message"]), (&json!(taken.id), &Value::Null));
    assert!(items[0]["deleted_at"].is_string());
    let rows = entity::Entity::find().all(app.db.db.reader()).await.unwrap();
    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    assert!(!format!("{rows:?}{log:?}").contains("taken back"));
    read(&charles, &kept).await;
    ada.delete(&at(&kept)).await.refused(409, "already_read");
    let admin = app.user_in("admin", "root").await;
    admin.get(&at(&kept)).await.refused(404, "not_found");
    admin.delete(&at(&kept)).await.expect(204);
}

/// The owners and admins of a group can delete any message in it.
#[both_databases]
async fn admins_of_a_group_delete(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles, &grace]).await;
    let message = charles.says(&thread, "rude").await;
    read(&grace, &message).await;
    grace.delete(&at(&message)).await.refused(403, "forbidden");
    charles.delete(&at(&message)).await.refused(409, "already_read");
    ada.delete(&at(&message)).await.expect(204);
}

/// With the policy `always` a sender can delete a message that was read.
#[both_databases]
async fn always_means_always(app: &AlwaysDeletable) {
    let (ada, charles) = (app.0.user("ada").await, app.0.user("charles").await);
    let message = ada.writes_to(&charles, "read").await;
    read(&charles, &message).await;
    charles.delete(&at(&message)).await.refused(403, "forbidden");
    ada.delete(&at(&message)).await.expect(204);
}

/// What changed since a version comes in its order and in parts, each message as it is now.
#[both_databases]
async fn changes_catch_up(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut sent = Vec::new();
    for index in 0..4 {
        sent.push(ada.writes_to(&charles, &format!("m{index}")).await);
    }
    ada.patch(&at(&sent[0]), &json!({"text": "edited"})).await.expect(200);
    let path = format!("/api/v1/threads/{}/changes", sent[0].thread_id);
    let first = charles.get(&format!("{path}?since=1&limit=2")).await.expect(200);
    let seqs = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|c| c["seq"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((seqs(&first), &first["has_more"]), (vec![2, 3], &json!(true)));
    let rest = charles.get(&format!("{path}?since={}", first["version"])).await.expect(200);
    assert_eq!((seqs(&rest), &rest["has_more"]), (vec![4, 1], &json!(false)));
    assert_eq!(rest["items"][1]["message"]["text"], "edited");
    let none = charles.get(&format!("{path}?since={}", rest["version"])).await.expect(200);
    assert_eq!((seqs(&none), &none["version"]), (vec![], &rest["version"]));
    assert_eq!(
        charles.get(&format!("{path}?since=-1&limit=0")).await.field_errors(),
        ["limit: out_of_range", "since: out_of_range"]
    );
}

/// The changes of a list, each as its type and its subject.
fn changed(page: &Value) -> Vec<String> {
    let name = |item: &Value| match item["type"].as_str().unwrap() {
        "message" => format!("message {}", item["seq"]),
        "thread" => format!("thread {}", item["name"].as_str().unwrap()),
        _ if item["participant"].is_null() => format!("left {}", item["left_at"].is_string()),
        _ => format!("{} {}", item["participant"]["username"], item["participant"]["role"]).replace('"', ""),
    };
    page["items"].as_array().unwrap().iter().map(name).collect()
}

/// Name, roles and membership are among the changes, each as it is now, and the last page has the thread's version.
#[both_databases]
async fn changes_converge(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let at_thread = format!("/api/v1/threads/{thread}");
    let path = format!("{at_thread}/changes");
    let since = async |version: &Value| ada.get(&format!("{path}?since={version}")).await.expect(200);
    let all = since(&json!(0)).await;
    assert_eq!(changed(&all), ["thread Engines", "ada owner", "charles member"]);
    assert_eq!((&all["version"], &all["has_more"]), (&json!(1), &json!(false)));

    ada.says(&thread, "hello").await;
    ada.adds(&thread, &grace).await.expect(200);
    ada.patch(&format!("{at_thread}/participants/{}", charles.id()), &json!({"role": "admin"}))
        .await
        .expect(200);
    ada.patch(&at_thread, &json!({"name": "Difference engines"})).await.expect(200);
    let news = since(&all["version"]).await;
    assert_eq!(changed(&news), ["message 1", "grace member", "charles admin", "thread Difference engines"]);
    assert_eq!(news["version"], ada.thread(&thread).await["version"]);

    grace.removes(&thread, &grace).await.expect(200);
    grace.get(&path).await.refused(404, "not_found");
    let left = since(&news["version"]).await;
    assert_eq!(changed(&left), ["left true"]);
    assert_eq!(left["items"][0]["user_id"], grace.id());
    let version = left["version"].as_i64().unwrap();
    charles.get(&format!("{path}?since={}", version + 1)).await.refused(409, "version_ahead");
    assert_eq!(changed(&since(&left["version"]).await), Vec::<String>::new());
}

/// What one version changed comes on one page, however small the limit, so that no change falls between two pages.
#[both_databases]
async fn changes_of_one_version_are_not_parted(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles, &grace]).await;
    let message = ada.says(&thread, "one").await;
    ada.says(&thread, "two").await;
    ada.patch(&at(&message), &json!({"text": "edited"})).await.expect(200);
    let (mut since, mut pages) = (json!(0), Vec::new());
    loop {
        let path = format!("/api/v1/threads/{thread}/changes?limit=1&since={since}");
        let page = charles.get(&path).await.expect(200);
        pages.push(changed(&page).len());
        since = page["version"].clone();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(pages, [4, 1, 1]);
    assert_eq!(since, ada.thread(&thread).await["version"]);
}

/// A user who joins later and cannot see the last changes still gets the thread's version.
#[both_databases]
async fn changes_that_are_not_seen_are_passed_over(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let before = ada.says(&thread, "before grace").await;
    ada.adds(&thread, &grace).await.expect(200);
    ada.patch(&at(&before), &json!({"text": "edited"})).await.expect(200);
    let page = grace.get(&format!("/api/v1/threads/{thread}/changes?since=3")).await.expect(200);
    assert_eq!((changed(&page).len(), &page["has_more"]), (0, &json!(false)));
    assert_eq!(page["version"], ada.thread(&thread).await["version"]);
}

/// Each change writes its event, in the order of the versions.
#[both_databases]
async fn changes_are_in_the_log(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let message = ada.says(&thread, "hello").await;
    ada.patch(&at(&message), &json!({"text": "edited"})).await.expect(200);
    read(&charles, &message).await;
    ada.adds(&thread, &grace).await.expect(200);
    ada.patch(&format!("/api/v1/threads/{thread}"), &json!({"name": "New"})).await.expect(200);
    ada.delete(&at(&message)).await.expect(204);
    grace.removes(&thread, &grace).await.expect(200);
    ada.delete(&format!("/api/v1/threads/{thread}")).await.expect(204);
    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    let of_thread: Vec<_> = log.iter().filter(|event| event.subject_kind == "thread").collect();
    let kinds: Vec<_> = of_thread.iter().map(|event| (event.kind.as_str(), event.version)).collect();
    assert_eq!(
        kinds,
        [
            ("thread.created", Some(1)),
            ("message.created", Some(2)),
            ("message.updated", Some(3)),
            ("receipt.updated", None),
            ("participant.added", Some(4)),
            ("thread.updated", Some(5)),
            ("message.deleted", Some(6)),
            ("participant.removed", Some(7)),
            ("thread.deleted", Some(8)),
        ]
    );
    let mut first = of_thread[0].payload["participants"].as_array().unwrap().clone();
    first.sort_by_key(|user| user["id"] != json!(ada.id()));
    let shown = |id: String| json!({"id": id, "shows_presence": true});
    assert_eq!(first, [shown(ada.id()), shown(charles.id())]);
    assert_eq!(of_thread[1].payload, json!({"seq": 1}));
    assert_eq!(of_thread[3].actor_id.unwrap().to_string(), charles.id());
    let receipt = &of_thread[3].payload;
    assert_eq!((&receipt["kind"], &receipt["seq"]), (&json!("read"), &json!(1)));
    assert!(receipt["at"].is_string());
    let added = json!({"role": "member", "joined_seq": 1, "joined_version": 4, "shows_presence": true});
    assert_eq!(of_thread[4].payload, added);
}

/// An event of a message carries the key of the request that sent it, by which its sender's client recognizes it.
#[both_databases]
async fn the_log_has_the_senders_id_of_a_message(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let direct = json!({"receiver_id": charles.id(), "text": "one"});
    let first = ada.post_once("/api/v1/messages", "first", &direct).await.expect(201);
    let path = format!("/api/v1/threads/{}/messages", first["thread_id"].as_str().unwrap());
    ada.post_once(&path, "second", &json!({"text": "two"})).await.expect(201);
    ada.post_once(&path, "second", &json!({"text": "two"})).await.expect(201);
    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    let created = log.iter().filter(|event| event.kind == "message.created");
    let ids: Vec<_> = created.map(|event| event.payload["client_id"].clone()).collect();
    assert_eq!(ids, ["first", "second"]);
}

/// Several changes of one request have a version each, in the log and among the changes of the thread.
#[both_databases]
async fn each_change_has_a_version_of_its_own(app: &App) {
    let ada = app.user("ada").await;
    let mut others = Vec::new();
    for index in 0..5 {
        others.push(app.user(&format!("user-{index}")).await);
    }
    let thread = ada.starts_group("Engines", &[&others[0], &others[1]]).await;
    let at_thread = format!("/api/v1/threads/{thread}");
    let ids = |users: &[Client]| users.iter().map(Client::id).collect::<Vec<_>>();
    let both = json!({"add": ids(&others[2..]), "remove": ids(&others[..2])});
    ada.patch(&format!("{at_thread}/participants"), &both).await.expect(200);
    assert_eq!(ada.thread(&thread).await["version"], 6);
    ada.patch(&at_thread, &json!({"name": "New"})).await.expect(200);
    ada.delete("/api/v1/users/me").await.expect(204);

    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    let of_thread = log.iter().filter(|event| event.subject_kind == "thread");
    let versions: Vec<_> = of_thread.clone().filter_map(|event| event.version).collect();
    assert_eq!(versions, (1..=9).collect::<Vec<_>>());
    let user = |version: i64| {
        let event = of_thread.clone().find(|event| event.version == Some(version)).unwrap();
        (event.kind.as_str(), event.user_id.unwrap().to_string())
    };
    let expected: Vec<_> = ["participant.removed"; 2].into_iter().chain(["participant.added"; 3]).collect();
    for (index, kind) in expected.into_iter().enumerate() {
        assert_eq!(user(2 + i64::try_from(index).unwrap()), (kind, others[index].id()));
    }

    let (mut since, mut found) = (1, Vec::new());
    loop {
        let path = format!("{at_thread}/changes?limit=1&since={since}");
        let page = others[4].get(&path).await.expect(200);
        let item = &page["items"][0];
        assert_eq!((page["items"].as_array().unwrap().len(), &item["version"]), (1, &page["version"]));
        found.push((item["version"].as_i64().unwrap(), item["user_id"].as_str().map(str::to_owned)));
        since = page["version"].as_i64().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    // Version 8 is that of the heir, who joined at one of the versions before.
    let heir = user(8).1;
    let mut expected: Vec<_> = (2..=6).map(|version| (version, Some(user(version).1))).collect();
    expected.retain(|(_, id)| id.as_ref() != Some(&heir));
    expected.extend([(7, None), (8, Some(heir)), (9, Some(ada.id()))]);
    assert_eq!(found, expected);
}

/// The read position only moves forward; read messages count as delivered.
#[both_databases]
async fn reading_moves_forwards(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut sent = Vec::new();
    for index in 0..3 {
        sent.push(ada.writes_to(&charles, &format!("m{index}")).await);
    }
    ada.post(&format!("{}/read", at(&sent[0])), &Value::Null).await.refused(404, "not_found");
    let first = delivered(&charles, &sent[0]).await;
    assert!(first.delivered_at.is_some() && first.read_at.is_none() && !first.is_read);
    app.db.clock.advance(Duration::from_secs(1));
    let second = read(&charles, &sent[1]).await;
    assert_eq!(second.delivered_at, second.read_at);
    app.db.clock.advance(Duration::from_secs(1));
    assert_eq!(read(&charles, &sent[1]).await, second, "a repeat changes nothing");
    let first_again = read(&charles, &sent[0]).await;
    assert_eq!((first_again.read_at, first_again.delivered_at), (second.read_at, first.delivered_at));
    let thread = sent[0].thread_id.to_string();
    assert_eq!(charles.thread(&thread).await["unread_count"], 1);
    let path = format!("/api/v1/threads/{thread}/read");
    assert_eq!(charles.post(&path, &json!({"seq": 1})).await.expect(200)["unread_count"], 1);
    assert_eq!(charles.post(&path, &json!({"seq": 4})).await.field_errors(), ["seq: out_of_range"]);
    assert_eq!(charles.post(&path, &json!({"seq": -1})).await.field_errors(), ["seq: out_of_range"]);
    let to_the_end = send(charles.request(Method::POST, &path)).await;
    assert_eq!(to_the_end.expect(200)["unread_count"], 0);
    assert!(ada.get(&at(&sent[2])).await.read::<Message>(200).is_read);
}

/// Receipts say who received and read a message, and when: by the first receipt that covers it.
#[both_databases]
async fn receipts_are_exact(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles, &grace]).await;
    let first = ada.says(&thread, "first").await;
    let second = ada.says(&thread, "second").await;
    app.db.clock.advance(Duration::from_secs(10));
    let by_grace = delivered(&grace, &second).await.delivered_at;
    app.db.clock.advance(Duration::from_secs(10));
    let by_charles = read(&charles, &first).await.read_at;
    app.db.clock.advance(Duration::from_secs(10));
    let later = read(&charles, &second).await.read_at;
    assert!(by_grace < by_charles && by_charles < later);
    let receipts = ada.get(&format!("{}/receipts", at(&first))).await.expect(200);
    assert_eq!(
        receipts["items"],
        json!([
            {"user_id": charles.id(), "username": "charles", "delivered_at": by_charles, "read_at": by_charles},
            {"user_id": grace.id(), "username": "grace", "delivered_at": by_grace, "read_at": null},
        ])
    );
    let seen: Message = ada.get(&at(&first)).await.read(200);
    assert_eq!((seen.delivered_at, seen.read_at), (by_grace, by_charles));
    let alan = app.user("alan").await;
    ada.adds(&thread, &alan).await.expect(200);
    alan.post(&format!("/api/v1/threads/{thread}/read"), &json!({})).await.expect(200);
    let receipts = ada.get(&format!("{}/receipts", at(&first))).await.expect(200);
    assert_eq!(receipts["total"], 2, "who came later has not read it");
    app.user("stranger").await.get(&format!("{}/receipts", at(&first))).await.refused(404, "not_found");
}
