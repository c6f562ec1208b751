//! Registering, signing in and signing out.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use groundwork_auth::{AccessTokens, Caller, Scopes, session};
use groundwork_core::{Tx, Uuid, events};
use groundwork_testkit::{
    Answer, Client, both_databases,
    client::{PASSWORD, field_errors_of, send},
};
use messenger_domain::users;
use reqwest::Method;
use sea_orm::{EntityTrait, QueryOrder, Set};
use serde_json::{Value, json};

use crate::support::{App, SECRET};

const ME: &str = "/api/v1/users/me";
/// For how long a spent refresh token gives its successor again, unless set otherwise.
const GRACE: Duration = Duration::from_secs(10);

async fn form(client: &Client, fields: &[(&str, &str)]) -> Answer {
    send(client.anonymous().request(Method::POST, "/api/v1/auth/token").form(fields)).await
}

async fn login(client: &Client, username: &str, password: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/login", &json!({"username": username, "password": password})).await
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

/// Registering returns tokens and the profile, and the case of the name is ignored.
#[both_databases]
async fn signing_up_signs_in(app: &App) {
    let body = json!({
        "username": "Ada.L", "password": PASSWORD, "email": "Ada@Example.org", "first_name": "Ada", "last_name": "L",
    });
    let made = app.client().post("/api/v1/auth/register", &body).await;
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.expect(201);
    assert_eq!((&made["token_type"], &made["expires_in"]), (&json!("bearer"), &json!(900)));
    let user = &made["user"];
    assert_eq!((&user["username"], &user["email"]), (&json!("ada.l"), &json!("ada@example.org")));
    assert_eq!((&user["group"], &user["mfa_enabled"]), (&json!("regular"), &json!(false)));
    assert_eq!(made["scope"], "messages:read messages:write profile threads:read threads:write");
    let ada = app.client().signed_in(&made);
    assert_eq!(ada.get(ME).await.expect(200), *user);
}

/// A name or address in use is a conflict that names the field, regardless of case, also for a deleted user.
#[both_databases]
async fn names_are_unique(app: &App) {
    let email = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.org"});
    let ada = app.client().post("/api/v1/auth/register", &email).await.expect(201);
    let ada = app.client().signed_in(&ada);
    let again = json!({"username": "ADA", "password": PASSWORD, "email": "ADA@example.org"});
    let problem = app.client().post("/api/v1/auth/register", &again).await.refused(409, "name_taken");
    assert_eq!(field_errors_of(&problem), ["email: taken", "username: taken"]);
    ada.delete(ME).await.expect(204);
    let problem = app.client().post("/api/v1/auth/register", &again).await.refused(409, "name_taken");
    assert_eq!(field_errors_of(&problem), ["email: taken", "username: taken"]);
}

/// Of two concurrent registrations with one name, one succeeds.
#[both_databases]
async fn one_of_two_gets_the_name(app: &App) {
    let body = json!({"username": "ada", "password": PASSWORD});
    let client = app.client();
    let all = (0..6).map(|_| client.post("/api/v1/auth/register", &body));
    let all = futures::future::join_all(all).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in all.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "name_taken");
    }
}

/// Users sign in by name or address, regardless of case; every failure has the same response.
#[both_databases]
async fn every_failed_sign_in_is_the_same(app: &App) {
    let body = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.org"});
    let ada = app.client().post("/api/v1/auth/register", &body).await.expect(201);
    let ada = app.client().signed_in(&ada);
    for name in ["ada", "ADA", "ada@example.org", "Ada@EXAMPLE.org"] {
        login(&ada, name, PASSWORD).await.expect(200);
    }
    let mut bodies = Vec::new();
    let mut failed = async |name: &str, password: &str| {
        let mut body = login(&ada, name, password).await.refused(401, "bad_credentials");
        body["request_id"] = Value::Null;
        bodies.push(body);
    };
    failed("nobody", PASSWORD).await;
    failed("ada", "Wrong-Horse-1").await;
    failed("ada", &"x".repeat(73)).await;
    failed("ada", "").await;
    ada.delete(ME).await.expect(204);
    failed("ada", PASSWORD).await;
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:#?}");
}

