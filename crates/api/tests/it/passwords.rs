//! Changing passwords, and what they must be like.

use futures::future::join_all;
use groundwork_testkit::{
    Answer, Client, both_databases,
    client::{PASSWORD, field_errors_of},
};
use messenger_domain::users::entity::{Entity, Model};
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::App;

const ME: &str = "/api/v1/users/me";
const CHANGE: &str = "/api/v1/auth/password";
const NEW: &str = "battery staple 2";

async fn change(client: &Client, current: &str, new: &str) -> Answer {
    client.put(CHANGE, &json!({"current_password": current, "new_password": new})).await
}

async fn login(client: &Client, password: &str) -> Answer {
    let body = json!({"username": "ada", "password": password});
    client.anonymous().post("/api/v1/auth/login", &body).await
}

async fn refresh(client: &Client) -> Answer {
    let body = json!({"refresh_token": client.refresh_token});
    client.anonymous().post("/api/v1/auth/refresh", &body).await
}

async fn stored(app: &App) -> Model {
    Entity::find().one(app.db.db.reader()).await.unwrap().unwrap()
}

/// After a change only the new password signs in, and of the sessions only the one that changed it lives on.
#[both_databases]
async fn a_change_ends_the_other_sessions(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    let charles = app.user("charles").await;
    change(&ada, PASSWORD, NEW).await.expect(204);
    elsewhere.get(ME).await.refused(401, "session_ended");
    refresh(&elsewhere).await.refused(401, "session_ended");
    ada.get(ME).await.expect(200);
    refresh(&ada).await.expect(200);
    charles.get(ME).await.expect(200);
    login(&ada, PASSWORD).await.refused(401, "bad_credentials");
    login(&ada, NEW).await.expect(200);
    let dump = app.db.dump().await;
    assert!(!dump.contains(NEW));
}

/// A refused change names the field and changes nothing.
#[both_databases]
async fn a_refused_change_changes_nothing(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    let before = app.db.dump().await;
    let problem = change(&ada, "Wrong-Horse-1", NEW).await.refused(403, "wrong_password");
    assert_eq!(field_errors_of(&problem), ["current_password: wrong"]);
    for wrong in ["", &"x".repeat(73)] {
        change(&ada, wrong, NEW).await.refused(403, "wrong_password");
    }
    for (new, errors) in [
        ("", vec!["new_password: blank", "new_password: too_short"]),
        ("seven c", vec!["new_password: too_short"]),
        ("Passw0rd", vec!["new_password: too_common"]),
        (&"x".repeat(73), vec!["new_password: too_long"]),
        (&"ü".repeat(37), vec!["new_password: too_long"]),
        ("nul \0 inside", vec!["new_password: bad_value"]),
    ] {
        assert_eq!(change(&ada, PASSWORD, new).await.field_errors(), errors, "{new}");
    }
    let errors = ada.put(CHANGE, &json!({"password": PASSWORD})).await.field_errors();
    assert_eq!(errors, ["current_password: missing", "new_password: missing", "password: unknown_field"]);
    assert_eq!(app.db.dump().await, before);
    elsewhere.get(ME).await.expect(200);
    login(&ada, PASSWORD).await.expect(200);
}

/// Of several changes at once, on two servers and from two sessions, one succeeds, and its password is the one that counts.
#[both_databases]
async fn one_of_several_changes_wins(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    let other = app.another_server(&[]);
    let there = other.client().signed_in(&json!({"access_token": ada.token}));
    let clients = [&ada, &there, &elsewhere];
    let new: Vec<_> = (0..6).map(|index| format!("battery staple {index}")).collect();
    let all = new.iter().zip(clients.into_iter().cycle());
    let all = join_all(all.map(|(new, client)| change(client, PASSWORD, new))).await;
    let won: Vec<_> = all.iter().enumerate().filter(|(_, answer)| answer.status == 204).collect();
    assert_eq!(won.len(), 1, "{all:#?}");
    let winner = won[0].0;
    for answer in all.iter().filter(|answer| answer.status != 204) {
        let code = answer.body["code"].as_str().unwrap();
        assert!(["wrong_password", "session_ended"].contains(&code), "{answer:#?}");
    }
    for (index, password) in new.iter().enumerate() {
        assert_eq!(login(&ada, password).await.status == 200, index == winner);
    }
    other.stop().await;
}

/// A session that began with the old password does not outlive its change, however close they are.
#[both_databases]
async fn a_sign_in_during_a_change_is_no_way_in(app: &App) {
    let ada = app.user("ada").await;
    let (mut current, mut next) = (PASSWORD, NEW);
    for _ in 0..10 {
        let (entered, changed) = tokio::join!(login(&ada, current), change(&ada, current, next));
        changed.expect(204);
        if entered.status == 200 {
            let late = ada.signed_in(&entered.body);
            late.get(ME).await.refused(401, "session_ended");
            refresh(&late).await.refused(401, "session_ended");
        } else {
            entered.refused(401, "bad_credentials");
        }
        (current, next) = (next, current);
    }
}

/// The settings make the policy stricter; every fault is still named at once, and who is registered still signs in.
#[both_databases]
async fn the_policy_is_a_setting(app: &App) {
    app.user("ada").await;
    let strict = app.another_server(&[("PASSWORD_MIN_CHARS", "16"), ("PASSWORD_COMPOSITION", "true")]);
    let there = strict.client();
    let body = json!({"username": "a b", "password": "fifteen of them"});
    let refused = there.post("/api/v1/auth/register", &body).await;
    let expected =
        ["password: no_digit", "password: no_upper_case", "password: too_short", "username: bad_characters"];
    assert_eq!(refused.field_errors(), expected);
    let ada = there.signed_in(&login(&there, PASSWORD).await.expect(200));
    let refused = change(&ada, PASSWORD, "fifteen of them").await.field_errors();
    assert_eq!(refused, ["new_password: no_digit", "new_password: no_upper_case", "new_password: too_short"]);
    change(&ada, PASSWORD, "Sixteen of them 1").await.expect(204);

    let plain = |password: &str| json!({"username": "grace", "password": password});
    let common = app.client().post("/api/v1/auth/register", &plain("QWERTYUIOP")).await;
    assert_eq!(common.field_errors(), ["password: too_common"]);
    app.client().post("/api/v1/auth/register", &plain("no digit, no capital")).await.expect(201);
    strict.stop().await;
}

/// After the cost was raised, a sign-in stores a stronger hash, and nothing else of the user; a failed one stores nothing.
#[both_databases]
async fn a_raised_cost_hashes_again(app: &App) {
    let ada = app.user("ada").await;
    let before = stored(app).await;
    assert!(before.password_hash.starts_with("$2b$04$"));
    let stronger = app.another_server(&[("BCRYPT_COST", "6")]);
    let there = stronger.client();
    login(&there, "Wrong-Horse-1").await.refused(401, "bad_credentials");
    assert_eq!(stored(app).await, before);

    // All of several at once succeed: who is second finds a hash that is not the one that was checked.
    let all = join_all((0..4).map(|_| login(&there, PASSWORD))).await;
    for answer in all {
        there.signed_in(&answer.expect(200)).get(ME).await.expect(200);
    }
    let after = stored(app).await;
    assert!(after.password_hash.starts_with("$2b$06$"));
    let unhashed = Model { password_hash: before.password_hash.clone(), ..after.clone() };
    assert_eq!(unhashed, before);

    // A server with the lower cost keeps it, and signs in all the same.
    login(&ada, PASSWORD).await.expect(200);
    assert_eq!(stored(app).await, after);
    ada.get(ME).await.expect(200);
    stronger.stop().await;
}
