//! What a server remembers of sessions and profiles, and when it forgets it.

use std::time::Duration;

use futures::future::join_all;
use groundwork_auth::session;
use groundwork_core::{Error, Tx, Uuid};
use groundwork_testkit::{
    Answer, Backend, Client, Fixture, TestServer, both_databases,
    client::{PASSWORD, send},
};
use messenger_domain::users;
use reqwest::Method;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, prelude::Expr};
use serde_json::{Value, json};

use crate::support::App;

const ME: &str = "/api/v1/users/me";
/// `SESSION_CACHE_SECONDS`, by default.
const TTL: Duration = Duration::from_secs(5);

/// The same user at another server.
fn at(server: &TestServer, client: &Client) -> Client {
    server.client().with_token(client.token.as_ref().unwrap())
}

/// Ends all sessions of a user behind the back of every server, without an event.
async fn end_unnoticed(app: &App, user: &Client) {
    let user: Uuid = user.id().parse().unwrap();
    let end = async |tx: &Tx| {
        session::row::Entity::delete_many().filter(session::row::Column::UserId.eq(user)).exec(tx).await?;
        Ok::<_, Error>(())
    };
    app.db.db.write(end).await.unwrap();
}

/// Changes the profile of a user behind the back of every server, without an event.
async fn rename_unnoticed(app: &App, user: &Client, name: &str) {
    let user: Uuid = user.id().parse().unwrap();
    let rename = async |tx: &Tx| {
        users::entity::Entity::update_many()
            .col_expr(users::entity::Column::FirstName, Expr::value(name))
            .filter(users::entity::Column::Id.eq(user))
            .exec(tx)
            .await?;
        Ok::<_, Error>(())
    };
    app.db.db.write(rename).await.unwrap();
}

async fn first_name(client: &Client) -> Value {
    client.get(ME).await.expect(200)["first_name"].clone()
}

/// A session and a profile are read once, and again when the time to live is over.
#[both_databases]
async fn what_nobody_tells_is_found_after_the_time_to_live(app: &App) {
    // The app's own server may yet read the events of the registration.
    let server = app.deaf_server(&[]).await;
    let ada = app.user("ada").await;
    let there = at(&server, &ada);
    assert_eq!(first_name(&there).await, Value::Null);
    rename_unnoticed(app, &ada, "Augusta").await;
    end_unnoticed(app, &ada).await;
    assert_eq!(first_name(&there).await, Value::Null);
    app.db.clock.advance(Duration::from_millis(4900));
    assert_eq!(first_name(&there).await, Value::Null);
    app.db.clock.advance(Duration::from_millis(100));
    there.get(ME).await.refused(401, "session_ended");

    let again = there.login("ada").await;
    assert_eq!(first_name(&again).await, "Augusta");
    server.stop().await;
}

/// With a time to live of 0 the database is asked in each request.
#[both_databases]
async fn without_a_time_to_live_the_database_is_asked(app: &App) {
    let server = app.deaf_server(&[("SESSION_CACHE_SECONDS", "0")]).await;
    let ada = app.user("ada").await;
    let there = at(&server, &ada);
    assert_eq!(first_name(&there).await, Value::Null);
    rename_unnoticed(app, &ada, "Augusta").await;
    assert_eq!(first_name(&there).await, "Augusta");
    end_unnoticed(app, &ada).await;
    there.get(ME).await.refused(401, "session_ended");
    server.stop().await;
}

/// An access token that has expired is refused, however recently it was accepted.
#[both_databases]
async fn an_expired_token_is_not_remembered(app: &App) {
    let ada = app.user("ada").await;
    app.db.clock.advance(Duration::from_secs(899));
    ada.get(ME).await.expect(200);
    app.db.clock.advance(Duration::from_secs(1));
    ada.get(ME).await.refused(401, "token_expired");
    let token = ada.token.clone().unwrap();
    ada.with_token(&format!("{token}x")).get(ME).await.refused(401, "invalid_token");
}

/// The ways to end all sessions of a user.
const WAYS: [&str; 9] =
    ["reuse", "sign out", "others", "password", "by an admin", "leave", "deactivate", "delete", "group"];

/// Ends the sessions of `user` in one of the [`WAYS`].
async fn end(way: &str, user: &Client, root: &Client) {
    let path = format!("/api/v1/users/{}", user.id());
    let refresh = async |token: &Value| {
        user.anonymous().post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
    };
    let elsewhere = async || user.login(user.user["username"].as_str().unwrap()).await;
    let ended: Answer = match way {
        "reuse" => {
            let first = json!(user.refresh_token);
            let second = refresh(&first).await.expect(200);
            refresh(&second["refresh_token"]).await.expect(200);
            refresh(&first).await.refused(401, "session_ended");
            return;
        }
        "others" => elsewhere().await.delete("/api/v1/auth/sessions").await,
        "password" => {
            let body = json!({"current_password": PASSWORD, "new_password": "battery staple 2"});
            elsewhere().await.put("/api/v1/auth/password", &body).await
        }
        "by an admin" => root.delete(&format!("{path}/sessions")).await,
        "sign out" => user.post("/api/v1/auth/logout", &Value::Null).await,
        "leave" => user.delete(ME).await,
        "deactivate" => root.patch(&path, &json!({"is_active": false})).await,
        "delete" => root.delete(&path).await,
        _ => send(root.request(Method::PUT, &format!("{path}/group")).json(&json!({"group": "admin"}))).await,
    };
    assert!((200..300).contains(&ended.status), "{way}: {:#}", ended.body);
}

