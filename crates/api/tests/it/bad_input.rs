//! Invalid input: the response names the field and the bound, and nothing changes.

use groundwork_auth::session;
use groundwork_core::events;
use groundwork_testkit::{Answer, Client, both_databases, client::send};
use messenger_domain::{messages, threads, users};
use reqwest::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{App, Talks};

const REGISTER: &str = "/api/v1/auth/register";
const MESSAGES: &str = "/api/v1/messages";
const THREADS: &str = "/api/v1/threads";
const UNKNOWN: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";

/// Returns the number of rows of everything that a request could change.
async fn rows(app: &App) -> [u64; 6] {
    let db = app.db.db.reader();
    [
        users::entity::Entity::find().count(db).await.unwrap(),
        threads::entity::Entity::find().count(db).await.unwrap(),
        threads::participant::Entity::find().count(db).await.unwrap(),
        messages::entity::Entity::find().count(db).await.unwrap(),
        session::row::Entity::find().count(db).await.unwrap(),
        events::Entity::find().count(db).await.unwrap(),
    ]
}

async fn raw(
    client: &Client,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = client.request(Method::POST, path).body(body);
    send(match content_type {
        Some(kind) => request.header("content-type", kind),
        None => request,
    })
    .await
}

/// A body that is malformed, too large or of another media type is refused.
#[both_databases]
async fn bodies_that_are_none(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let before = rows(app).await;
    let json = Some("application/json");
    let deep = "[".repeat(10_000);
    for body in ["{", "hello", "{\"text\": }", "{\"text\": \"\\ud800\"}", "\u{0}", deep.as_str()] {
        raw(&ada, MESSAGES, json, body.to_owned()).await.refused(400, "malformed");
    }
    raw(&ada, MESSAGES, json, vec![0xff, 0xfe, b'"']).await.refused(400, "malformed");
    let nothing = send(ada.request(Method::POST, MESSAGES)).await.field_errors();
    assert_eq!(nothing, ["text: missing"], "no body at all");
    assert_eq!(
        raw(&ada, MESSAGES, json, "").await.field_errors(),
        ["text: missing"],
        "nothing, said to be JSON"
    );
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        raw(&ada, MESSAGES, kind, "{}").await.refused(415, "unsupported_media_type");
    }
    let good = json!({"receiver_id": charles.id(), "text": "x"}).to_string();
    let large = format!("{good}{}", " ".repeat(65536 - good.len() + 1));
    raw(&ada, MESSAGES, json, large.clone()).await.refused(413, "too_large");
    let chunks = large.as_bytes().chunks(1000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks.collect::<Vec<_>>()));
    raw(&ada, MESSAGES, json, stream).await.refused(413, "too_large");
    let with_key = ada
        .request(Method::POST, MESSAGES)
        .header("idempotency-key", "k")
        .header("content-type", "application/json");
    send(with_key.body(large)).await.refused(413, "too_large");
    assert_eq!(rows(app).await, before);
    let fits = format!("{good}{}", " ".repeat(65536 - good.len()));
    raw(&ada, MESSAGES, Some("application/json; charset=utf-8"), fits).await.expect(201);
}

