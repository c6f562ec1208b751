//! `Idempotency-Key`: a repeated request takes effect once.

use std::time::Duration;

use futures::future::join_all;
use groundwork_auth::session;
use groundwork_core::{Tx, Uuid};
use groundwork_testkit::{both_databases, client::field_errors_of};
use groundwork_web::http::idempotency::row;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QuerySelect, Set, Statement};
use serde_json::{Value, json};

use crate::support::{App, Talks};

/// A repeat returns the same result, also from another server, and takes no effect.
#[both_databases]
async fn repeats_get_the_first_answer(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = json!({"receiver_id": charles.id(), "text": "once"});
    let first = ada.post_once("/api/v1/messages", "key-1", &body).await;
    assert!(first.headers.get("idempotency-replayed").is_none());
    let first = first.expect(201);

    let again = ada.post_once("/api/v1/messages", "key-1", &body).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), first);
    let other = app.another_server(&[]);
    let elsewhere = other.client().with_token(ada.token.as_ref().unwrap());
    assert_eq!(elsewhere.post_once("/api/v1/messages", "key-1", &body).await.expect(201), first);

    // Another key, another user with the same key, and no key at all are other requests.
    ada.post_once("/api/v1/messages", "key-2", &body).await.expect(201);
    let answer = json!({"receiver_id": ada.id(), "text": "once"});
    charles.post_once("/api/v1/messages", "key-1", &answer).await.expect(201);
    ada.post("/api/v1/messages", &body).await.expect(201);
    let thread = first["thread_id"].as_str().unwrap();
    assert_eq!(ada.thread(thread).await["last_seq"], 4);
    other.stop().await;
}

/// The same key with another body, or on another path, is refused, and changes nothing.
#[both_databases]
async fn one_key_is_for_one_request(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = |text: &str| json!({"receiver_id": charles.id(), "text": text});
    let first = ada.post_once("/api/v1/messages", "key", &body("one")).await.expect(201);
    let thread = first["thread_id"].as_str().unwrap();
    ada.post_once("/api/v1/messages", "key", &body("two")).await.refused(422, "idempotency_key_reused");
    let path = format!("/api/v1/threads/{thread}/messages");
    ada.post_once(&path, "key", &json!({"text": "one"})).await.refused(422, "idempotency_key_reused");
    assert_eq!(ada.thread(thread).await["last_seq"], 1);
}

/// Ten concurrent requests with one key create one message, and all return it.
#[both_databases]
async fn at_the_same_moment_too(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = json!({"receiver_id": charles.id(), "text": "once"});
    let answers = join_all((0..10).map(|_| ada.post_once("/api/v1/messages", "key", &body))).await;
    let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let thread = answers[0]["thread_id"].as_str().unwrap();
    assert_eq!(ada.thread(thread).await["last_seq"], 1);
}

