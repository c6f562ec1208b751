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

/// The password of every account that [`Client::register`] makes.
pub const PASSWORD: &str = "Correct-Horse-1";

/// A client of a server, signed in or not.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// The access token that it shows.
    pub token: Option<String>,
    /// The refresh token that it got with it.
    pub refresh_token: Option<String>,
    /// The own profile, as it was when it signed in.
    pub user: Value,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub request: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, where it is JSON, or else a string; null where it is empty.
    pub body: Value,
}

impl Client {
    /// A client that isn't signed in.
    pub fn new(base: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            base: base.to_owned(),
            token: None,
            refresh_token: None,
            user: Value::Null,
        }
    }

    /// The same client with another access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client, not signed in.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, refresh_token: None, user: Value::Null, ..self.clone() }
    }

    /// The id of the signed-in user.
    pub fn id(&self) -> String {
        self.user.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Signs up under that name, with [`PASSWORD`].
    pub async fn register(&self, username: &str) -> Self {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.anonymous().post("/api/v1/auth/register", &body).await;
        self.signed_in(&answer.expect(201))
    }

    /// Signs in under that name, with [`PASSWORD`].
    pub async fn login(&self, username: &str) -> Self {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.anonymous().post("/api/v1/auth/login", &body).await;
        self.signed_in(&answer.expect(200))
    }

    /// The same client with the tokens of an answer.
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

    /// A request, with the access token where there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// POST with a JSON body and an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }
}

/// Sends a request that was put together by hand.
///
/// # Panics
///
/// Where the server can't be reached, and where its OpenAPI document doesn't declare the status or the code of the
/// answer for this operation, or `/problems` doesn't list the code.
pub async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, url) = (request.method().clone(), request.url().clone());
    let line = format!("{method} {url}");
    let contract = Contract::of(&client, &url).await;
    let response = client.execute(request).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_else(|error| panic!("{line}: {error}"));
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
    /// The body, provided that the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {:#}", self.request, self.body);
        self.body
    }

    /// The body as a `T`, provided that the status is `status`.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(self, status: u16) -> T {
        let body = self.expect(status);
        serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body:#}"))
    }

    /// The problem, provided that it is one of that status and code, with all that a problem has.
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

    /// The errors of a 422 `invalid`, as `field: code`, in order.
    #[track_caller]
    pub fn field_errors(self) -> Vec<String> {
        field_errors_of(&self.refused(422, "invalid"))
    }
}

/// The errors that a problem names, as `field: code`, in order.
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