/// Wrong types, missing and unknown fields are all reported at once, by name.
#[both_databases]
async fn every_fault_is_named_at_once(app: &App) {
    let ada = app.user("ada").await;
    let before = rows(app).await;
    for (body, errors) in [
        (json!({}), vec!["password: missing", "username: missing"]),
        (json!([]), vec![": wrong_type"]),
        (json!("x"), vec![": wrong_type"]),
        (json!(null), vec![": wrong_type"]),
        (
            json!({"username": 5, "password": true, "email": [], "first_name": {}, "age": 3}),
            vec![
                "age: unknown_field",
                "email: wrong_type",
                "first_name: wrong_type",
                "password: wrong_type",
                "username: wrong_type",
            ],
        ),
        (
            json!({"username": "a b", "password": "short", "email": "nobody", "last_name": " "}),
            vec!["email: bad_format", "last_name: blank", "password: too_short", "username: bad_characters"],
        ),
        (json!({"username": "x".repeat(1000), "password": "Correct-Horse-1"}), vec!["username: too_long"]),
        (json!({"username": "ab", "password": "Correct-Horse-1"}), vec!["username: too_short"]),
        (json!({"username": "ünal", "password": "Correct-Horse-1"}), vec!["username: bad_characters"]),
        (
            json!({"username": "a@example.org", "password": "Correct-Horse-1"}),
            vec!["username: bad_characters"],
        ),
        (json!({"username": UNKNOWN, "password": "Correct-Horse-1"}), vec!["username: looks_like_id"]),
        (
            json!({"username": "grace", "password": format!("Aa1{}", "x".repeat(70))}),
            vec!["password: too_long"],
        ),
        (
            json!({"username": "grace", "password": "Correct-Horse-1", "first_name": "x".repeat(101)}),
            vec!["first_name: too_long"],
        ),
    ] {
        assert_eq!(ada.anonymous().post(REGISTER, &body).await.field_errors(), errors, "{body}");
    }
    let problem =
        ada.anonymous().post(REGISTER, &json!({"username": "ab", "password": "Correct-Horse-1"})).await;
    let problem = problem.refused(422, "invalid");
    assert_eq!(problem["errors"][0]["message"], "must have at least 3 characters", "the bound is named");
    assert_eq!(rows(app).await, before);
}

/// Texts of up to 4096 characters are stored unchanged, and longer ones are refused.
#[both_databases]
async fn texts_have_a_bound(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.writes_to(&charles, "x").await.thread_id.to_string();
    let path = format!("{THREADS}/{thread}/messages");
    for text in [
        "🎉".repeat(4096),
        "e\u{301}\u{200d}👩‍👩‍👧\u{202e}\r\n\t".to_owned(),
        "\\u0000 \"'; DROP TABLE users; --".to_owned(),
    ] {
        assert_eq!(ada.says(&thread, &text).await.text, text);
    }
    let before = rows(app).await;
    for (text, errors) in [
        ("x".repeat(4097), vec!["text: too_long"]),
        ("🎉".repeat(4097), vec!["text: too_long"]),
        (String::new(), vec!["text: blank", "text: too_short"]),
        (" \n\t\u{a0}\u{2003}".to_owned(), vec!["text: blank"]),
        ("a\0b".to_owned(), vec!["text: bad_value"]),
    ] {
        assert_eq!(ada.post(&path, &json!({"text": text})).await.field_errors(), errors);
    }
    for body in [json!({"text": null}), json!({"text": 1}), json!({"text": ["x"]})] {
        assert_eq!(ada.post(&path, &body).await.field_errors(), ["text: wrong_type"]);
    }
    assert_eq!(rows(app).await, before);
}

/// NUL is refused in every text.
#[both_databases]
async fn nul_is_refused_everywhere(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let before = rows(app).await;
    let register = json!({"username": "gr\0ce", "password": "Correct-Horse-1\0", "first_name": "\0x"});
    ada.anonymous().post(REGISTER, &register).await.refused(422, "invalid");
    let login = json!({"username": "ad\0a", "password": "x\0"});
    ada.anonymous().post("/api/v1/auth/login", &login).await.refused(422, "invalid");
    ada.patch("/api/v1/users/me", &json!({"bio": "a\0b"})).await.refused(422, "invalid");
    let group = json!({"type": "group", "name": "a\0b", "participant_ids": [charles.id()]});
    ada.post(THREADS, &group).await.refused(422, "invalid");
    for query in [
        "users/search?q=%00",
        "threads?name=%00",
        "threads?search=%00",
        "messages?user=a%00",
        "threads?cursor=%00",
    ] {
        ada.get(&format!("/api/v1/{query}")).await.refused(422, "invalid");
    }
    ada.get("/api/v1/users/%00").await.refused(422, "invalid");
    assert_eq!(rows(app).await, before);
}

