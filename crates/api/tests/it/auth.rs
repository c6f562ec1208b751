//! Signing up, in and out.

use std::time::Duration;

use groundwork_auth::{AccessTokens, Caller, Scopes, session};
use groundwork_core::Uuid;
use groundwork_testkit::{
    Answer, Client, both_databases,
    client::{PASSWORD, field_errors_of, send},
};
use messenger_domain::users;
use reqwest::Method;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{App, SECRET};

const ME: &str = "/api/v1/users/me";

async fn form(client: &Client, fields: &[(&str, &str)]) -> Answer {
    send(client.anonymous().request(Method::POST, "/api/v1/auth/token").form(fields)).await
}

async fn login(client: &Client, username: &str, password: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/login", &json!({"username": username, "password": password})).await
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

/// Signing up gives tokens and the own profile, and the name is free of case.
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

/// A name or address in use is a conflict that names the field, whatever the case, also of a deleted user.
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

/// Of two who sign up under one name at the same moment, one gets it.
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

/// One signs in by name or address, whatever the case; every failure is the same.
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

/// The OAuth form gives tokens for a password or a refresh token, for fewer scopes when asked.
#[both_databases]
async fn the_oauth_form_gives_tokens(app: &App) {
    let ada = app.user("ada").await;
    let password = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let tokens = form(&ada, &password).await.expect(200);
    assert!(tokens.get("user").is_none());
    let again =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    form(&ada, &again).await.expect(200);
    form(&ada, &again).await.refused(401, "unauthenticated");

    let fewer = [&password[..], &[("scope", "profile users:admin")]].concat();
    let tokens = form(&ada, &fewer).await.expect(200);
    assert_eq!(tokens["scope"], "profile", "what the group doesn't have is left out");
    let fewer = ada.signed_in(&tokens);
    fewer.get(ME).await.expect(200);
    fewer.get("/api/v1/threads").await.refused(403, "missing_scope");
    let refreshed = refresh(&ada, tokens["refresh_token"].as_str().unwrap()).await.expect(200);
    assert_eq!(refreshed["scope"], "profile", "a refreshed token has no more");

    let none = [&password[..], &[("scope", "users:admin")]].concat();
    assert_eq!(form(&ada, &none).await.field_errors(), ["scope: invalid_scope"]);
    assert_eq!(form(&ada, &[("grant_type", "magic")]).await.field_errors(), ["grant_type: unknown_value"]);
    assert_eq!(form(&ada, &password[..2]).await.field_errors(), ["password: missing"]);
    let json = ada.post("/api/v1/auth/token", &json!({})).await;
    json.refused(415, "unsupported_media_type");
}

/// A spent refresh token ends its whole session, on every server, and no other session.
#[both_databases]
async fn a_spent_token_ends_the_session(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    let next = refresh(&ada, &first).await.expect(200);
    let next = ada.signed_in(&next);
    next.get(ME).await.expect(200);
    refresh(&ada, &first).await.refused(401, "unauthenticated");
    next.get(ME).await.refused(401, "unauthenticated");
    refresh(&ada, next.refresh_token.as_ref().unwrap()).await.refused(401, "unauthenticated");
    let other = app.another_server(&[]);
    let there = other.client().with_token(next.token.as_ref().unwrap());
    there.get(ME).await.refused(401, "unauthenticated");
    other.stop().await;
    elsewhere.get(ME).await.expect(200);
    refresh(&ada, "no-such-token").await.refused(401, "unauthenticated");
}

/// Signing out ends this session and no other.
#[both_databases]
async fn signing_out_ends_this_session(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    ada.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    ada.get(ME).await.refused(401, "unauthenticated");
    refresh(&ada, ada.refresh_token.as_ref().unwrap()).await.refused(401, "unauthenticated");
    elsewhere.get(ME).await.expect(200);
}

/// Access tokens are good for fifteen minutes, sessions for thirty days without a refresh.
#[both_databases]
async fn tokens_and_sessions_end(app: &App) {
    let ada = app.user("ada").await;
    app.db.clock.advance(Duration::from_secs(899));
    ada.get(ME).await.expect(200);
    app.db.clock.advance(Duration::from_secs(1));
    ada.get(ME).await.refused(401, "unauthenticated");
    let next = refresh(&ada, ada.refresh_token.as_ref().unwrap()).await.expect(200);
    app.db.clock.advance(Duration::from_hours(24 * 30));
    refresh(&ada, next["refresh_token"].as_str().unwrap()).await.refused(401, "unauthenticated");
    app.db.clock.advance(Duration::from_hours(25));
    api::housekeeping::sweep(&app.db.db).await.unwrap();
    assert!(session::row::Entity::find().all(app.db.db.reader()).await.unwrap().is_empty());
    assert!(session::refresh_token::Entity::find().all(app.db.db.reader()).await.unwrap().is_empty());
}

/// Only a token of ours, of a live session, lets in; a bad one is refused before the body is looked at.
#[both_databases]
async fn foreign_tokens_are_refused(app: &App) {
    let ada = app.user("ada").await;
    let now = app.db.db.now();
    let caller = Caller {
        user_id: ada.id().parse().unwrap(),
        session_id: Uuid::from_u128(1),
        scopes: Scopes::parse("profile messages:write"),
    };
    let signed = |secret: &str, issuer: &str, audience: &str| {
        let tokens = AccessTokens::new(secret.as_bytes(), issuer, audience, Duration::from_mins(15)).unwrap();
        tokens.issue(&caller, now).unwrap()
    };
    let own = ada.token.clone().unwrap();
    let body = own.split('.').nth(1).unwrap();
    for token in [
        signed(SECRET, "messenger", "messenger"),
        signed("another secret that is long enough", "messenger", "messenger"),
        signed(SECRET, "somebody", "messenger"),
        signed(SECRET, "messenger", "something"),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."),
        format!("{own}x"),
        "nonsense".to_owned(),
    ] {
        let client = ada.with_token(&token);
        let answer = client.post("/api/v1/messages", &json!("garbage")).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.refused(401, "unauthenticated");
    }
    let basic = ada.anonymous().request(Method::GET, ME).header("authorization", "Basic YTpi");
    send(basic).await.refused(401, "unauthenticated");
    // Where no token is needed, a stale one does no harm.
    login(&ada.with_token("stale"), "ada", PASSWORD).await.expect(200);
    ada.with_token("stale").get("/health").await.expect(200);
}

/// Neither passwords nor refresh tokens are in the database, only their hashes.
#[both_databases]
async fn secrets_are_stored_as_hashes(app: &App) {
    let ada = app.user("ada").await;
    let token = ada.refresh_token.clone().unwrap();
    let users = users::entity::Entity::find().all(app.db.db.reader()).await.unwrap();
    let tokens = session::refresh_token::Entity::find().all(app.db.db.reader()).await.unwrap();
    assert!(users[0].password_hash.starts_with("$2b$04$"));
    assert_eq!(tokens.len(), 1);
    assert!(tokens.iter().all(|row| row.hash != token && !format!("{row:?}").contains(&token)));
}
