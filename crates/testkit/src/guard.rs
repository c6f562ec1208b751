//! The authorization test of resources. It covers every resource in the OpenAPI document.
//!
//! ```no_run
//! # async fn example(server: groundwork_testkit::TestServer) {
//! use groundwork_testkit::guard::every_resource_is_guarded;
//!
//! every_resource_is_guarded(&server.client(), &["rule"]).await; // rules belong to everybody
//! # }
//! ```

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    Answer, Client,
    client::{PASSWORD, send},
};

/// An operation of a resource.
struct Operation {
    method: Method,
    path: String,
    action: String,
    scope: String,
}

/// Asserts that every operation of every resource refuses callers who are not signed in, who lack the scope, and who ask
/// for another user's row. The rows of the resources named in `shared` may be seen and changed by everybody.
///
/// Rows are created from the examples in the document, which tests the examples as well.
pub async fn every_resource_is_guarded(client: &Client, shared: &[&str]) {
    let document = client.get("/openapi.json").await.expect(200);
    let creates = operations(&document, "create");
    for create in creates {
        let name = create.1["name"].as_str().unwrap_or_default().to_owned();
        let owner = client.register(&format!("owner-of-{name}")).await;
        let stranger = client.register(&format!("no-owner-of-{name}")).await;
        let body = body_of(&document, &create.0);
        let made = owner.post(&create.0.path, &body).await.expect(201);
        let id = made.get("id").and_then(Value::as_str).unwrap_or_default();
        let of_resource = all_operations(&document).into_iter();
        for (operation, mark) in of_resource.filter(|(_, mark)| mark["name"] == create.1["name"]) {
            let what = format!("{} {}", operation.method, operation.path);
            let path = operation.path.replace("{id}", id);
            let body = match operation.action.as_str() {
                "create_bulk" => json!({"items": [body.clone()]}),
                "create" => body.clone(),
                "update" => body_of(&document, &operation),
                _ => Value::Null,
            };
            call(&client.anonymous(), &operation, &path, &body).await.refused(401, "unauthenticated");
            let forged = client.with_token("no.such.token");
            call(&forged, &operation, &path, &body).await.refused(401, "invalid_token");
            let without = with_other_scopes(&document, &owner, &operation.scope).await;
            call(&without, &operation, &path, &body).await.refused(403, "missing_scope");
            let on_a_row = operation.path.contains("{id}");
            if on_a_row && !shared.contains(&name.as_str()) {
                let status = call(&stranger, &operation, &path, &body).await.status;
                let seen = mark["action"] == "get" && status == 200;
                assert!(seen || matches!(status, 403 | 404), "{what} by a stranger: {status}");
            }
        }
        let path = create.0.path.clone() + "/" + id;
        assert_eq!(owner.get(&path).await.expect(200), made, "{name}: the refused requests changed nothing");
    }
}

fn all_operations(document: &Value) -> Vec<(Operation, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let mark = &operation["x-resource"];
            if mark.is_null() {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let operation = Operation {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"),
                path: path.clone(),
                action: text(&mark["action"]),
                scope: text(&operation["security"][0]["oauth2"][0]),
            };
            found.push((operation, mark.clone()));
        }
    }
    found
}

fn operations(document: &Value, action: &str) -> Vec<(Operation, Value)> {
    all_operations(document).into_iter().filter(|(operation, _)| operation.action == action).collect()
}

/// Returns the body of an operation from the document's examples.
fn body_of(document: &Value, operation: &Operation) -> Value {
    let method = operation.method.as_str().to_lowercase();
    let schema =
        &document["paths"][&operation.path][method]["requestBody"]["content"]["application/json"]["schema"];
    example(document, schema)
}

fn example(document: &Value, schema: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        return example(document, document.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null));
    }
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let shown = fields.filter(|(name, field)| {
        field.get("example").is_some() || required.iter().any(|required| required == *name)
    });
    let object: Map<String, Value> =
        shown.map(|(name, field)| (name.clone(), example(document, field))).collect();
    if !object.is_empty() {
        return Value::Object(object);
    }
    match schema["type"].as_str() {
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ if schema["format"] == "date-time" => json!("2026-01-31T09:30:00Z"),
        _ if schema["format"] == "uuid" => json!("0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11"),
        _ => json!("text"),
    }
}

/// Returns the same user with a token for all scopes but one.
async fn with_other_scopes(document: &Value, user: &Client, scope: &str) -> Client {
    let all = &document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["scopes"];
    let names = all.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let others: Vec<_> = names.filter(|name| *name != scope).collect();
    let username = user.user.get("username").and_then(Value::as_str).unwrap_or_default();
    let others = others.join(" ");
    let form =
        [("grant_type", "password"), ("username", username), ("password", PASSWORD), ("scope", &others)];
    let answer = send(user.anonymous().request(Method::POST, "/api/v1/auth/token").form(&form)).await;
    user.signed_in(&answer.expect(200))
}

async fn call(client: &Client, operation: &Operation, path: &str, body: &Value) -> Answer {
    let request = client.request(operation.method.clone(), path);
    send(if body.is_null() { request } else { request.json(body) }).await
}
