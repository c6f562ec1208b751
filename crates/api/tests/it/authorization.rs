//! Who may do what, over the whole OpenAPI document. An operation without a case here fails the test.

use std::collections::BTreeSet;

use groundwork_testkit::{
    Answer, Client, both_databases,
    client::{PASSWORD, send},
    guard::every_resource_is_guarded,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{App, Talks};

/// What an operation requires of its caller.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Nothing.
    Public,
    /// The scope that the document names.
    Scope,
    /// The scope, and a right to the row. A participant without the right gets the first status (2xx if every participant
    /// has it), and a stranger the second.
    Row(u16, u16),
}

use Rule::{Public, Row, Scope};

/// Every operation, with its requirement.
const RULES: &[(&str, Rule)] = &[
    ("auth_change_password", Scope),
    ("auth_end_other_sessions", Scope),
    ("auth_end_session", Row(404, 404)),
    ("auth_keys", Public),
    ("auth_login", Public),
    ("auth_logout", Scope),
    ("auth_refresh", Public),
    ("auth_register", Public),
    ("auth_sessions", Scope),
    ("auth_token", Public),
    ("health_get", Public),
    ("health_live", Public),
    ("health_ready", Public),
    ("messages_context", Row(200, 404)),
    ("messages_delete", Row(403, 404)),
    ("messages_delivered", Row(404, 404)),
    ("messages_edit", Row(403, 404)),
    ("messages_get", Row(200, 404)),
    ("messages_inbox", Scope),
    ("messages_list", Row(403, 403)),
    ("messages_outbox", Scope),
    ("messages_read", Row(404, 404)),
    ("messages_receipts", Row(200, 404)),
    ("messages_send", Scope),
    ("participants_get", Row(200, 404)),
    ("participants_list", Row(200, 404)),
    ("participants_remove", Row(403, 404)),
    ("participants_set_role", Row(403, 404)),
    ("participants_update", Row(403, 404)),
    ("problems_get", Public),
    ("problems_list", Public),
    ("realtime_events", Scope),
    ("realtime_socket", Public),
    ("realtime_sync", Scope),
    ("threads_changes", Row(200, 404)),
    ("threads_create", Scope),
    ("threads_delete", Row(403, 404)),
    ("threads_delivered", Row(200, 404)),
    ("threads_get", Row(200, 404)),
    ("threads_list", Scope),
    ("threads_messages", Row(200, 404)),
    ("threads_read", Row(200, 404)),
    ("threads_send", Row(201, 404)),
    ("threads_update", Row(403, 404)),
    ("users_deactivate_me", Scope),
    ("users_delete", Scope),
    ("users_end_sessions", Scope),
    ("users_get", Scope),
    ("users_list", Scope),
    ("users_me", Scope),
    ("users_presence", Scope),
    ("users_restore", Scope),
    ("users_search", Scope),
    ("users_set_group", Scope),
    ("users_update", Scope),
    ("users_update_me", Scope),
];

/// Users, threads and messages for the requests.
struct World {
    owner: Client,
    member: Client,
    second: Client,
    stranger: Client,
    superuser: Client,
    deleted: String,
    group: String,
    by_owner: String,
    by_member: String,
    session: String,
}

impl World {
    async fn new(app: &App, index: usize) -> Self {
        let owner = app.user(&format!("owner-{index}")).await;
        let member = app.user(&format!("member-{index}")).await;
        let stranger = app.user(&format!("stranger-{index}")).await;
        let superuser = app.user_in("superuser", &format!("superuser-{index}")).await;
        let deleted = app.user(&format!("deleted-{index}")).await.id();
        superuser.delete(&format!("/api/v1/users/{deleted}")).await.expect(204);
        let second = app.user(&format!("second-{index}")).await;
        let group = owner.starts_group("Engines", &[&member, &second]).await;
        let by_owner = owner.says(&group, "from the owner").await.id.to_string();
        let by_member = member.says(&group, "from the member").await.id.to_string();
        let sessions = owner.get("/api/v1/auth/sessions").await.expect(200);
        let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
        Self { owner, member, second, stranger, superuser, deleted, group, by_owner, by_member, session }
    }