/// Of concurrent requests with one key and different bodies, sent to two servers, one takes effect, and its repeats
/// succeed. The others are refused.
#[both_databases]
async fn one_body_of_many_wins(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let other = app.another_server(&[]);
    let elsewhere = other.client().with_token(ada.token.as_ref().unwrap());
    let posts = (0..12).map(|index| {
        let client = if index % 2 == 0 { &ada } else { &elsewhere };
        let body = json!({"receiver_id": charles.id(), "text": format!("body {}", index % 3)});
        async move { client.post_once("/api/v1/messages", "key", &body).await }
    });
    let (sent, refused): (Vec<_>, Vec<_>) =
        join_all(posts).await.into_iter().partition(|answer| answer.status == 201);
    let counts = (sent.len(), refused.len());
    for answer in refused {
        answer.refused(422, "idempotency_key_reused");
    }
    assert_eq!(counts, (4, 8));
    let sent: Vec<_> = sent.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(sent.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(ada.thread(sent[0]["thread_id"].as_str().unwrap()).await["last_seq"], 1);
    other.stop().await;
}

/// An expired key that comes back in many requests at once is taken over by one of them.
#[both_databases]
async fn an_expired_key_is_taken_over_once(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = json!({"receiver_id": charles.id(), "text": "once a day"});
    let first = ada.post_once("/api/v1/messages", "key", &body).await.expect(201);
    let thread = first["thread_id"].as_str().unwrap();
    app.db.clock.advance(Duration::from_hours(24));
    let ada = ada.login("ada").await;

    // On SQLite this blocks all writes.
    let held = app.db.db.begin().await.unwrap();
    row::Entity::find().lock_exclusive().one(&held).await.unwrap().unwrap();
    let repeats = join_all((0..6).map(|_| ada.post_once("/api/v1/messages", "key", &body)));
    let release = async {
        wait_for_blocked(&held, 1).await;
        held.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(repeats, release);
    let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    assert_eq!(ada.thread(thread).await["last_seq"], 2);
}

/// Returns once that many connections wait for a lock. On SQLite the requests wait for the one connection that writes.
async fn wait_for_blocked(tx: &Tx, count: i64) {
    if tx.get_database_backend() == DbBackend::Sqlite {
        return;
    }
    let blocked = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        tx.execute_unprepared("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, blocked)).await.unwrap();
        if row.unwrap().try_get_by_index::<i64>(0).unwrap() >= count {
            return;
        }
    }
}

/// A text that was edited or deleted is in no row of the database, and no repeat returns it.
#[both_databases]
async fn a_repeat_returns_no_text_that_was_taken_back(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let direct = json!({"receiver_id": charles.id(), "text": "the first secret"});
    let sent = ada.post_once("/api/v1/messages", "send", &direct).await.expect(201);
    let thread = sent["thread_id"].as_str().unwrap();
    let message = format!("/api/v1/messages/{}", sent["id"].as_str().unwrap());
    let read = format!("/api/v1/threads/{thread}/read");
    charles.post_once(&read, "read", &json!({})).await.expect(200);
    charles.post_once(&format!("{message}/delivered"), "mark", &json!({})).await.expect(200);
    assert!(app.db.dump().await.contains("the first secret"), "as the message has it");

    ada.patch(&message, &json!({"text": "the second secret"})).await.expect(200);
    assert!(!app.db.dump().await.contains("the first secret"));
    let again = ada.post_once("/api/v1/messages", "send", &direct).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201)["text"], "the second secret");

    app.user_in("admin", "admin").await.delete(&message).await.expect(204);
    assert!(!app.db.dump().await.contains("secret"));
    ada.post_once("/api/v1/messages", "send", &direct).await.refused(410, "gone");
    charles.post_once(&format!("{message}/delivered"), "mark", &json!({})).await.refused(410, "gone");
    let thread = charles.post_once(&read, "read", &json!({})).await.expect(200);
    assert!(!thread.to_string().contains("secret"));
    assert_eq!(thread["last_seq"], 1, "and no repeat had an effect");
}

/// A refused request stores no key: after a correction it can be sent with the same key.
#[both_databases]
async fn a_refused_request_leaves_no_key(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let unknown = json!({"receiver_username": "nobody-here", "text": "hello"});
    ada.post_once("/api/v1/messages", "key", &unknown).await.refused(404, "user_not_found");
    let blank = json!({"receiver_id": charles.id(), "text": " "});
    ada.post_once("/api/v1/messages", "key", &blank).await.refused(422, "invalid");
    let good = json!({"receiver_id": charles.id(), "text": "hello"});
    ada.post_once("/api/v1/messages", "key", &good).await.expect(201);
}

/// A key expires after a day, whether it is deleted or not.
#[both_databases]
async fn keys_are_forgotten_after_a_day(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = |text: &str| json!({"receiver_id": charles.id(), "text": text});
    ada.post_once("/api/v1/messages", "key", &body("one")).await.expect(201);
    app.db.clock.advance(Duration::from_hours(24));
    let ada = ada.login("ada").await;
    let second = ada.post_once("/api/v1/messages", "key", &body("two")).await.expect(201);
    assert_eq!(second["text"], "two");
    assert_eq!(ada.post_once("/api/v1/messages", "key", &body("two")).await.expect(201), second);
    app.db.clock.advance(Duration::from_hours(24));
    api::housekeeping::sweep(&app.db.db).await.unwrap();
    let ada = ada.login("ada").await;
    ada.post_once("/api/v1/messages", "key", &body("three")).await.expect(201);
}