/// Pages, cursors and numbers out of bounds are refused.
#[both_databases]
async fn numbers_have_bounds(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let message = ada.writes_to(&charles, "x").await;
    let (thread, message) = (message.thread_id.to_string(), message.id.to_string());
    for (query, field) in [
        ("messages/inbox?page=0", "page"),
        ("messages/inbox?page=-1", "page"),
        ("messages/inbox?page=abc", "page"),
        ("messages/inbox?page=1.5", "page"),
        ("messages/inbox?page=10002&size=1", "page"),
        ("messages/inbox?page=1000&size=100", "page"),
        ("messages/outbox?page=102&size=100", "page"),
        ("messages/{message}/receipts?page=1000&size=100", "page"),
        ("threads/{thread}/participants?page=1000&size=100", "page"),
        ("users/search?q=a&page=1000&size=100", "page"),
        ("messages/inbox?page=99999999999999999999999", "page"),
        ("messages/outbox?size=0", "size"),
        ("messages/outbox?size=101", "size"),
        ("threads?limit=0", "limit"),
        ("threads?limit=101", "limit"),
        ("threads?cursor=garbage", "cursor"),
        ("threads?cursor=", "cursor"),
        ("messages?cursor=eyJsIjoieCIsImsiOjF9", "cursor"),
        ("messages?max_age_days=-1", "max_age_days"),
        ("messages?max_age_days=18446744073709551615", "max_age_days"),
        ("messages?page=1", "page"),
        ("messages?limit=1&limit=2", "limit"),
        ("threads/{thread}/changes?since=9223372036854775808", "since"),
        ("threads/{thread}/messages?before=99999999999999999999", "before"),
        ("threads/{thread}/messages?after=x", "after"),
        ("threads/{thread}/messages?seq__gt=9223372036854775808", "seq__gt"),
        ("threads/{thread}/participants?page=0", "page"),
    ] {
        let path = format!("/api/v1/{}", query.replace("{thread}", &thread).replace("{message}", &message));
        let problem = ada.get(&path).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem:#}");
    }
    let last = format!("/api/v1/threads/{thread}/changes?since=9223372036854775807");
    ada.get(&last).await.refused(409, "version_ahead");
    ada.get(&format!("/api/v1/threads/{thread}/messages?before=9223372036854775807")).await.expect(200);
    for list in [
        "messages/inbox?",
        "messages/outbox?",
        &format!("messages/{message}/receipts?"),
        &format!("threads/{thread}/participants?"),
        "users/search?q=a&",
    ] {
        let beyond = ada.get(&format!("/api/v1/{list}page=101&size=100")).await.expect(200);
        assert_eq!((&beyond["items"], &beyond["page"]), (&json!([]), &json!(101)), "{list}");
    }
    ada.get("/api/v1/messages?max_age_days=36500").await.expect(200);
    let path = format!("/api/v1/threads/{thread}/read");
    for seq in [json!(9_223_372_036_854_775_808_u64), json!("1"), json!(1.5), json!(2)] {
        let problem = ada.post(&path, &json!({"seq": seq})).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], "seq");
    }
}