/// Each way of ending a session takes effect at once on the server that ends it, and on another one as soon as it has read
/// the log, long before the time to live is over. The clock stands still.
#[both_databases]
async fn an_ended_session_is_forgotten(app: &App) {
    let (other, _delivery) = app.another_live_server(&[("REALTIME_POLL_MILLISECONDS", "10")]).await;
    let root = app.user_in("superuser", "root").await;
    for (index, way) in WAYS.into_iter().enumerate() {
        let user = app.user(&format!("user-{index}")).await;
        let there = at(&other, &user);
        for client in [&user, &user, &there, &there] {
            client.get(ME).await.expect(200);
        }
        end(way, &user, &root).await;
        user.get(ME).await.refused(401, "session_ended");
        let mut answer = there.get(ME).await;
        while answer.status == 200 {
            answer = there.get(ME).await;
        }
        answer.refused(401, "session_ended");
        root.get(ME).await.expect(200);
    }
    other.stop().await;
}

/// A server that can't read the log refuses an ended session when the time to live is over.
#[both_databases]
async fn a_server_without_the_log_forgets_after_the_time_to_live(app: &App) {
    let other = app.deaf_server(&[]).await;
    let ada = app.user("ada").await;
    let there = at(&other, &ada);
    there.get(ME).await.expect(200);
    ada.post("/api/v1/auth/logout", &Value::Null).await.expect(204);
    ada.get(ME).await.refused(401, "session_ended");
    app.db.clock.advance(TTL);
    there.get(ME).await.refused(401, "session_ended");
    other.stop().await;
}

/// Your profile is never older than your last change of it, nor than that of an administrator, on the server that changed
/// it; another one shows the change when it has read the log.
#[both_databases]
async fn a_changed_profile_is_shown(app: &App) {
    let (other, _delivery) = app.another_live_server(&[("REALTIME_POLL_MILLISECONDS", "10")]).await;
    let (ada, admin) = (app.user("ada").await, app.user_in("admin", "root").await);
    let there = at(&other, &ada);
    let path = format!("/api/v1/users/{}", ada.id());
    for round in 0..5 {
        let names = [format!("own-{round}"), format!("admin-{round}")];
        first_name(&ada).await;
        first_name(&there).await;
        ada.patch(ME, &json!({"first_name": names[0]})).await.expect(200);
        assert_eq!(first_name(&ada).await, *names[0]);
        admin.patch(&path, &json!({"first_name": names[1]})).await.expect(200);
        assert_eq!(first_name(&ada).await, *names[1]);
        while first_name(&there).await != *names[1] {}
    }
    other.stop().await;
}

/// Requests that run while a session ends do not bring it back, and those that read while a profile changes do not keep the
/// old one.
#[both_databases]
async fn reading_while_it_changes(app: &App) {
    for round in 0..20 {
        let ada = app.user(&format!("ada-{round}")).await;
        let read = |client: &Client| {
            let client = client.with_token(client.token.as_ref().unwrap());
            async move { client.get(ME).await }
        };
        let name = json!(format!("name-{round}"));
        let body = json!({"first_name": name});
        let (_, changed, _) = tokio::join!(
            join_all((0..4).map(|_| read(&ada))),
            ada.patch(ME, &body),
            join_all((0..4).map(|_| read(&ada))),
        );
        changed.expect(200);
        assert_eq!(first_name(&ada).await, name);
        let (_, ended, _) = tokio::join!(
            join_all((0..4).map(|_| read(&ada))),
            ada.post("/api/v1/auth/logout", &Value::Null),
            join_all((0..4).map(|_| read(&ada))),
        );
        ended.expect(204);
        ada.get(ME).await.refused(401, "session_ended");
    }
}

/// While the database is away, callers that were there a moment ago are known for the time to live, and no longer.
#[actix_web::test]
async fn an_outage_is_bridged_for_the_time_to_live() {
    if !groundwork_testkit::database::is_available(Backend::Postgres) {
        return;
    }
    let app = App::set_up(Backend::Postgres).await;
    // The app's own server may yet read the events of the registrations.
    let server = app.deaf_server(&[]).await;
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let (ada, charles) = (at(&server, &ada), at(&server, &charles));
    ada.get(ME).await.expect(200);
    // Nobody can read the tables any more.
    let hide = async |tx: &Tx| {
        for table in ["users", "sessions"] {
            tx.execute_unprepared(&format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await?;
        }
        Ok::<_, Error>(())
    };
    app.db.db.write(hide).await.unwrap();
    ada.get(ME).await.expect(200);
    charles.get(ME).await.refused(500, "internal");
    app.db.clock.advance(TTL);
    ada.get(ME).await.refused(500, "internal");
    server.stop().await;
    app.tear_down().await;
}