/// The OAuth form returns tokens for a password or a refresh token, with fewer scopes on request.
#[both_databases]
async fn the_oauth_form_gives_tokens(app: &App) {
    let ada = app.user("ada").await;
    let password = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let tokens = form(&ada, &password).await.expect(200);
    assert!(tokens.get("user").is_none());
    let again =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    form(&ada, &again).await.expect(200);
    app.db.clock.advance(GRACE);
    let reused = form(&ada, &again).await.refused(400, "invalid_grant");
    assert_eq!(reused["error"], "invalid_grant");

    let fewer = [&password[..], &[("scope", "profile users:admin")]].concat();
    let tokens = form(&ada, &fewer).await.expect(200);
    assert_eq!(tokens["scope"], "profile", "what the group doesn't have is left out");
    let fewer = ada.signed_in(&tokens);
    fewer.get(ME).await.expect(200);
    fewer.get("/api/v1/threads").await.refused(403, "missing_scope");
    let refreshed = refresh(&ada, tokens["refresh_token"].as_str().unwrap()).await.expect(200);
    assert_eq!(refreshed["scope"], "profile", "a refreshed token has no more");

    // As in FastAPI's form, the grant type may be left out, and a parameter without a value counts as absent.
    form(&ada, &password[1..]).await.expect(200);
    let empty = [("grant_type", ""), ("scope", ""), ("client_id", "any")];
    form(&ada, &[&password[1..], &empty[..]].concat()).await.expect(200);
}

/// Every error of the token endpoint follows RFC 6749, section 5.2, and is also a problem.
#[both_databases]
async fn the_token_endpoint_refuses_as_oauth_has_it(app: &App) {
    let ada = app.user("ada").await;
    let password = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let with = |more: &[(&'static str, &'static str)]| [&password[..], more].concat();
    let long = "profile ".repeat(6000);
    let token = ada.refresh_token.clone().unwrap();
    for (fields, code) in [
        (vec![("username", "ada"), ("password", "Wrong-Horse-1")], "invalid_grant"),
        (vec![("username", "nobody"), ("password", PASSWORD)], "invalid_grant"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "none of ours")], "invalid_grant"),
        (vec![("grant_type", "magic")], "unsupported_grant_type"),
        (vec![("grant_type", "client_credentials"), ("client_id", "a")], "unsupported_grant_type"),
        (vec![("grant_type", "refresh_token")], "invalid_request"),
        (vec![("username", "ada")], "invalid_request"),
        (vec![("username", "ada"), ("password", "")], "invalid_request"),
        (vec![], "invalid_request"),
        (with(&[("username", "ada")]), "invalid_request"),
        (with(&[("scope", "users:admin")]), "invalid_scope"),
        (with(&[("scope", "profile something:else")]), "invalid_scope"),
        (with(&[("scope", "\u{1F600}\"\\")]), "invalid_scope"),
        ([&password[..], &[("scope", long.as_str())]].concat(), "invalid_request"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", &long)], "invalid_request"),
    ] {
        let answer = form(&ada, &fields).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("www-authenticate"));
        let problem = answer.refused(400, code);
        assert_eq!(problem["error"], code);
        let description = problem["error_description"].as_str().unwrap();
        let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(!description.is_empty() && description.chars().all(allowed), "{description}");
    }
    let json = ada.post("/api/v1/auth/token", &json!({})).await.refused(400, "invalid_request");
    assert_eq!(json["error"], "invalid_request");
    let huge = form(&ada, &[("scope", &"x".repeat(70_000))]).await.refused(400, "invalid_request");
    assert_eq!(huge["error"], "invalid_request");

    // None of it was stored, and none of it harmed the session.
    assert!(!app.db.dump().await.contains("something:else"));
    refresh(&ada, &token).await.expect(200);
    // Elsewhere a problem has no such members.
    assert!(ada.anonymous().get(ME).await.refused(401, "unauthenticated").get("error").is_none());
}