/// Invalid ids are errors; ids of others' resources are not found, like ids that do not exist.
#[both_databases]
async fn ids_are_checked(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let message = ada.writes_to(&charles, "secret").await;
    let before = rows(app).await;
    for path in [
        "users/x",
        "threads/x",
        "threads/x/messages",
        "messages/x",
        "messages/x/receipts",
        "threads/1/participants",
    ] {
        assert_eq!(grace.get(&format!("/api/v1/{path}")).await.field_errors(), ["id: bad_format"], "{path}");
    }
    let participant = format!("/api/v1/threads/{}/participants/nobody", message.thread_id);
    assert_eq!(
        ada.patch(&participant, &json!({"role": "admin"})).await.field_errors(),
        ["user_id: bad_format"]
    );
    let body = json!({"type": "group", "name": "x", "participant_ids": ["x", ada.id(), 5]});
    assert_eq!(
        grace.post(THREADS, &body).await.field_errors(),
        ["participant_ids.0: bad_format", "participant_ids.2: wrong_type"]
    );
    let body = json!({"receiver_id": "ada", "text": "x"});
    assert_eq!(grace.post(MESSAGES, &body).await.field_errors(), ["receiver_id: bad_format"]);

    let told = async |thread: &str, message: &str| {
        let mut told = Vec::new();
        let (thread, message) = (format!("{THREADS}/{thread}"), format!("{MESSAGES}/{message}"));
        for path in [&thread, &message] {
            told.push(grace.get(path).await);
            told.push(grace.delete(path).await);
        }
        for part in ["messages", "participants", "changes"] {
            told.push(grace.get(&format!("{thread}/{part}")).await);
        }
        told.push(grace.get(&format!("{message}/receipts")).await);
        told.push(grace.patch(&message, &json!({"text": "x"})).await);
        told.push(grace.patch(&thread, &json!({"name": "x"})).await);
        told.push(grace.post(&format!("{thread}/messages"), &json!({"text": "x"})).await);
        told.push(grace.post(&format!("{thread}/read"), &json!({})).await);
        told.push(grace.post(&format!("{message}/read"), &json!({})).await);
        told.push(grace.post(&format!("{message}/delivered"), &json!({})).await);
        told.into_iter().map(|answer| answer.refused(404, "not_found")["detail"].clone()).collect::<Vec<_>>()
    };
    let foreign = told(&message.thread_id.to_string(), &message.id.to_string()).await;
    assert_eq!(foreign, told(UNKNOWN, UNKNOWN).await);
    assert_eq!(rows(app).await, before);
}

/// A thousand participants, none, and a repeated one are refused.
#[both_databases]
async fn participants_are_bounded(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let before = rows(app).await;
    let many: Vec<Value> = (0..1000).map(|n| json!(format!("0198f0c0-6f6e-7c3e-9a55-{n:012x}"))).collect();
    let group = json!({"type": "group", "name": "x", "participant_ids": many});
    assert_eq!(ada.post(THREADS, &group).await.field_errors(), ["participant_ids: too_many"]);
    let path = format!("{THREADS}/{thread}/participants");
    assert_eq!(ada.patch(&path, &json!({"add": many})).await.field_errors(), ["add: too_many"]);
    let twice = json!({"add": [UNKNOWN, UNKNOWN]});
    assert_eq!(ada.patch(&path, &twice).await.field_errors(), ["add.1: repeated"]);
    ada.adds(&thread, &charles).await.refused(409, "already_participant");
    ada.removes(&thread, &ada).await.refused(409, "last_owner");
    assert_eq!(rows(app).await, before);
}

/// Unknown filters and parameters are refused by name.
#[both_databases]
async fn unknown_parameters_are_named(app: &App) {
    let ada = app.user("ada").await;
    for (query, error) in [
        ("threads?colour=red", "colour: unknown_field"),
        ("threads?name__like=x", "name__like: unknown_operator"),
        ("threads?direct_key=x", "direct_key: unknown_field"),
        ("threads?created_at__gt=yesterday", "created_at__gt: bad_value"),
        ("messages/inbox?order_by=secret", "order_by: unknown_field"),
        ("threads?order_by=name", "order_by: unknown_field"),
        ("messages/inbox?text__isnull=true", "text__isnull: unknown_operator"),
        ("messages?colour=red", "colour: unknown_parameter"),
        ("users/search?q=x&x=1", "x: unknown_parameter"),
        ("threads?%C3%BC=1", "ü: unknown_field"),
    ] {
        assert_eq!(ada.get(&format!("/api/v1/{query}")).await.field_errors(), [error]);
    }
}

