//! Accounts, and the authorization of every resource.

use groundwork_testkit::{both_databases, client::PASSWORD, guard::every_resource_is_guarded};
use serde_json::json;

use crate::support::App;

/// Every operation of every resource checks the caller.
#[both_databases]
async fn resources_are_guarded(app: &App) {
    every_resource_is_guarded(&app.client(), &[]).await;
}

/// A user registers once, and signs in regardless of the case of the name.
#[both_databases]
async fn users_sign_up_and_in(app: &App) {
    let ada = app.client().register("Ada").await;
    assert_eq!(ada.user["username"], "ada");
    let again = json!({"username": "ADA", "password": PASSWORD});
    app.client().post("/api/v1/auth/register", &again).await.refused(409, "conflict");
    app.client().login("aDa").await;
    let wrong = json!({"username": "ada", "password": "Wrong-Horse-1"});
    app.client().post("/api/v1/auth/login", &wrong).await.refused(401, "bad_credentials");
}

/// A user changes the password, which ends the other sessions; the most common passwords are refused.
#[both_databases]
async fn users_change_their_password(app: &App) {
    let ada = app.client().register("ada").await;
    let elsewhere = ada.login("ada").await;
    let change = |new: &str| json!({"current_password": PASSWORD, "new_password": new});
    let weak = ada.put("/api/v1/auth/password", &change("Password1")).await;
    assert_eq!(weak.field_errors(), ["new_password: too_common"]);
    ada.put("/api/v1/auth/password", &change("battery staple 2")).await.expect(204);
    ada.put("/api/v1/auth/password", &change("battery staple 3")).await.refused(403, "wrong_password");
    elsewhere.put("/api/v1/auth/password", &change("x")).await.refused(401, "session_ended");
    let login = json!({"username": "ada", "password": "battery staple 2"});
    app.client().post("/api/v1/auth/login", &login).await.expect(200);
}

/// A user sees their sessions, and ends one of them, or all others.
#[both_databases]
async fn users_end_their_sessions(app: &App) {
    let ada = app.client().register("ada").await;
    let (second, third) = (ada.login("ada").await, ada.login("ada").await);
    let found = ada.get("/api/v1/auth/sessions").await.expect(200);
    let current: Vec<_> = found["items"].as_array().unwrap().iter().map(|one| &one["is_current"]).collect();
    assert_eq!(current, [false, false, true]);
    let id = found["items"][0]["id"].as_str().unwrap();
    ada.delete(&format!("/api/v1/auth/sessions/{id}")).await.expect(204);
    third.get("/api/v1/auth/sessions").await.refused(401, "session_ended");
    second.get("/api/v1/auth/sessions").await.expect(200);
    ada.delete("/api/v1/auth/sessions").await.expect(204);
    second.get("/api/v1/auth/sessions").await.refused(401, "session_ended");
    assert_eq!(ada.get("/api/v1/auth/sessions").await.expect(200)["total"], 1);
}
