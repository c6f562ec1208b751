//! Concurrent requests.

use std::collections::BTreeSet;

use futures::future::join_all;
use groundwork_testkit::{Client, both_databases};
use messenger_domain::messages::Message;
use serde_json::{Value, json};

use crate::support::{App, Talks};

/// All messages of a thread as they are now, tombstones included, by version.
async fn changes(client: &Client, thread: &str) -> Vec<Value> {
    let list = client.get(&format!("/api/v1/threads/{thread}/changes?limit=100")).await.expect(200);
    assert_eq!(list["has_more"], false);
    let items = list["items"].as_array().unwrap().iter();
    items.filter(|item| item["type"] == "message").cloned().collect()
}

/// Concurrent sends get every `seq` once, without gaps, in the order of their versions.
#[both_databases]
async fn concurrent_sends_have_a_strict_order(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let thread = ada.starts_group("Engines", &[&charles, &grace]).await;
    let people = [&ada, &charles, &grace];
    let sends = (0..60).map(|index| people[index % 3].says(&thread, "at once"));
    let sent: Vec<Message> = join_all(sends).await;
    let seqs: BTreeSet<i64> = sent.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=60).collect());
    let mut by_seq = sent.clone();
    by_seq.sort_by_key(|message| message.seq);
    assert!(by_seq.windows(2).all(|pair| pair[0].version < pair[1].version));
    assert!(by_seq.windows(2).all(|pair| pair[0].created_at <= pair[1].created_at));
    let thread = ada.thread(&thread).await;
    assert_eq!((&thread["last_seq"], &thread["version"]), (&json!(60), &json!(61)));
}

/// Two users who concurrently write to each other for the first time share one thread.
#[both_databases]
async fn a_pair_has_one_direct_thread(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let sends = (0..20).map(|index| {
        let (from, to) = if index % 2 == 0 { (&ada, &charles) } else { (&charles, &ada) };
        from.writes_to(to, "first!")
    });
    let sent: Vec<Message> = join_all(sends).await;
    let threads: BTreeSet<_> = sent.iter().map(|message| message.thread_id).collect();
    assert_eq!(threads.len(), 1);
    let list = ada.get("/api/v1/threads").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["last_seq"], 20);
}

/// Concurrent edits, deletes and sends: every change has its own version, and none is lost.
#[both_databases]
async fn concurrent_edits_have_versions_of_their_own(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut messages = Vec::new();
    for index in 0..10 {
        messages.push(ada.writes_to(&charles, &format!("message {index}")).await);
    }
    let thread = messages[0].thread_id.to_string();
    let before = ada.thread(&thread).await["version"].as_i64().unwrap();
    let work = messages.iter().enumerate().map(|(index, message)| {
        let (ada, charles, thread) = (&ada, &charles, &thread);
        async move {
            let path = format!("/api/v1/messages/{}", message.id);
            match index % 3 {
                0 => drop(ada.patch(&path, &json!({"text": "edited"})).await.expect(200)),
                1 => drop(ada.delete(&path).await.expect(204)),
                _ => drop(charles.says(thread, "meanwhile").await),
            }
        }
    });
    join_all(work).await;
    assert_eq!(ada.thread(&thread).await["version"], before + 10);
    let changes = changes(&ada, &thread).await;
    let versions: BTreeSet<i64> = changes.iter().map(|change| change["version"].as_i64().unwrap()).collect();
    assert_eq!(versions.len(), changes.len());
    let changed_now = versions.iter().filter(|version| **version > before).count();
    assert_eq!(changed_now, 10);
}

/// One message edited by many requests at once ends with the text of the one that has the last version.
#[both_databases]
async fn the_last_edit_wins_by_version(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let message = ada.writes_to(&charles, "first").await;
    let path = format!("/api/v1/messages/{}", message.id);
    let edits = (0..20).map(|index| {
        let (ada, path) = (&ada, &path);
        async move { ada.patch(path, &json!({"text": format!("edit {index}")})).await.read::<Message>(200) }
    });
    let edits = join_all(edits).await;
    let last = edits.iter().max_by_key(|edit| edit.version).unwrap();
    let now: Message = ada.get(&path).await.read(200);
    assert_eq!((&now.text, now.version), (&last.text, last.version));
    let versions: BTreeSet<i64> = edits.iter().map(|edit| edit.version).collect();
    assert_eq!(versions, (message.version + 1..=message.version + 20).collect());
}

/// A message sent while its sender is removed is accepted before the removal, or refused.
#[both_databases]
async fn nobody_slips_in_after_their_removal(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let path = format!("/api/v1/threads/{thread}/messages");
    let body = json!({"text": "am I in?"});
    let sends = join_all((0..20).map(|_| charles.post(&path, &body)));
    let (answers, removed) = tokio::join!(sends, ada.removes(&thread, &charles));
    removed.expect(200);
    let accepted: Vec<Message> =
        answers.into_iter().filter(|answer| answer.status == 201).map(|answer| answer.read(201)).collect();
    charles.post(&path, &body).await.refused(404, "not_found");

    // The removal took a version; whatever was accepted came before it.
    let thread = ada.thread(&thread).await;
    assert_eq!(thread["last_seq"], accepted.len());
    assert_eq!(thread["version"], accepted.len() + 2);
    assert!(accepted.iter().all(|message| message.version < thread["version"].as_i64().unwrap()));
}