/// A repeated parameter, too many filters, and a query string that is too long are refused.
#[both_databases]
async fn queries_are_bounded(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let thread = ada.writes_to(&charles, "x").await.thread_id.to_string();
    let root = app.user_in("superuser", "root").await;
    let lists = [
        (format!("threads/{thread}/messages"), "seq=1"),
        ("messages/inbox".to_owned(), "seq=1"),
        ("messages/outbox".to_owned(), "created_at__lt=9999-12-31T00:00:00Z"),
        ("threads".to_owned(), "type__neq=x"),
        ("users".to_owned(), "username__ilike=a"),
    ];
    for (list, filter) in lists {
        let often = vec![filter; 8190 / (filter.len() + 1)].join("&");
        let errors = root.get(&format!("/api/v1/{list}?{often}")).await.field_errors();
        let name = filter.split('=').next().unwrap();
        assert!(errors.contains(&format!("{name}: repeated")), "{list}: {errors:?}");
        assert!(errors.contains(&": more_errors".to_owned()), "{list}: {errors:?}");
    }
    let long = "x".repeat(8 * 1024);
    for path in [
        "threads",
        "messages",
        "messages/inbox",
        "users",
        "users/search",
        &format!("threads/{thread}/messages"),
        &format!("threads/{thread}/changes"),
        &format!("threads/{thread}/participants"),
    ] {
        let problem = root.get(&format!("/api/v1/{path}?{long}x")).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["code"], "too_long", "{path}: {problem:#}");
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains("8192 bytes"));
        let unknown = root.get(&format!("/api/v1/{path}?{long}")).await.refused(422, "invalid");
        assert_ne!(unknown["errors"][0]["code"], "too_long", "{path}");
    }
}

/// A time that the databases cannot store is an error of its field.
#[both_databases]
async fn times_are_bounded(app: &App) {
    let ada = app.user("ada").await;
    for list in ["messages/inbox", "messages/outbox", "threads"] {
        for time in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00%2B00:01"] {
            let path = format!("/api/v1/{list}?created_at__gt={time}");
            assert_eq!(ada.get(&path).await.field_errors(), ["created_at__gt: bad_value"]);
        }
        ada.get(&format!("/api/v1/{list}?created_at__gt=0000-01-01T00:00:00Z")).await.expect(200);
    }
}

/// Responses to invalid input are small, however large the input.
#[both_databases]
async fn answers_are_bounded(app: &App) {
    let ada = app.user("ada").await;
    let fields = (0..7000).map(|n| format!("\"{n:x}\":0")).collect::<Vec<_>>().join(",");
    let body = format!("{{{fields},\"text\":\"x\"}}");
    let answer = raw(&ada, MESSAGES, Some("application/json"), body).await.refused(422, "invalid");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 51);
    assert_eq!((&errors[50]["field"], &errors[50]["code"]), (&json!(""), &json!("more_errors")));
    assert!(errors[50]["message"].as_str().unwrap().starts_with("and 69"), "{}", errors[50]);
    assert!(answer.to_string().len() < 8_000);
    let name = "x".repeat(60_000);
    let participants = vec!["x"; 15_000];
    for (path, body) in [
        (MESSAGES, json!({(&name): 1, "text": "x"})),
        (THREADS, json!({"type": &name, "participant_ids": []})),
        (THREADS, json!({"type": "group", "name": "x", "participant_ids": participants})),
        (THREADS, json!({"type": "group", "name": "x", "participant_ids": ["\0".repeat(10_000)]})),
    ] {
        let answer = ada.post(path, &body).await.refused(422, "invalid");
        assert!(answer.to_string().len() < 8_000, "{} bytes", answer.to_string().len());
    }
    let form = format!("grant_type=password{}", "&a=1".repeat(16_000));
    let kind = Some("application/x-www-form-urlencoded");
    let answer = raw(&ada, "/api/v1/auth/token", kind, form).await.refused(400, "invalid_request");
    assert!(answer.to_string().len() < 8_000);
}

/// Null clears a field that may be null, and is an error of one that may not.
#[both_databases]
async fn null_is_an_error_where_there_must_be_a_value(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let me = "/api/v1/users/me";
    assert_eq!(ada.patch(me, &json!({"username": null})).await.field_errors(), ["username: wrong_type"]);
    ada.patch(me, &json!({"bio": "x"})).await.expect(200);
    assert_eq!(ada.patch(me, &json!({"bio": null})).await.expect(200)["bio"], Value::Null);
    let thread = ada.starts_group("Engines", &[&charles]).await;
    let path = format!("{THREADS}/{thread}");
    for field in ["name", "history"] {
        let errors = ada.patch(&path, &json!({(field): null})).await.field_errors();
        assert!(errors[0].starts_with(field), "{errors:?}");
    }
}
