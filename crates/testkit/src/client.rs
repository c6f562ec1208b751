//! Clients of a server under test.
//!
//! ```no_run
//! # async fn example(client: groundwork_testkit::Client) {
//! use serde_json::json;
//!
//! let ada = client.register("ada").await;
//! let note = ada.post("/api/v1/notes", &json!({"title": "one"})).await.expect(201);
//! ada.post("/api/v1/notes", &json!({})).await.refused(422, "invalid");
//! # }
//! ```

use reqwest::{
    Method, RequestBuilder,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::contract::Contract;

/// The password of every account that [`Client::register`] creates.
pub const PASSWORD: &str = "Correct-Horse-1";

/// A client of a server, signed in or not.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// The access token that it sends.
    pub token: Option<String>,
    /// The refresh token that was issued with the access token.
    pub refresh_token: Option<String>,
    /// The profile of the user, as of signing in; null if it is not signed in.
    pub user: Value,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The method and the URL of the request, for messages.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: its JSON value, or a string if it is not JSON, or null if it is empty.
    pub body: Value,
}

impl Client {
    /// Creates a client that is not signed in.
    pub fn new(base: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            base: base.to_owned(),
            token: None,
            refresh_token: None,
            user: Value::Null,
        }
    }

    /// Returns the same client with another access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Returns the same client without tokens.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, refresh_token: None, user: Value::Null, ..self.clone() }
    }

    /// Returns the id of the signed-in user, or an empty string.
    pub fn id(&self) -> String {
        self.user.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Registers a user with [`PASSWORD`], and returns a client that is signed in as that user.
    pub async fn register(&self, username: &str) -> Self {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.anonymous().post("/api/v1/auth/register", &body).await;
        self.signed_in(&answer.expect(201))
    }

    /// Signs in with [`PASSWORD`], and returns a client that is signed in.
    pub async fn login(&self, username: &str) -> Self {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.anonymous().post("/api/v1/auth/login", &body).await;
        self.signed_in(&answer.expect(200))
    }

    /// Returns the same client with the tokens of a response.
    #[must_use]
    pub fn signed_in(&self, answer: &Value) -> Self {
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
        Self {
            token: text("access_token"),
            refresh_token: text("refresh_token"),
            user: answer.get("user").cloned().unwrap_or_default(),
            ..self.clone()
        }
    }

    /// Returns the base URL: `http://127.0.0.1:12345`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Builds a request, with the access token if there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Sends a POST request with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a POST request with a JSON body and an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    /// Sends a PATCH request with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Sends a PUT request with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }
}

/// Sends a request.
///
/// # Panics
///
/// If the server cannot be reached, if its OpenAPI document does not declare the status or the code of the response for
/// this operation, or if `/problems` does not list the code.
pub async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, url) = (request.method().clone(), request.url().clone());
    let line = format!("{method} {url}");
    let contract = Contract::of(&client, &url).await;
    let response = client.execute(request).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // A stream has no end.
    let is_stream = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let text = if is_stream { Ok(String::new()) } else { response.text().await };
    let text = text.unwrap_or_else(|error| panic!("{line}: {error}"));
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    let answer = Answer { request: line, status, headers, body };
    if let Some(contract) = contract {
        contract.check(&method, &url, &answer);
    }
    answer
}

impl Answer {
    /// Returns the body, and panics unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {:#}", self.request, self.body);
        self.body
    }

    /// Returns the body as a `T`, and panics unless the status is `status`.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(self, status: u16) -> T {
        let body = self.expect(status);
        serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body:#}"))
    }

    /// Returns the problem, and panics unless it is complete and has that status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}: {:#}", self.request, self.body);
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(kind, Some("application/problem+json"), "{}", self.request);
        let text = |field: &str| self.body.get(field).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(text("code"), code, "{}: {:#}", self.request, self.body);
        assert_eq!(text("type"), format!("/problems/{code}"));
        assert_eq!(self.body.get("status"), Some(&json!(status)));
        for field in ["title", "detail", "instance", "request_id"] {
            assert!(!text(field).is_empty(), "{} without {field}: {:#}", self.request, self.body);
        }
        let id = self.headers.get("x-request-id").and_then(|value| value.to_str().ok());
        assert_eq!(Some(text("request_id")), id);
        self.body
    }

    /// Returns the field errors of a 422 `invalid` as `field: code`, in order.
    #[track_caller]
    pub fn field_errors(self) -> Vec<String> {
        field_errors_of(&self.refused(422, "invalid"))
    }
}

/// Returns the field errors of a problem as `field: code`, in order.
pub fn field_errors_of(problem: &Value) -> Vec<String> {
    let errors = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let text = |error: &Value, field: &str| error.get(field).and_then(Value::as_str).map(str::to_owned);
    let mut errors: Vec<_> = errors
        .map(|error| {
            format!(
                "{}: {}",
                text(error, "field").unwrap_or_default(),
                text(error, "code").unwrap_or_default()
            )
        })
        .collect();
    errors.sort();
    errors
}
