//! Threads and their participants.

use groundwork_testkit::{Client, both_databases, client::field_errors_of};
use serde_json::{Value, json};

use crate::support::{App, Talks};

const THREADS: &str = "/api/v1/threads";

fn at(thread: &str) -> String {
    format!("{THREADS}/{thread}")
}

async fn listed(client: &Client, query: &str) -> (Vec<String>, Value) {
    let page = client.get(&format!("{THREADS}?{query}")).await.expect(200);
    let ids =
        page["items"].as_array().unwrap().iter().map(|thread| thread["id"].as_str().unwrap().to_owned());
    (ids.collect(), page)
}

async fn texts(client: &Client, thread: &str) -> Vec<String> {
    let list = client.get(&format!("{}/messages?order=asc", at(thread))).await.expect(200);
    list["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
}

/// Two users have one direct thread, whoever creates it; so has a user with themselves.
#[both_databases]
async fn a_pair_has_one_thread(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let with = |other: &Client| json!({"type": "direct", "participant_ids": [other.id()]});
    let made = ada.post(THREADS, &with(&charles)).await.expect(201);
    assert_eq!(ada.post(THREADS, &with(&charles)).await.expect(200)["id"], made["id"]);
    assert_eq!(charles.post(THREADS, &with(&ada)).await.expect(200)["id"], made["id"]);
    assert_eq!(ada.writes_to(&charles, "hello").await.thread_id.to_string(), made["id"].as_str().unwrap());
    let notes = ada.post(THREADS, &with(&ada)).await.expect(201);
    assert_eq!(
        (&notes["participant_count"], notes["participants"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    let gone = app.user("gone").await;
    gone.delete("/api/v1/users/me").await.expect(204);
    let problem = ada.post(THREADS, &with(&gone)).await.refused(409, "user_inactive");
    assert_eq!(field_errors_of(&problem), ["participant_ids.0: inactive"]);
    for (body, error) in [
        (
            json!({"type": "direct", "participant_ids": [ada.id(), charles.id()]}),
            "participant_ids: wrong_count",
        ),
        (json!({"type": "direct", "participant_ids": [ada.id()], "name": "x"}), "name: not_allowed"),
        (json!({"type": "group", "participant_ids": [charles.id()]}), "name: missing"),
        (json!({"type": "group", "name": " ", "participant_ids": [charles.id()]}), "name: blank"),
        (json!({"type": "group", "name": "x", "participant_ids": []}), "participant_ids: too_few"),
        (json!({"type": "group", "name": "x", "participant_ids": [ada.id()]}), "participant_ids: too_few"),
        (json!({"type": "club", "name": "x", "participant_ids": [charles.id()]}), "type: unknown_value"),
    ] {
        assert_eq!(ada.post(THREADS, &body).await.field_errors(), [error]);
    }
}

/// The creator of a group owns it; a large group shows its first participants, and all of them by page.
#[both_databases]
async fn groups_are_owned_by_who_starts_them(app: &App) {
    let ada = app.user("ada").await;
    let mut others = Vec::new();
    for index in 0..99 {
        others.push(app.user(&format!("member-{index}")).await);
    }
    let others: Vec<&Client> = others.iter().collect();
    let id = ada.starts_group("Engines", &others).await;
    let thread = ada.thread(&id).await;
    assert_eq!((&thread["participant_count"], &thread["creator_id"]), (&json!(100), &json!(ada.id())));
    let shown = thread["participants"].as_array().unwrap();
    assert_eq!(shown.len(), 50);
    assert_eq!((&shown[0]["username"], &shown[0]["role"]), (&json!("ada"), &json!("owner")));
    let page = ada.get(&format!("{}/participants?size=60&page=2", at(&id))).await.expect(200);
    assert_eq!((page["items"].as_array().unwrap().len(), &page["total"]), (40, &json!(100)));
    assert_eq!(page["items"][39]["role"], "member");
}

/// The list has the latest activity first; by cursor each thread is returned once, also while their order changes.
#[both_databases]
async fn lists_have_the_latest_first(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut ids = Vec::new();
    for index in 0..5 {
        ids.push(ada.starts_group(&format!("Group {index}"), &[&charles]).await);
    }
    charles.says(&ids[1], "latest").await;
    let order = [&ids[1], &ids[4], &ids[3], &ids[2], &ids[0]].map(Clone::clone);
    let (all, page) = listed(&ada, "").await;
    assert_eq!(all, order);
    assert_eq!(
        (&page["items"][0]["unread_count"], &page["items"][0]["last_message"]["text"]),
        (&json!(1), &json!("latest"))
    );
    assert_eq!(page["items"][1]["last_message"], Value::Null);

    let (first, page) = listed(&ada, "limit=2").await;
    assert_eq!((&first[..], &page["prev_cursor"]), (&order[..2], &Value::Null));
    let new = ada.starts_group("New", &[&charles]).await;
    charles.says(&ids[1], "again").await;
    let next = page["next_cursor"].as_str().unwrap().to_owned();
    let (second, page) = listed(&ada, &format!("limit=2&cursor={next}")).await;
    assert_eq!(second, order[2..4]);
    let (third, last) =
        listed(&ada, &format!("limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&third[..], &last["next_cursor"]), (&order[4..], &Value::Null));
    let back = page["prev_cursor"].as_str().unwrap();
    let (before, _) = listed(&ada, &format!("limit=10&cursor={back}")).await;
    assert_eq!(before, [ids[1].clone(), new, ids[4].clone()]);
    let foreign = charles.get(&format!("{THREADS}?cursor={next}")).await.field_errors();
    assert_eq!(foreign, ["cursor: foreign_cursor"], "a cursor of another's list");

    assert_eq!(listed(&ada, "name__ilike=GROUP%203").await.0, [ids[3].clone()]);
    assert_eq!(listed(&ada, "search=new&type=group").await.0.len(), 1);
    assert!(listed(&ada, "type=direct").await.0.is_empty());
    assert_eq!(ada.get(&format!("{THREADS}?last_seq=1")).await.field_errors(), ["last_seq: unknown_field"]);
}

/// Owners and admins can rename a group, and only owners can delete it, for all participants.
#[both_databases]
async fn roles_decide_who_changes_a_group(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let id = ada.starts_group("Engines", &[&charles]).await;
    let name = json!({"name": "Mills"});
    charles.patch(&at(&id), &name).await.refused(403, "forbidden");
    grace.patch(&at(&id), &name).await.refused(404, "not_found");
    let before = ada.thread(&id).await["version"].as_i64().unwrap();
    let renamed = ada.patch(&at(&id), &name).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["version"]), (&json!("Mills"), &json!(before + 1)));
    assert_eq!(
        ada.patch(&at(&id), &json!({"name": "x".repeat(101)})).await.field_errors(),
        ["name: too_long"]
    );
    let role = format!("{}/participants/{}", at(&id), charles.id());
    charles.patch(&role, &json!({"role": "owner"})).await.refused(403, "forbidden");
    let admin = ada.patch(&role, &json!({"role": "admin"})).await.expect(200);
    assert_eq!((&admin["role"], &admin["id"]), (&json!("admin"), &json!(charles.id())));
    charles.patch(&at(&id), &name).await.expect(200);
    charles.delete(&at(&id)).await.refused(403, "forbidden");
    let message = charles.says(&id, "hello").await;
    ada.delete(&at(&id)).await.expect(204);
    for client in [&ada, &charles] {
        client.get(&at(&id)).await.refused(404, "not_found");
        client.get(&format!("{}/messages", at(&id))).await.refused(404, "not_found");
        client.get(&format!("/api/v1/messages/{}", message.id)).await.refused(404, "not_found");
        client.post(&format!("{}/messages", at(&id)), &json!({"text": "x"})).await.refused(404, "not_found");
        assert!(listed(client, "").await.0.is_empty());
    }
    let outbox = charles.get("/api/v1/messages/outbox").await.expect(200);
    assert_eq!(outbox["total"], 0);
}

/// A direct thread cannot be changed.
#[both_databases]
async fn direct_threads_stay(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let id = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    ada.patch(&at(&id), &json!({"name": "x"})).await.refused(409, "direct_thread");
    ada.delete(&at(&id)).await.refused(409, "direct_thread");
    ada.adds(&id, &grace).await.refused(409, "direct_thread");
    ada.removes(&id, &ada).await.refused(409, "direct_thread");
    let role = format!("{}/participants/{}", at(&id), charles.id());
    ada.patch(&role, &json!({"role": "owner"})).await.refused(409, "direct_thread");
    grace.get(&at(&id)).await.refused(404, "not_found");
}

/// One request adds and removes participants, all or none.
#[both_databases]
async fn participants_change_all_or_none(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let id = ada.starts_group("Engines", &[&charles]).await;
    let path = format!("{}/participants", at(&id));
    let problem = ada
        .patch(&path, &json!({"add": [grace.id(), charles.id()]}))
        .await
        .refused(409, "already_participant");
    assert_eq!(field_errors_of(&problem), ["add.1: already_participant"]);
    let problem =
        ada.patch(&path, &json!({"add": [], "remove": [grace.id()]})).await.refused(409, "not_a_participant");
    assert_eq!(field_errors_of(&problem), ["remove.0: not_a_participant"]);
    let unknown = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";
    let problem =
        ada.patch(&path, &json!({"add": [grace.id(), unknown]})).await.refused(404, "user_not_found");
    assert_eq!(field_errors_of(&problem), ["add.1: not_found"]);
    assert_eq!(ada.patch(&path, &json!({})).await.field_errors(), [": empty"]);
    let twice = json!({"add": [grace.id()], "remove": [grace.id()]});
    assert_eq!(ada.patch(&path, &twice).await.field_errors(), ["remove.0: repeated"]);
    assert_eq!(ada.thread(&id).await["participant_count"], 2);
    let swapped = ada.patch(&path, &json!({"add": [grace.id()], "remove": [charles.id()]})).await.expect(200);
    let added: Vec<_> = swapped["added"].as_array().unwrap().iter().map(|p| p["username"].clone()).collect();
    assert_eq!((&added[..], &swapped["removed"]), (&[json!("grace")][..], &json!([charles.id()])));
    assert_eq!(ada.thread(&id).await["participant_count"], 2);
    grace.adds(&id, &charles).await.refused(403, "forbidden");
    charles.get(&at(&id)).await.refused(404, "not_found");
}

/// A user who left can no longer read; a user who returns sees the messages from then on.
#[both_databases]
async fn who_left_reads_nothing_more(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let id = ada.starts_group("Engines", &[&charles]).await;
    let before = ada.says(&id, "before").await;
    charles.removes(&id, &charles).await.expect(200);
    for path in [
        at(&id),
        format!("{}/messages", at(&id)),
        format!("{}/changes", at(&id)),
        format!("{}/participants", at(&id)),
        format!("/api/v1/messages/{}", before.id),
    ] {
        charles.get(&path).await.refused(404, "not_found");
    }
    charles.post(&format!("{}/messages", at(&id)), &json!({"text": "x"})).await.refused(404, "not_found");
    charles.post(&format!("{}/read", at(&id)), &json!({})).await.refused(404, "not_found");
    charles.removes(&id, &charles).await.refused(404, "not_found");
    ada.says(&id, "meanwhile").await;
    ada.adds(&id, &charles).await.expect(200);
    let thread = charles.thread(&id).await;
    assert_eq!((&thread["unread_count"], &thread["last_message"]), (&json!(0), &Value::Null));
    ada.says(&id, "after").await;
    assert_eq!(texts(&charles, &id).await, ["after"]);
    assert_eq!(charles.thread(&id).await["unread_count"], 1);
    let changes = charles.get(&format!("{}/changes", at(&id))).await.expect(200);
    let items = changes["items"].as_array().unwrap();
    assert_eq!(items.iter().filter(|item| item["type"] == "message").count(), 1);
}

/// If the history of a group is `full`, new participants see all messages.
#[both_databases]
async fn a_full_history_is_seen_by_all(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let body = json!({"type": "group", "name": "Open", "participant_ids": [charles.id()], "history": "full"});
    let made = ada.post(THREADS, &body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    ada.says(id, "before").await;
    ada.adds(id, &grace).await.expect(200);
    assert_eq!(texts(&grace, id).await, ["before"]);
    assert_eq!(grace.thread(id).await["unread_count"], 0);
    ada.patch(&at(id), &json!({"history": "from_joining"})).await.expect(200);
    let alan = app.user("alan").await;
    ada.adds(id, &alan).await.expect(200);
    assert!(texts(&alan, id).await.is_empty());
}

/// A group always has an owner, and only an owner can remove one.
#[both_databases]
async fn a_group_keeps_an_owner(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let id = ada.starts_group("Engines", &[&charles]).await;
    let role = |user: &Client| format!("{}/participants/{}", at(&id), user.id());
    ada.removes(&id, &ada).await.refused(409, "last_owner");
    ada.patch(&role(&ada), &json!({"role": "member"})).await.refused(409, "last_owner");
    ada.patch(&role(&charles), &json!({"role": "admin"})).await.expect(200);
    charles.removes(&id, &ada).await.refused(403, "forbidden");
    ada.patch(&role(&charles), &json!({"role": "owner"})).await.expect(200);
    ada.removes(&id, &ada).await.expect(200);
    assert_eq!(charles.thread(&id).await["participant_count"], 1);
    ada.patch(&role(&charles), &json!({"role": "member"})).await.refused(404, "not_found");
    let path = role(&ada);
    charles.patch(&path, &json!({"role": "member"})).await.refused(404, "not_found");
}

/// A thread shows the caller's membership, also if the caller is not among the participants shown.
#[both_databases]
async fn a_thread_has_the_callers_own_part(app: &App) {
    let ada = app.user("ada").await;
    let mut others = Vec::new();
    for index in 0..50 {
        others.push(app.user(&format!("member-{index}")).await);
    }
    let last = app.user("last").await;
    others.push(last.clone());
    let id = ada.starts_group("Engines", &others.iter().collect::<Vec<_>>()).await;
    ada.says(&id, "hello").await;
    let shown = last.thread(&id).await;
    let shown_ids: Vec<_> =
        shown["participants"].as_array().unwrap().iter().map(|p| p["id"].clone()).collect();
    assert!(!shown_ids.contains(&json!(last.id())), "the newest id is beyond the first 50");
    let path = format!("{}/participants/{}", at(&id), last.id());
    let participant = ada.get(&path).await.expect(200);
    let me = json!({"role": "member", "joined_at": participant["joined_at"], "last_delivered_seq": 0, "last_read_seq": 0});
    assert_eq!(shown["me"], me);
    assert_eq!(listed(&last, "").await.1["items"][0]["me"], me);
    assert_eq!(ada.thread(&id).await["me"]["role"], "owner");
    let read = last.post(&format!("{}/read", at(&id)), &json!({})).await.expect(200);
    assert_eq!((&read["me"]["last_read_seq"], &read["me"]["last_delivered_seq"]), (&json!(1), &json!(1)));
}

/// `/delivered` moves the delivered position, and leaves the read position.
#[both_databases]
async fn a_thread_is_marked_as_delivered(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let id = ada.starts_group("Engines", &[&charles]).await;
    ada.says(&id, "one").await;
    let second = ada.says(&id, "two").await;
    let path = format!("{}/delivered", at(&id));
    let positions =
        |thread: &Value| (thread["me"]["last_delivered_seq"].clone(), thread["me"]["last_read_seq"].clone());
    let one = charles.post(&path, &json!({"seq": 1})).await.expect(200);
    assert_eq!(positions(&one), (json!(1), json!(0)));
    let all = charles.post(&path, &json!({})).await.expect(200);
    assert_eq!(positions(&all), (json!(2), json!(0)));
    assert_eq!(all["unread_count"], 2);
    let back = charles.post(&path, &json!({"seq": 1})).await.expect(200);
    assert_eq!(positions(&back), (json!(2), json!(0)));
    let seen = ada.get(&format!("/api/v1/messages/{}", second.id)).await.expect(200);
    assert_eq!((seen["delivered_at"].is_string(), &seen["read_at"]), (true, &Value::Null));
    assert_eq!(charles.post(&path, &json!({"seq": 3})).await.field_errors(), ["seq: out_of_range"]);
    grace.post(&path, &json!({})).await.refused(404, "not_found");
}

/// A single participant can be read and removed by id.
#[both_databases]
async fn one_participant_is_read_and_removed(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let stranger = app.user("stranger").await;
    let id = ada.starts_group("Engines", &[&charles, &grace]).await;
    let of = |user: &Client| format!("{}/participants/{}", at(&id), user.id());
    let shown = grace.get(&of(&charles)).await.expect(200);
    assert_eq!(
        (&shown["username"], &shown["role"], &shown["is_active"]),
        (&json!("charles"), &json!("member"), &json!(true))
    );
    grace.get(&of(&stranger)).await.refused(404, "not_found");
    stranger.get(&of(&charles)).await.refused(404, "not_found");
    grace.delete(&of(&charles)).await.refused(403, "forbidden");
    stranger.delete(&of(&charles)).await.refused(404, "not_found");
    ada.delete(&of(&ada)).await.refused(409, "last_owner");
    let before = ada.thread(&id).await["version"].as_i64().unwrap();
    ada.delete(&of(&charles)).await.expect(204);
    ada.delete(&of(&charles)).await.refused(404, "not_found");
    grace.delete(&of(&grace)).await.expect(204);
    let thread = ada.thread(&id).await;
    assert_eq!((&thread["participant_count"], &thread["version"]), (&json!(1), &json!(before + 2)));
    let direct = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    let path = format!("{}/participants/{}", at(&direct), charles.id());
    ada.delete(&path).await.refused(409, "direct_thread");
}

/// Nobody can write to a user who is deactivated or deleted; the answer is the same by either route, and the thread
/// says why. Groups go on.
#[both_databases]
async fn an_inactive_user_gets_no_messages(app: &App) {
    let admin = app.user_in("admin", "root").await;
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.writes_to(&charles, "hello").await.thread_id.to_string();
    let group = ada.starts_group("Engines", &[&charles]).await;
    let user = format!("/api/v1/users/{}", charles.id());
    for deleted in [false, true] {
        if deleted {
            admin.delete(&user).await.expect(204);
        } else {
            charles.delete("/api/v1/users/me").await.expect(204);
        }
        for body in [
            json!({"receiver_id": charles.id(), "text": "x"}),
            json!({"receiver_username": "charles", "text": "x"}),
        ] {
            ada.post("/api/v1/messages", &body).await.refused(409, "user_inactive");
        }
        let path = format!("{}/messages", at(&thread));
        ada.post(&path, &json!({"text": "x"})).await.refused(409, "user_inactive");
        let shown = ada.get(&format!("{}/participants/{}", at(&thread), charles.id())).await.expect(200);
        assert_eq!(shown["is_active"], false);
        let participants = ada.thread(&thread).await["participants"].clone();
        let active: Vec<_> =
            participants.as_array().unwrap().iter().map(|p| p["is_active"].clone()).collect();
        assert_eq!(active, [true, false]);
        let problem = ada
            .post(THREADS, &json!({"type": "group", "name": "x", "participant_ids": [charles.id()]}))
            .await;
        assert_eq!(field_errors_of(&problem.refused(409, "user_inactive")), ["participant_ids.0: inactive"]);
        ada.says(&group, "to those who are left").await;
    }
    assert_eq!(texts(&ada, &thread).await, ["hello"]);
    let role = format!("{}/participants/{}", at(&group), charles.id());
    ada.patch(&role, &json!({"role": "owner"})).await.refused(409, "user_inactive");
    admin.post(&format!("{user}/restore"), &Value::Null).await.expect(200);
    admin.patch(&user, &json!({"is_active": true})).await.expect(200);
    ada.says(&thread, "welcome back").await;
}