/// Reuse of a refresh token ends its session on every server, and no other session.
#[both_databases]
async fn a_spent_token_ends_the_session(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    let next = refresh(&ada, &first).await.expect(200);
    let next = ada.signed_in(&next);
    next.get(ME).await.expect(200);
    app.db.clock.advance(GRACE);
    refresh(&ada, &first).await.refused(401, "session_ended");
    next.get(ME).await.refused(401, "session_ended");
    refresh(&ada, next.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
    let other = app.another_server(&[]);
    let there = other.client().with_token(next.token.as_ref().unwrap());
    there.get(ME).await.refused(401, "session_ended");
    elsewhere.get(ME).await.expect(200);
    refresh(&ada, "no-such-token").await.refused(401, "invalid_token");
    other.stop().await;
}

/// A session takes one row however often it is refreshed, and each of its used tokens is recognized.
#[both_databases]
async fn a_session_takes_one_row(app: &App) {
    let ada = app.user("ada").await;
    let mut tokens = vec![ada.refresh_token.clone().unwrap()];
    for _ in 0..20 {
        let next = refresh(&ada, tokens.last().unwrap()).await.expect(200);
        tokens.push(next["refresh_token"].as_str().unwrap().to_owned());
    }
    // SQLite's index of names is kept in tables.
    let others = ["seaql_migrations", "users_text", "users_by_number"];
    let is_row = |line: &&str| others.iter().all(|table| !line.starts_with(table));
    let rows = |dump: String| dump.lines().filter(is_row).count();
    let user_event_log_session = 4;
    assert_eq!(rows(app.db.dump().await), user_event_log_session);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 21);

    // A token that combines the parts of two sessions, or is malformed, is not taken for a used token of another session.
    let other = app.user("charles").await;
    let mixed = format!("{}{}", &other.refresh_token.clone().unwrap()[..43], &tokens[20][43..]);
    refresh(&ada, &mixed).await;
    ada.get(ME).await.expect(200);
    refresh(&ada, &"A".repeat(86)).await.refused(401, "invalid_token");
    ada.get(ME).await.expect(200);

    refresh(&ada, &tokens[3]).await.refused(401, "session_ended");
    refresh(&ada, &tokens[20]).await.refused(401, "session_ended");
    ada.get(ME).await.refused(401, "session_ended");
}