/// Every POST of a signed-in caller takes a key.
#[both_databases]
async fn every_post_takes_a_key(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let superuser = app.user_in("superuser", "superuser").await;
    let gone = app.user("gone").await;
    superuser.delete(&format!("/api/v1/users/{}", gone.id())).await.expect(204);
    let message = charles.writes_to(&ada, "hello").await;
    let (thread, message) = (message.thread_id, message.id);
    for (client, path, body) in [
        (
            &ada,
            "/api/v1/threads".to_owned(),
            json!({"type": "group", "name": "G", "participant_ids": [charles.id()]}),
        ),
        (&ada, format!("/api/v1/threads/{thread}/messages"), json!({"text": "hello"})),
        (&ada, format!("/api/v1/messages/{message}/delivered"), json!({})),
        (&ada, format!("/api/v1/messages/{message}/read"), json!({})),
        (&ada, format!("/api/v1/threads/{thread}/read"), json!({})),
        (&superuser, format!("/api/v1/users/{}/restore", gone.id()), json!({})),
    ] {
        let first = client.post_once(&path, &path, &body).await;
        assert!(first.status < 300, "{path}: {:#}", first.body);
        let again = client.post_once(&path, &path, &body).await;
        assert_eq!((again.status, again.body), (first.status, first.body), "{path}");
    }
}

/// A key of 255 characters is valid; one of 256 or an empty one is refused by name.
#[both_databases]
async fn keys_have_a_bound(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let body = json!({"receiver_id": charles.id(), "text": "hello"});
    ada.post_once("/api/v1/messages", &"k".repeat(255), &body).await.expect(201);
    for bad in [String::new(), "k".repeat(256)] {
        let problem = ada.post_once("/api/v1/messages", &bad, &body).await.refused(422, "invalid");
        assert_eq!(field_errors_of(&problem), ["Idempotency-Key: bad_value"]);
    }
}

/// Housekeeping deletes all expired keys and sessions, however many, and no valid ones.
#[both_databases]
async fn housekeeping_deletes_what_is_over(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let now = app.db.db.now();
    let keys = (0..2500).map(|index| row::ActiveModel {
        user_id: Set(Uuid::nil()),
        key: Set(index.to_string()),
        request_hash: Set(String::new()),
        result: Set("null".to_owned()),
        expires_at: Set(now),
    });
    let sessions = (0..1500_u128).map(|index| session::row::ActiveModel {
        id: Set(Uuid::from_u128(index)),
        user_id: Set(Uuid::nil()),
        scope: Set(None),
        family_hash: Set(index.to_string()),
        token_hash: Set(index.to_string()),
        created_at: Set(now),
        expires_at: Set(now),
        ended_at: Set(None),
        ..Default::default()
    });
    let fill = async |tx: &Tx| {
        row::Entity::insert_many(keys).exec_without_returning(tx).await?;
        session::row::Entity::insert_many(sessions).exec_without_returning(tx).await?;
        Ok::<_, groundwork_core::Error>(())
    };
    app.db.db.write(fill).await.unwrap();
    app.db.clock.advance(Duration::from_hours(25));
    let (ada, body) = (ada.login("ada").await, json!({"receiver_id": charles.id(), "text": "hello"}));
    let first = ada.post_once("/api/v1/messages", "valid", &body).await.expect(201);
    groundwork_web::service::housekeeping::sweep(&app.db.db).await.unwrap();
    let reader = app.db.db.reader();
    assert_eq!(row::Entity::find().count(reader).await.unwrap(), 1);
    assert_eq!(session::row::Entity::find().count(reader).await.unwrap(), 3);
    assert_eq!(ada.post_once("/api/v1/messages", "valid", &body).await.expect(201), first);
}
