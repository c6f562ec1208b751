//! Every response is one that the document declares. The client of the testkit checks this for each response.

use groundwork_testkit::{Client, both_databases, client::send};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::App;

const UNKNOWN: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";

type Spoil = fn(RequestBuilder) -> RequestBuilder;

/// A flaw of a request.
const FLAWS: &[(&str, Spoil)] = &[
    ("nothing", |request| request),
    ("an empty object", |request| request.json(&json!({}))),
    ("an array", |request| request.json(&json!([]))),
    ("an unknown field", |request| request.json(&json!({"unknown": 1}))),
    ("not JSON", |request| request.header("content-type", "application/json").body("{")),
    ("a form", |request| request.form(&[("unknown", "1")])),
    ("another media type", |request| request.header("content-type", "text/plain").body("x")),
    ("a large body", |request| request.json(&"x".repeat(100_000))),
    ("a key and a large body", |request| {
        request.header("idempotency-key", "large").json(&"x".repeat(100_000))
    }),
    ("a key that is too long", |request| request.header("idempotency-key", "x".repeat(300))),
    ("a key with other requests", |request| request.header("idempotency-key", "same")),
    ("a state that never was", |request| request.header("if-match", "\"never\"")),
    ("a state that is no text", |request| request.header("if-match", &b"\"\xff\""[..])),
    ("an unknown parameter", |request| request.query(&[("unknown", "1")])),
    ("parameters out of bounds", |request| {
        request.query(&[("page", "0"), ("size", "1000"), ("limit", "0"), ("cursor", "?"), ("order_by", "?")])
    }),
    ("a parameter given twice", |request| request.query(&[("page", "1"), ("page", "1")])),
    ("bytes that are no text", |request| {
        let (client, request) = request.build_split();
        let mut request = request.unwrap();
        request.url_mut().set_query(Some("q=%ff&%ff=%"));
        RequestBuilder::from_parts(client, request)
    }),
];

/// New users of each kind, as a previous request may have deactivated the account.
async fn callers(app: &App, index: usize) -> [Client; 3] {
    let user = app.user(&format!("user-{index}")).await;
    let superuser = app.user_in("superuser", &format!("superuser-{index}")).await;
    [app.client(), user, superuser]
}

/// Every flawed request gets a response that is declared for the operation.
#[both_databases]
async fn every_refusal_is_declared(app: &App) {
    let document = app.client().get("/openapi.json").await.expect(200);
    for (index, (path, item)) in document["paths"].as_object().unwrap().iter().enumerate() {
        for (caller_index, caller) in callers(app, index).await.into_iter().enumerate() {
            for method in item.as_object().unwrap().keys() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                for id in [UNKNOWN, "no-id"] {
                    let path = path.replace("{id}", id).replace("{user_id}", id).replace("{code}", id);
                    for (flaw, spoil) in FLAWS {
                        let answer = send(spoil(caller.request(method.clone(), &path))).await;
                        assert!(
                            answer.status != 500,
                            "{method} {path} with {flaw} by {caller_index}: {answer:?}"
                        );
                    }
                }
            }
        }
    }
}

/// Only operations that take an idempotency key check it.
#[both_databases]
async fn other_operations_ignore_idempotency_keys(app: &App) {
    let ada = app.user("ada").await;
    let logout = ada.request(Method::POST, "/api/v1/auth/logout").header("idempotency-key", "x".repeat(300));
    assert_eq!(send(logout).await.expect(204), Value::Null);
}