    /// A request that an authorized caller may send: path parameters filled in, and a body if the operation takes one.
    fn request(&self, id: &str, path: &str) -> (String, Value) {
        let (stranger, owner) = (self.stranger.id(), self.owner.id());
        let of = |id: &str| path.replace("{id}", id);
        let text = json!({"text": "hello"});
        match id {
            "auth_logout"
            | "auth_sessions"
            | "auth_end_other_sessions"
            | "threads_list"
            | "messages_inbox"
            | "messages_outbox"
            | "realtime_events"
            | "realtime_sync"
            | "users_me"
            | "users_list"
            | "users_deactivate_me" => (path.to_owned(), Value::Null),
            "auth_change_password" => {
                (path.to_owned(), json!({"current_password": PASSWORD, "new_password": "battery staple 2"}))
            }
            "messages_list" => (format!("{path}?user={owner}"), Value::Null),
            "messages_send" => (path.to_owned(), json!({"receiver_id": stranger, "text": "hello"})),
            "messages_read" | "messages_delivered" => (of(&self.by_member), Value::Null),
            "messages_edit" => (of(&self.by_owner), text),
            "messages_get" | "messages_context" | "messages_delete" | "messages_receipts" => {
                (of(&self.by_owner), Value::Null)
            }
            "threads_create" => (path.to_owned(), json!({"type": "direct", "participant_ids": [stranger]})),
            "threads_update" => (of(&self.group), json!({"name": "Others"})),
            "threads_send" => (of(&self.group), text),
            "threads_read" | "threads_delivered" => (of(&self.group), json!({})),
            "threads_get" | "threads_delete" | "threads_messages" | "threads_changes"
            | "participants_list" => (of(&self.group), Value::Null),
            "participants_update" => (of(&self.group), json!({"add": [stranger]})),
            "participants_get" => (of(&self.group).replace("{user_id}", &self.owner.id()), Value::Null),
            "participants_remove" => (of(&self.group).replace("{user_id}", &self.second.id()), Value::Null),
            "participants_set_role" => {
                (of(&self.group).replace("{user_id}", &self.member.id()), json!({"role": "admin"}))
            }
            "users_update_me" => (path.to_owned(), json!({"bio": "new"})),
            "users_presence" => (format!("{path}?ids={stranger}"), Value::Null),
            "users_search" => (format!("{path}?q=owner"), Value::Null),
            "users_update" => (of(&stranger), json!({"bio": "new"})),
            "auth_end_session" => (of(&self.session), Value::Null),
            "users_get" | "users_delete" | "users_end_sessions" => (of(&stranger), Value::Null),
            "users_restore" => (of(&self.deleted), Value::Null),
            "users_set_group" => (of(&stranger), json!({"group": "admin"})),
            other => panic!("{other} has no request in World::request"),
        }
    }
}

async fn call(client: &Client, method: &Method, path: &str, body: &Value) -> Answer {
    let request = client.request(method.clone(), path);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// Every operation of the document: method, path, id, and the scope that it names. Those of plain resources are for
/// [`every_resource_is_guarded`].
fn operations(document: &Value) -> Vec<(Method, String, String, Option<String>)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("x-resource").is_some() {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let scopes = operation["security"][0]["oauth2"].as_array();
            let scope =
                scopes.map(|scopes| scopes.first().and_then(Value::as_str).unwrap_or_default().to_owned());
            all.push((method, path.clone(), id, scope));
        }
    }
    all
}

/// Every operation of every plain resource checks the caller.
#[both_databases]
async fn resources_are_guarded(app: &App) {
    every_resource_is_guarded(&app.client(), &[]).await;
}

/// Every operation enforces its requirement, and serves a caller who meets it.
#[both_databases]
async fn every_operation_asks_what_its_rule_says(app: &App) {
    let document = app.client().get("/openapi.json").await.expect(200);
    let operations = operations(&document);
    let documented: BTreeSet<&str> = operations.iter().map(|(_, _, id, _)| id.as_str()).collect();
    let ruled: BTreeSet<&str> = RULES.iter().map(|(id, _)| *id).collect();
    assert_eq!(documented, ruled, "each operation needs a rule here, and no other");

    let all_scopes =
        document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["scopes"].clone();
    for (index, (method, path, id, scope)) in operations.iter().enumerate() {
        let (_, rule) = RULES.iter().find(|(known, _)| known == id).unwrap();
        assert_eq!(scope.is_none(), *rule == Public, "{id}: the document and the rule disagree");
        let Some(scope) = scope else { continue };
        let world = World::new(app, index).await;
        let (path, body) = world.request(id, path);

        let anonymous = call(&world.owner.anonymous(), method, &path, &body).await;
        anonymous.refused(401, "unauthenticated");
        let bad = call(&world.owner.with_token("no.such.token"), method, &path, &body).await;
        bad.refused(401, "invalid_token");

        if !scope.is_empty() {
            let others: Vec<_> =
                all_scopes.as_object().unwrap().keys().filter(|name| *name != scope).cloned().collect();
            let form = [
                ("grant_type", "password"),
                ("username", &format!("superuser-{index}")),
                ("password", PASSWORD),
                ("scope", &others.join(" ")),
            ];
            let tokens = send(app.client().request(Method::POST, "/api/v1/auth/token").form(&form)).await;
            let without = world.superuser.signed_in(&tokens.expect(200));
            call(&without, method, &path, &body).await.refused(403, "missing_scope");
        }
        if let Row(as_member, as_stranger) = rule {
            let stranger = call(&world.stranger, method, &path, &body).await;
            assert_eq!(stranger.status, *as_stranger, "{id} by a stranger: {:#}", stranger.body);
            let member = call(&world.member, method, &path, &body).await;
            assert_eq!(member.status, *as_member, "{id} by a participant: {:#}", member.body);
        }
        let by_admin = id.starts_with("users_") && !id.ends_with("_me") && id != "users_presence";
        let right = if by_admin { &world.superuser } else { &world.owner };
        let done = call(right, method, &path, &body).await;
        assert!((200..300).contains(&done.status), "{id} by the right one: {} {:#}", done.status, done.body);
    }
}