/// Without the grace, of concurrent refreshes with one token on two servers at most one succeeds; the others reveal that there
/// are copies, and the session ends.
#[both_databases]
async fn concurrent_refreshes_end_the_session(app: &App) {
    let strict = [("REFRESH_GRACE_SECONDS", "0")];
    let (one, other) = (app.another_server(&strict), app.another_server(&strict));
    let (ada, there) = (one.client().register("ada").await, other.client());
    let token = ada.refresh_token.clone().unwrap();
    let all = (0..8).map(|index| refresh(if index % 2 == 0 { &ada } else { &there }, &token));
    let (won, lost): (Vec<_>, Vec<_>) =
        join_all(all).await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for answer in lost {
        answer.refused(401, "session_ended");
    }
    for answer in won {
        let next = ada.signed_in(&answer.expect(200));
        next.get(ME).await.refused(401, "session_ended");
        refresh(&ada, next.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
    }
    one.stop().await;
    other.stop().await;
}

/// A concurrent refresh and deactivation do not deadlock, and leave no session.
#[both_databases]
async fn refreshing_and_deactivating_at_once(app: &App) {
    for round in 0..10 {
        let ada = app.user(&format!("ada-{round}")).await;
        let elsewhere = ada.login(&format!("ada-{round}")).await;
        let token = elsewhere.refresh_token.clone().unwrap();
        let (refreshed, gone) = tokio::join!(refresh(&ada, &token), ada.delete(ME));
        gone.expect(204);
        assert!([200, 401].contains(&refreshed.status), "{:#}", refreshed.body);
        if refreshed.status == 200 {
            let next = ada.signed_in(&refreshed.body);
            next.get(ME).await.refused(401, "session_ended");
            refresh(&ada, next.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
        }
    }
}

/// Signing out ends this session and no other.
#[both_databases]
async fn signing_out_ends_this_session(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    ada.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    ada.get(ME).await.refused(401, "session_ended");
    refresh(&ada, ada.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
    elsewhere.get(ME).await.expect(200);
}

/// Whatever ends a session writes an event, which names the session and its user: once for each session.
#[both_databases]
async fn every_end_of_a_session_is_in_the_log(app: &App) {
    let root = app.user_in("superuser", "root").await;
    let first = app.user("ada").await;
    let again = first.login("ada").await;
    let before = ended(app).await;
    refresh(&again, again.refresh_token.as_ref().unwrap()).await.expect(200);
    assert_eq!(ended(app).await, before, "a refresh ends nothing");

    let mut expected = before;
    let token = first.refresh_token.clone().unwrap();
    refresh(&first, &token).await.expect(200);
    app.db.clock.advance(GRACE);
    refresh(&first, &token).await.refused(401, "session_ended");
    refresh(&first, &token).await.refused(401, "session_ended");
    expected.push((session_of(app, &first), first.id()));
    assert_eq!(ended(app).await, expected, "a refresh token that is used twice");

    again.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    expected.push((session_of(app, &again), first.id()));
    assert_eq!(ended(app).await, expected, "signing out");

    let path = format!("/api/v1/users/{}", first.id());
    let changes = [
        (Method::PUT, format!("{path}/group"), json!({"group": "admin"})),
        (Method::PATCH, path.clone(), json!({"is_active": false})),
        (Method::DELETE, path.clone(), Value::Null),
    ];
    for (method, path, body) in changes {
        let (one, two) = (first.login("ada").await, first.login("ada").await);
        send(root.request(method, &path).json(&body)).await;
        expected.extend([&one, &two].map(|client| (session_of(app, client), client.id())));
        let (mut found, mut expected) = (ended(app).await, expected.clone());
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{path}");
        let active = json!({"is_active": true});
        send(root.request(Method::PATCH, &format!("/api/v1/users/{}", first.id())).json(&active)).await;
    }
}

/// The sessions that ended, each with its user, in the order of the log.
async fn ended(app: &App) -> Vec<(String, String)> {
    let log = events::Entity::find().order_by_asc(events::Column::Position).all(app.db.db.reader());
    let ended = log.await.unwrap().into_iter().filter(|event| event.kind == session::SESSION_ENDED);
    ended
        .map(|event| {
            assert_eq!(event.subject_kind, session::SUBJECT);
            (event.subject_id.to_string(), event.user_id.unwrap().to_string())
        })
        .collect()
}

/// The session of a client's access token.
fn session_of(app: &App, client: &Client) -> String {
    let tokens =
        AccessTokens::new(SECRET.as_bytes(), "messenger", "messenger", Duration::from_mins(15)).unwrap();
    tokens.read(client.token.as_ref().unwrap(), app.db.db.now()).unwrap().session_id.to_string()
}

/// A user with more sessions than one statement can write events for can be deactivated.
#[both_databases]
async fn many_sessions_end_at_once(app: &App) {
    let ada = app.user("ada").await;
    let (user_id, now) = (ada.id().parse().unwrap(), app.db.db.now());
    let row = |index: u128| session::row::ActiveModel {
        id: Set(Uuid::from_u128(index)),
        user_id: Set(user_id),
        scope: Set(None),
        family_hash: Set(index.to_string()),
        token_hash: Set(index.to_string()),
        created_at: Set(now),
        expires_at: Set(now + Duration::from_hours(1)),
        ended_at: Set(None),
        ..Default::default()
    };
    let fill = async |tx: &Tx| {
        for start in (0..8000).step_by(1000) {
            let rows = (start..start + 1000).map(row);
            session::row::Entity::insert_many(rows).exec_without_returning(tx).await?;
        }
        Ok::<_, groundwork_core::Error>(())
    };
    app.db.db.write(fill).await.unwrap();
    ada.delete(ME).await.expect(204);
    assert_eq!(ended(app).await.len(), 8001);
}

/// Access tokens are valid for 15 minutes, and sessions for 30 days without a refresh.
#[both_databases]
async fn tokens_and_sessions_end(app: &App) {
    let ada = app.user("ada").await;
    app.db.clock.advance(Duration::from_secs(899));
    ada.get(ME).await.expect(200);
    app.db.clock.advance(Duration::from_secs(1));
    ada.get(ME).await.refused(401, "token_expired");
    let next = refresh(&ada, ada.refresh_token.as_ref().unwrap()).await.expect(200);
    app.db.clock.advance(Duration::from_hours(24 * 30));
    refresh(&ada, next["refresh_token"].as_str().unwrap()).await.refused(401, "token_expired");
    app.db.clock.advance(Duration::from_hours(25));
    api::housekeeping::sweep(&app.db.db).await.unwrap();
    assert!(session::row::Entity::find().all(app.db.db.reader()).await.unwrap().is_empty());
}

/// Only a token of a live session that this service issued is accepted; others are refused before the body is read.
#[both_databases]
async fn foreign_tokens_are_refused(app: &App) {
    let ada = app.user("ada").await;
    let now = app.db.db.now();
    let caller = Caller {
        user_id: ada.id().parse().unwrap(),
        session_id: Uuid::from_u128(1),
        scopes: Scopes::parse("profile messages:write"),
        expires_at: now + Duration::from_mins(15),
    };
    let signed = |secret: &str, issuer: &str, audience: &str| {
        let tokens = AccessTokens::new(secret.as_bytes(), issuer, audience, Duration::from_mins(15)).unwrap();
        tokens.issue(&caller, now).unwrap()
    };
    let own = ada.token.clone().unwrap();
    let body = own.split('.').nth(1).unwrap();
    for token in [
        signed("another secret that is long enough", "messenger", "messenger"),
        signed(SECRET, "somebody", "messenger"),
        signed(SECRET, "messenger", "something"),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."),
        format!("{own}x"),
        "nonsense".to_owned(),
    ] {
        let client = ada.with_token(&token);
        let answer = client.post("/api/v1/messages", &json!("garbage")).await;
        assert_eq!(
            answer.headers["www-authenticate"],
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"the access token is not valid\""
        );
        answer.refused(401, "invalid_token");
    }
    let no_session = ada.with_token(&signed(SECRET, "messenger", "messenger"));
    no_session.post("/api/v1/messages", &json!("garbage")).await.refused(401, "session_ended");
    let basic = ada.anonymous().request(Method::GET, ME).header("authorization", "Basic YTpi");
    let none = send(basic).await;
    assert_eq!(none.headers["www-authenticate"], "Bearer realm=\"api\"");
    none.refused(401, "unauthenticated");
    let lacking = ada.get("/api/v1/users").await;
    assert_eq!(
        lacking.headers["www-authenticate"],
        "Bearer realm=\"api\", error=\"insufficient_scope\", \
         error_description=\"this operation requires the scope users:read\""
    );
    lacking.refused(403, "missing_scope");
    // An operation without authentication ignores an expired token.
    login(&ada.with_token("stale"), "ada", PASSWORD).await.expect(200);
    ada.with_token("stale").get("/health").await.expect(200);
}

/// Neither passwords nor refresh tokens are in the database, only their hashes.
#[both_databases]
async fn secrets_are_stored_as_hashes(app: &App) {
    let ada = app.user("ada").await;
    let token = ada.refresh_token.clone().unwrap();
    let users = users::entity::Entity::find().all(app.db.db.reader()).await.unwrap();
    assert!(users[0].password_hash.starts_with("$2b$04$"));
    let dump = app.db.dump().await;
    for secret in [PASSWORD, &token, &token[..43], &token[43..], ada.token.as_ref().unwrap()] {
        assert!(!dump.contains(secret), "{secret}");
    }
}