/// A message sent while its sender or its receiver is deactivated is accepted, or refused. Afterwards it is refused, and what
/// was accepted is there.
#[both_databases]
async fn a_deactivation_lets_a_message_through_or_not(app: &App) {
    for (round, leaves) in ["sender", "receiver"].into_iter().enumerate() {
        let sender = app.user(&format!("sender-{round}")).await;
        let receiver = app.user(&format!("receiver-{round}")).await;
        let path =
            format!("/api/v1/threads/{}/messages", sender.writes_to(&receiver, "first").await.thread_id);
        let body = json!({"text": "still there?"});
        let (leaver, stays, refusal) = match leaves {
            "sender" => (&sender, &receiver, (401, "session_ended")),
            _ => (&receiver, &sender, (409, "user_inactive")),
        };
        let sends = join_all((0..20).map(|_| sender.post(&path, &body)));
        let (answers, left) = tokio::join!(sends, leaver.delete("/api/v1/users/me"));
        left.expect(204);
        let mut accepted = 1;
        for answer in answers {
            if answer.status == 201 {
                accepted += 1;
            } else {
                answer.refused(refusal.0, refusal.1);
            }
        }
        sender.post(&path, &body).await.refused(refusal.0, refusal.1);
        let list = stays.get(&format!("{path}?limit=50")).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), accepted);
    }
}

/// Concurrent reads by one user: the read position ends at the highest.
#[both_databases]
async fn concurrent_reads_end_at_the_furthest(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let mut messages = Vec::new();
    for _ in 0..10 {
        messages.push(ada.writes_to(&charles, "read me").await);
    }
    let reads =
        messages.iter().rev().map(|message| {
            let charles = &charles;
            async move {
                charles.post(&format!("/api/v1/messages/{}/read", message.id), &json!({})).await.expect(200)
            }
        });
    join_all(reads).await;
    let thread = charles.thread(&messages[0].thread_id.to_string()).await;
    assert_eq!(thread["unread_count"], 0);
    let me = thread["participants"].as_array().unwrap().iter().find(|p| p["id"] == charles.id()).unwrap();
    assert_eq!((&me["last_read_seq"], &me["last_delivered_seq"]), (&json!(10), &json!(10)));
}

/// Many read at once, while messages are sent and people come and go: nobody is refused, and each message has the
/// receipts of those who read it.
#[both_databases]
async fn many_read_at_once(app: &App) {
    let (ada, guest) = (app.user("ada").await, app.user("guest").await);
    let mut readers = Vec::new();
    for index in 0..4 {
        readers.push(app.user(&format!("reader-{index}")).await);
    }
    let thread = ada.starts_group("Engines", &readers.iter().collect::<Vec<_>>()).await;
    let mut messages = Vec::new();
    for index in 0..5 {
        messages.push(ada.says(&thread, &format!("m{index}")).await);
    }
    let reads = readers.iter().flat_map(|reader| messages.iter().map(move |message| (reader, message)));
    let reads = join_all(reads.map(|(reader, message)| async move {
        reader.post(&format!("/api/v1/messages/{}/read", message.id), &json!({})).await.expect(200);
    }));
    let changes = async {
        for _ in 0..3 {
            ada.adds(&thread, &guest).await.expect(200);
            ada.says(&thread, "meanwhile").await;
            ada.removes(&thread, &guest).await.expect(200);
        }
    };
    tokio::join!(reads, changes);
    for message in &messages {
        let path = format!("/api/v1/messages/{}", message.id);
        assert!(ada.get(&path).await.read::<Message>(200).is_read);
        assert_eq!(ada.get(&format!("{path}/receipts")).await.expect(200)["total"], 4);
    }
}

/// Concurrent reads and deletes: a deleted message has no read receipt.
#[both_databases]
async fn a_message_is_read_or_deleted(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    for index in 0..10 {
        let thread = ada.starts_group(&format!("Engines {index}"), &[&charles]).await;
        let message = charles.says(&thread, "hello").await;
        let path = format!("/api/v1/messages/{}", message.id);
        let reads = format!("{path}/read");
        let (read, deleted) = tokio::join!(ada.post(&reads, &Value::Null), charles.delete(&path));
        let statuses = (read.status, deleted.status);
        assert!(matches!(statuses, (200, 409) | (404, 204)), "{statuses:?}");
    }
}

/// Two owners who leave concurrently: one of them is refused.
#[both_databases]
async fn one_owner_has_to_stay(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let path = format!("/api/v1/threads/{thread}/participants/{}", charles.id());
    ada.patch(&path, &json!({"role": "owner"})).await.expect(200);
    let (first, second) = tokio::join!(ada.removes(&thread, &ada), charles.removes(&thread, &charles));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}
