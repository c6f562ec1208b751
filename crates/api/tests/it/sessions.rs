//! The sessions of a user, and refresh tokens that come twice.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use groundwork_testkit::{Answer, Client, both_databases, client::PASSWORD, client::send};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::App;

const ME: &str = "/api/v1/users/me";
const SESSIONS: &str = "/api/v1/auth/sessions";

async fn refresh(client: &Client, token: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

/// Signs in with a `User-Agent`.
async fn login_from(client: &Client, device: &str) -> Client {
    let body = json!({"username": "ada", "password": PASSWORD});
    let request = client.anonymous().request(Method::POST, "/api/v1/auth/login");
    client.signed_in(&send(request.header("user-agent", device).json(&body)).await.expect(200))
}

async fn sessions(client: &Client) -> Vec<Value> {
    client.get(SESSIONS).await.expect(200)["items"].as_array().unwrap().clone()
}

/// The list has what the user needs to recognize a session, and nothing that a token could be made from.
#[both_databases]
async fn the_list_shows_where_one_is_signed_in(app: &App) {
    let ada = app.user("ada").await;
    app.user("charles").await;
    app.db.clock.advance(Duration::from_mins(1));
    let phone = login_from(&ada, &format!("Phone{}", "x".repeat(300))).await;
    let all = sessions(&phone).await;
    let names: Vec<_> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["address", "created_at", "device", "expires_at", "id", "is_current", "last_used_at"];
    assert_eq!(names, expected);
    assert_eq!(all.len(), 2, "{all:#?}");
    assert_eq!((&all[0]["is_current"], &all[1]["is_current"]), (&json!(true), &json!(false)));
    assert_eq!(text(&all[0], "device"), format!("Phone{}", "x".repeat(195)));
    assert_eq!((&all[0]["address"], &all[1]["device"]), (&json!("127.0.0.1"), &Value::Null));
    assert_eq!(all[0]["last_used_at"], all[0]["created_at"]);

    // A refresh is a use, and may come from another client.
    app.db.clock.advance(Duration::from_mins(5));
    let body = json!({"refresh_token": phone.refresh_token});
    let request = ada.anonymous().request(Method::POST, "/api/v1/auth/refresh");
    send(request.header("user-agent", "Phone 2").json(&body)).await.expect(200);
    let again = sessions(&ada).await;
    assert_eq!((&again[0]["id"], text(&again[0], "device")), (&all[0]["id"], "Phone 2".to_owned()));
    assert!(text(&again[0], "last_used_at") > text(&all[0], "last_used_at"));
    assert!(text(&again[0], "expires_at") > text(&all[0], "expires_at"));
    assert_eq!(again[0]["created_at"], all[0]["created_at"]);

    let page = ada.get(&format!("{SESSIONS}?size=1&page=2")).await.expect(200);
    assert_eq!((&page["total"], &page["items"][0]["id"]), (&json!(2), &all[1]["id"]));
    assert_eq!(ada.get(&format!("{SESSIONS}?user=1")).await.field_errors(), ["user: unknown_parameter"]);

    // Neither one that ended nor one that expired is in the list.
    phone.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    assert_eq!(sessions(&ada).await.len(), 1);
    app.db.clock.advance(Duration::from_hours(24 * 30));
    assert_eq!(sessions(&ada.login("ada").await).await.len(), 1);
}

/// Ending one session, or all others, stops its tokens and closes its sockets on every server, and touches nobody else's.
#[both_databases]
async fn sessions_are_ended_from_another(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let (phone, tablet) = (ada.login("ada").await, ada.login("ada").await);
    let (other, _delivery) = app.another_live_server(&[]).await;
    let mut socket = other.client().with_token(phone.token.as_ref().unwrap()).socket("/api/v1/ws").await;
    socket.next("ready").await;
    // The latest sign-in first: tablet, phone, the registration.
    let all = sessions(&ada).await;
    let of_phone = format!("{SESSIONS}/{}", text(&all[1], "id"));
    charles.delete(&of_phone).await.refused(404, "not_found");
    phone.get(ME).await.expect(200);
    ada.delete(&of_phone).await.expect(204);
    assert_eq!(socket.closed().await, (4401, "session_ended".to_owned()));
    phone.get(ME).await.refused(401, "session_ended");
    refresh(&ada, phone.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
    ada.delete(&of_phone).await.refused(404, "not_found");
    let unknown = format!("{SESSIONS}/0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11");
    ada.delete(&unknown).await.refused(404, "not_found");
    assert_eq!(ada.delete(&format!("{SESSIONS}/7")).await.field_errors(), ["id: bad_format"]);

    ada.delete(SESSIONS).await.expect(204);
    tablet.get(ME).await.refused(401, "session_ended");
    charles.get(ME).await.expect(200);
    ada.delete(SESSIONS).await.expect(204);
    let own = text(&sessions(&ada).await[0], "id");
    ada.delete(&format!("{SESSIONS}/{own}")).await.expect(204);
    ada.get(ME).await.refused(401, "session_ended");
    other.stop().await;
}

/// Of sessions that end all others at the same moment, one lives on.
#[both_databases]
async fn one_of_several_lives_on(app: &App) {
    let ada = app.user("ada").await;
    let all = [ada.clone(), ada.login("ada").await, ada.login("ada").await, ada.login("ada").await];
    let answers = join_all(all.iter().map(|client| client.delete(SESSIONS))).await;
    let mut alive = 0;
    for (client, answer) in all.iter().zip(&answers) {
        assert!([204, 401].contains(&answer.status), "{answer:#?}");
        alive += usize::from(client.get(ME).await.status == 200);
    }
    assert_eq!(alive, 1);
    assert!(answers.iter().any(|answer| answer.status == 204));
}

/// An admin ends all sessions of a user, and a superuser those of an admin.
#[both_databases]
async fn an_admin_signs_a_user_out(app: &App) {
    let (ada, admin) = (app.user("ada").await, app.user_in("admin", "admin").await);
    let root = app.user_in("superuser", "root").await;
    let again = ada.login("ada").await;
    let of = |client: &Client| format!("/api/v1/users/{}/sessions", client.id());
    ada.delete(&of(&ada)).await.refused(403, "missing_scope");
    admin.delete(&of(&root)).await.refused(403, "forbidden");
    admin.delete(&of(&ada)).await.expect(204);
    for client in [&ada, &again] {
        client.get(ME).await.refused(401, "session_ended");
        refresh(client, client.refresh_token.as_ref().unwrap()).await.refused(401, "session_ended");
    }
    ada.login("ada").await.get(ME).await.expect(200);
    root.delete(&of(&admin)).await.expect(204);
    admin.get(ME).await.refused(401, "session_ended");
    let unknown = "/api/v1/users/0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11/sessions";
    root.delete(unknown).await.refused(404, "not_found");
}

/// A refresh whose response was lost is repeated: the spent token gives the same successor for 10 seconds, on every server, and
/// then ends the session.
#[both_databases]
async fn a_lost_refresh_is_repeated(app: &App) {
    let ada = app.user("ada").await;
    let other = app.another_server(&[]);
    let first = ada.refresh_token.clone().unwrap();
    let lost = text(&refresh(&ada, &first).await.expect(200), "refresh_token");
    assert_ne!(lost, first);
    app.db.clock.advance(Duration::from_secs(9));
    let again = refresh(&other.client(), &first).await.expect(200);
    assert_eq!(text(&again, "refresh_token"), lost);
    ada.signed_in(&again).get(ME).await.expect(200);
    // The time counts from the first use.
    app.db.clock.advance(Duration::from_secs(1));
    refresh(&ada, &first).await.refused(401, "session_ended");
    refresh(&ada, &lost).await.refused(401, "session_ended");
    ada.signed_in(&again).get(ME).await.refused(401, "session_ended");
    other.stop().await;
}

/// Only the last spent token is forgiven: once its successor was used, somebody has it, and the one before shows a copy.
#[both_databases]
async fn an_older_token_is_not_forgiven(app: &App) {
    let ada = app.user("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    let second = text(&refresh(&ada, &first).await.expect(200), "refresh_token");
    let third = text(&refresh(&ada, &second).await.expect(200), "refresh_token");
    assert_eq!(text(&refresh(&ada, &second).await.expect(200), "refresh_token"), third);
    refresh(&ada, &first).await.refused(401, "session_ended");
    refresh(&ada, &third).await.refused(401, "session_ended");
}

/// Tabs that refresh at the same moment, also on two servers, get the same token, and all live on.
#[both_databases]
async fn tabs_refresh_at_once(app: &App) {
    let ada = app.user("ada").await;
    let other = app.another_server(&[]);
    let there = other.client();
    let mut token = ada.refresh_token.clone().unwrap();
    for _ in 0..5 {
        let tabs = (0..6).map(|index| refresh(if index % 2 == 0 { &ada } else { &there }, &token));
        let mut next = BTreeSet::new();
        for answer in join_all(tabs).await {
            let tokens = answer.expect(200);
            ada.signed_in(&tokens).get(ME).await.expect(200);
            next.insert(text(&tokens, "refresh_token"));
        }
        assert_eq!(next.len(), 1);
        token = next.pop_first().unwrap();
    }
    assert_eq!(sessions(&ada).await.len(), 1);
    other.stop().await;
}

/// The grace revives nothing: a session that ended, or expired, stays so.
#[both_databases]
async fn the_grace_revives_no_session(app: &App) {
    let ada = app.user("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    refresh(&ada, &first).await.expect(200);
    ada.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    refresh(&ada, &first).await.refused(401, "session_ended");
}

/// The row of a session that an earlier version began, or refreshed in between, is treated as that version would.
#[both_databases]
async fn sessions_of_an_earlier_version_go_on(app: &App) {
    let ada = app.user("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    let earlier =
        "UPDATE sessions SET spent_hash = NULL, seed = NULL, used_at = NULL, device = NULL, address = NULL";
    let forget = || app.db.db.schema().execute_unprepared(earlier);
    forget().await.unwrap();
    let all = sessions(&ada).await;
    assert_eq!(all[0]["last_used_at"], all[0]["created_at"]);
    let second = text(&refresh(&ada, &first).await.expect(200), "refresh_token");
    forget().await.unwrap();
    refresh(&ada, &first).await.refused(401, "session_ended");
    refresh(&ada, &second).await.refused(401, "session_ended");
}
