//! Profiles, search and administration.

use groundwork_testkit::{
    Client, both_databases,
    client::{PASSWORD, field_errors_of, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::App;

const ME: &str = "/api/v1/users/me";
const USERS: &str = "/api/v1/users";

fn of(user: &Client) -> String {
    format!("{USERS}/{}", user.id())
}

async fn names(client: &Client, path: &str) -> Vec<String> {
    let page = client.get(path).await.expect(200);
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}

/// A patch of the profile changes the given fields, and no others.
#[both_databases]
async fn the_own_profile_can_be_changed(app: &App) {
    let ada = app.user("ada").await;
    let all = json!({"username": "Ada-2", "email": "A@x.org", "first_name": "Ada", "last_name": "L", "bio": "e\u{301} 🎉"});
    let changed = ada.patch(ME, &all).await.expect(200);
    assert_eq!((&changed["username"], &changed["email"]), (&json!("ada-2"), &json!("a@x.org")));
    assert_eq!(changed["bio"], "e\u{301} 🎉");
    let cleared = ada.patch(ME, &json!({"bio": null})).await.expect(200);
    assert_eq!((&cleared["bio"], &cleared["first_name"]), (&Value::Null, &json!("Ada")));
    assert_eq!(ada.patch(ME, &json!({})).await.field_errors(), [": empty"]);
    assert_eq!(ada.patch(ME, &json!({"username": null})).await.field_errors(), ["username: wrong_type"]);
    assert_eq!(ada.patch(ME, &json!({"bio": "x".repeat(501)})).await.field_errors(), ["bio: too_long"]);
    assert_eq!(
        ada.patch(ME, &json!({"is_active": false})).await.field_errors(),
        ["is_active: unknown_field"]
    );
    app.user("charles").await;
    let problem = ada.patch(ME, &json!({"username": "Charles"})).await.refused(409, "name_taken");
    assert_eq!(field_errors_of(&problem), ["username: taken"]);
    assert_eq!(ada.get(ME).await.expect(200), cleared);
    ada.patch(ME, &json!({"username": "ADA-2"})).await.expect(200);
}

/// Deactivating an account ends all its sessions at once.
#[both_databases]
async fn deactivating_ends_everything(app: &App) {
    let ada = app.user("ada").await;
    let elsewhere = ada.login("ada").await;
    ada.delete(ME).await.expect(204);
    ada.get(ME).await.refused(401, "session_ended");
    elsewhere.get(ME).await.refused(401, "session_ended");
    let charles = app.user("charles").await;
    let profile = charles.get(&of(&ada)).await.expect(200);
    assert_eq!(profile["is_active"], false);
    assert!(names(&charles, &format!("{USERS}/search?q=ada")).await.is_empty());
}

/// Other users see a public profile, without e-mail address, group and scopes.
#[both_databases]
async fn others_see_a_public_profile(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let seen = ada.get(&of(&charles)).await.expect(200);
    let mut fields: Vec<_> = seen.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["bio", "created_at", "first_name", "id", "is_active", "last_name", "username"]);
    ada.get(&format!("{USERS}/0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11")).await.refused(404, "not_found");
}

/// The search finds active users by part of their name, taken literally, or by id.
#[both_databases]
async fn users_are_found(app: &App) {
    let ada = app.user("ada_l").await;
    app.user("adab").await;
    app.user("charles").await;
    assert_eq!(names(&ada, &format!("{USERS}/search?q=AD")).await, ["adab", "ada_l"]);
    assert_eq!(names(&ada, &format!("{USERS}/search?q=a_l")).await, ["ada_l"]);
    assert!(names(&ada, &format!("{USERS}/search?q=%25")).await.is_empty());
    assert_eq!(names(&ada, &format!("{USERS}/search?q={}", ada.id())).await, ["ada_l"]);
    let page = ada.get(&format!("{USERS}/search?q=a&size=2&page=2")).await.expect(200);
    assert_eq!(
        (&page["total"], &page["pages"], &page["items"][0]["username"]),
        (&json!(3), &json!(2), &json!("ada_l"))
    );
    assert_eq!(ada.get(&format!("{USERS}/search")).await.field_errors(), ["q: missing"]);
    assert_eq!(ada.get(&format!("{USERS}/search?q=")).await.field_errors(), ["q: too_short"]);
}

/// A search finds users by their first and last names too; each word must match.
#[both_databases]
async fn users_are_found_by_their_names(app: &App) {
    let ada = app.user("countess").await;
    ada.patch(ME, &json!({"first_name": "Ada", "last_name": "Lovelace"})).await.expect(200);
    let other = app.user("adam").await;
    other.patch(ME, &json!({"first_name": "Adam", "last_name": "Smith"})).await.expect(200);
    let find = async |q: &str| names(&other, &format!("{USERS}/search?q={q}")).await;
    assert_eq!(find("LOVE").await, ["countess"]);
    assert_eq!(find("ada%20lovelace").await, ["countess"]);
    assert_eq!(find("lovelace%20count").await, ["countess"]);
    assert_eq!(find("ada").await, ["adam", "countess"]);
    assert!(find("ada%20nobody").await.is_empty());
    for (q, error) in [("%20", "q: blank"), ("a%20b%20c%20d%20e%20f", "q: too_many_words")] {
        assert_eq!(other.get(&format!("{USERS}/search?q={q}")).await.field_errors(), [error]);
    }
    ada.delete(ME).await.expect(204);
    assert!(find("lovelace").await.is_empty());
}

/// Any user can get public profiles by id; only administrators can list all users.
#[both_databases]
async fn public_profiles_come_by_id(app: &App) {
    let (ada, charles, gone) = (app.user("ada").await, app.user("charles").await, app.user("gone").await);
    let admin = app.user_in("admin", "root").await;
    charles.delete(ME).await.expect(204);
    admin.delete(&of(&gone)).await.expect(204);
    let unknown = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";
    let ids = [&ada.id(), &charles.id(), &gone.id(), unknown, &ada.id()].join(",");
    let page = ada.get(&format!("{USERS}?ids={ids}")).await.expect(200);
    assert_eq!((&page["total"], &page["pages"]), (&json!(2), &json!(1)));
    let items = page["items"].as_array().unwrap();
    let seen: Vec<_> = items.iter().map(|user| (&user["username"], &user["is_active"])).collect();
    assert_eq!(seen, [(&json!("ada"), &json!(true)), (&json!("charles"), &json!(false))]);
    assert!(items.iter().all(|user| user.get("email").is_none() && user.get("group").is_none()));

    for (query, error) in [
        ("ids=", "ids: bad_value"),
        ("ids=ada", "ids: bad_value"),
        (&format!("ids={}", vec![unknown; 101].join(",")), "ids: too_long"),
        (&format!("ids={unknown}&email__ilike=x"), "ids: not_allowed"),
        (&format!("ids={unknown}&include_deleted=true"), "ids: not_allowed"),
        (&format!("ids={unknown}&page=2"), "ids: not_allowed"),
        (&format!("ids={unknown}&order_by=email"), "ids: not_allowed"),
    ] {
        assert_eq!(ada.get(&format!("{USERS}?{query}")).await.field_errors(), [error], "{query}");
    }
    let hundred = format!("{USERS}?ids={}", vec![unknown; 100].join(","));
    assert_eq!(ada.get(&hundred).await.expect(200)["total"], 0);
    ada.get(USERS).await.refused(403, "missing_scope");
    let form =
        [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", "threads:read")];
    let tokens = send(app.client().request(Method::POST, "/api/v1/auth/token").form(&form)).await;
    let narrow = ada.signed_in(&tokens.expect(200));
    narrow.get(&format!("{USERS}?ids={unknown}")).await.refused(403, "missing_scope");
}

/// Administrators can list all users, with filters.
#[both_databases]
async fn administrators_list_users(app: &App) {
    let admin = app.user_in("admin", "root").await;
    for (name, first) in [("ada", "Ada"), ("charles", "Charles")] {
        let user = app.user(name).await;
        user.patch(ME, &json!({"first_name": first, "email": format!("{name}@example.org")}))
            .await
            .expect(200);
    }
    let gone = app.user("gone").await;
    admin.delete(&of(&gone)).await.expect(204);
    let list = async |query: &str| names(&admin, &format!("{USERS}?{query}&order_by=username")).await;
    assert_eq!(list("group=regular").await, ["ada", "charles"]);
    assert_eq!(list("email__isnull=true").await, ["root"]);
    assert_eq!(list("first_name__ilike=CHA").await, ["charles"]);
    assert_eq!(list("username__in=ada,root,nobody").await, ["ada", "root"]);
    assert_eq!(list("search=example.org").await, ["ada", "charles"]);
    assert_eq!(list("include_deleted=true").await, ["ada", "charles", "gone", "root"]);
    assert_eq!(list("include_deleted=true&deleted_at__isnull=false").await, ["gone"]);
    assert_eq!(list("created_at__gt=2100-01-01T00:00:00Z").await, Vec::<String>::new());
    let errors = admin.get(&format!("{USERS}?password_hash=x&is_active=yes&size=0")).await.field_errors();
    assert_eq!(errors, ["is_active: bad_value", "password_hash: unknown_field", "size: out_of_range"]);
    gone.get(ME).await.refused(401, "session_ended");
    app.user("nobody").await.get(USERS).await.refused(403, "missing_scope");
}

/// Administrators can update, deactivate, delete and restore users, with immediate effect.
#[both_databases]
async fn administrators_manage_users(app: &App) {
    let admin = app.user_in("admin", "root").await;
    let ada = app.user("ada").await;
    let changed =
        admin.patch(&of(&ada), &json!({"email": "a@x.org", "email_confirmed": true})).await.expect(200);
    assert_eq!((&changed["email_confirmed"], &changed["deleted_at"]), (&json!(true), &Value::Null));
    let own = ada.patch(ME, &json!({"email": "b@x.org"})).await.expect(200);
    assert_eq!(own["email_confirmed"], false, "a new address is not confirmed");
    admin.patch(&of(&ada), &json!({"is_active": false})).await.expect(200);
    ada.get(ME).await.refused(401, "session_ended");
    admin.patch(&of(&ada), &json!({"is_active": true})).await.expect(200);
    ada.get(ME).await.refused(401, "session_ended");
    let ada = ada.login("ada").await;
    admin.delete(&of(&ada)).await.expect(204);
    ada.get(ME).await.refused(401, "session_ended");
    admin.delete(&of(&ada)).await.refused(404, "not_found");
    admin.patch(&of(&ada), &json!({"bio": "x"})).await.refused(404, "not_found");
    let restored = admin.post(&format!("{}/restore", of(&ada)), &Value::Null).await.expect(200);
    assert_eq!(restored["username"], "ada");
    ada.login("ada").await.get(ME).await.expect(200);
    admin.post(&format!("{}/restore", of(&ada)), &Value::Null).await.refused(404, "not_found");
}

/// An administrator cannot change superusers, and there is always a superuser.
#[both_databases]
async fn superusers_are_protected(app: &App) {
    let admin = app.user_in("admin", "admin").await;
    let root = app.user_in("superuser", "root").await;
    admin.patch(&of(&root), &json!({"email": "mine@x.org"})).await.refused(403, "forbidden");
    admin.delete(&of(&root)).await.refused(403, "forbidden");
    admin
        .put(&format!("{}/group", of(&admin)), &json!({"group": "superuser"}))
        .await
        .refused(403, "missing_scope");
    let second = app.user_in("superuser", "second").await;
    let other_admin = app.user_in("admin", "other").await;
    root.delete(&of(&second)).await.expect(204);
    root.delete(&of(&other_admin)).await.expect(204);
    for deleted in [&second, &other_admin] {
        let path = format!("{}/restore", of(deleted));
        admin.post(&path, &Value::Null).await.refused(403, "forbidden");
    }
    root.post(&format!("{}/restore", of(&other_admin)), &Value::Null).await.expect(200);
    root.delete(ME).await.refused(409, "last_superuser");
    root.delete(&of(&root)).await.refused(409, "last_superuser");
    root.patch(&of(&root), &json!({"is_active": false})).await.refused(409, "last_superuser");
    root.put(&format!("{}/group", of(&root)), &json!({"group": "admin"}))
        .await
        .refused(409, "last_superuser");
    let errors = root.put(&format!("{}/group", of(&admin)), &json!({"group": "kings"})).await.field_errors();
    assert_eq!(errors, ["group: unknown_value"]);
    root.put(&format!("{}/group", of(&admin)), &json!({"group": "superuser"})).await.expect(200);
    admin.get(ME).await.refused(401, "session_ended");
    let admin = admin.login("admin").await;
    admin.put(&format!("{}/group", of(&root)), &json!({"group": "regular"})).await.expect(200);
    root.login("root").await.get(USERS).await.refused(403, "missing_scope");
}

/// An administrator can't take over, deactivate or delete another one, but may manage their own record.
#[both_databases]
async fn administrators_have_no_power_over_each_other(app: &App) {
    let (admin, other) = (app.user_in("admin", "admin").await, app.user_in("admin", "other").await);
    for patch in [json!({"email": "mine@x.org"}), json!({"username": "mine"}), json!({"is_active": false})] {
        admin.patch(&of(&other), &patch).await.refused(403, "forbidden");
    }
    admin.delete(&of(&other)).await.refused(403, "forbidden");
    other.get(ME).await.expect(200);
    admin.patch(&of(&admin), &json!({"email": "mine@x.org"})).await.expect(200);
    let root = app.user_in("superuser", "root").await;
    root.patch(&of(&admin), &json!({"is_active": false})).await.expect(200);
    admin.get(ME).await.refused(401, "session_ended");
}

/// Changes of users are in the event log, with the user who made them.
#[both_databases]
async fn changes_are_logged(app: &App) {
    use groundwork_core::events;
    use sea_orm::EntityTrait;
    let admin = app.user_in("admin", "root").await;
    let ada = app.user("ada").await;
    ada.patch(ME, &json!({"bio": "x"})).await.expect(200);
    admin.delete(&of(&ada)).await.expect(204);
    admin.post(&format!("{}/restore", of(&ada)), &Value::Null).await.expect(200);
    let root = app.user_in("superuser", "superuser").await;
    root.put(&format!("{}/group", of(&ada)), &json!({"group": "admin"})).await.expect(200);
    let log = events::Entity::find().all(app.db.db.reader()).await.unwrap();
    let updates: Vec<_> = log.iter().filter(|event| event.kind == "user.updated").collect();
    assert!(updates.iter().all(|event| event.user_id == Some(event.subject_id)));
    let about_ada = updates.iter().filter(|event| event.subject_id.to_string() == ada.id());
    let actors: Vec<_> = about_ada.map(|event| event.actor_id.unwrap().to_string()).collect();
    assert_eq!(actors, [ada.id(), ada.id(), admin.id(), admin.id(), root.id()]);
    assert!(!format!("{log:?}").contains(PASSWORD));
}
