//! What all responses have in common: problems, request ids, health, documents, and no internal causes.

use api::app::VERSION;
use groundwork_core::{Db, Error};
use groundwork_testkit::{Backend, Client, Fixture, TestServer, both_databases, client::send};
use groundwork_web::{
    Json, Problem, Routes, WebApp, WebAppOptions,
    http::bearer::Authenticator,
    http::extract::BodyLimit,
    openapi::About,
    service::health::{Health, Probe},
};
use reqwest::Method;
use serde_json::json;

use crate::support::App;

/// A messenger that allows one origin.
struct WithCors(App);

impl Fixture for WithCors {
    async fn set_up(backend: Backend) -> Self {
        Self(App::with_settings(backend, &[("CORS_ORIGINS", "https://chat.example.org")]).await)
    }

    async fn tear_down(self) {
        self.0.tear_down().await;
    }
}

async fn preflight(client: &Client, origin: &str) -> Option<String> {
    let request = client.request(Method::OPTIONS, "/api/v1/messages").header("origin", origin);
    let answer = send(request.header("access-control-request-method", "POST")).await;
    answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
}

/// A service with a handler that panics, and one that fails.
fn faulty(db: &Db) -> TestServer {
    async fn panics() -> Result<Json<Health>, Problem> {
        panic!("the secret cause")
    }
    async fn fails() -> Result<Json<Health>, Problem> {
        Err(Error::internal("the secret cause").into())
    }
    let mut routes = Routes::new();
    routes.tag("errors", "FieldErrors");
    routes.get("/panics", "faults_panic", "Panic", panics).describe("Panics.");
    routes.get("/fails", "faults_fail", "Fail", fails).describe("Fails.");
    let about = About {
        title: "FieldErrors".to_owned(),
        version: VERSION.to_owned(),
        description: String::new(),
        token_url: "/token".to_owned(),
        ..About::default()
    };
    let options = WebAppOptions { about, body_limit: BodyLimit::default(), cors_origins: Vec::new() };
    let nobody = Authenticator::new(|_| async { Err(Error::internal("nobody")) });
    let shell = WebApp::new(options, routes, nobody, Probe::new(db.clone(), VERSION)).unwrap();
    TestServer::start(move || shell.app())
}

/// An unknown path or method is a problem like any other error.
#[both_databases]
async fn unknown_routes_and_methods(app: &App) {
    let client = app.client();
    for path in [
        "/nothing",
        "/api/v1/nothing",
        "/api/v2/users",
        "/health/nothing",
        "/docs/nothing.js",
        "/%2e%2e/etc/passwd",
    ] {
        client.get(path).await.refused(404, "not_found");
    }
    let wrong = client.delete("/api/v1/messages").await;
    assert_eq!(wrong.headers["allow"], "POST, GET");
    wrong.refused(405, "method_not_allowed");
    client.put("/api/v1/auth/login", &json!({})).await.refused(405, "method_not_allowed");
    let ada = app.user("ada").await;
    ada.get("/api/v1/threads/").await.expect(200);
    ada.get("//api/v1//users/me/").await.expect(200);
    let head = send(ada.request(Method::HEAD, "/api/v1/users/me")).await;
    assert_eq!((head.status, head.body), (200, json!(null)));
    let long = format!("/api/v1/users/search?q={}", "x".repeat(1000));
    assert_eq!(ada.get(&long).await.field_errors(), ["q: too_long"]);
}

/// The request's id is used if it is valid, and replaced otherwise; every response has one.
#[both_databases]
async fn requests_have_ids(app: &App) {
    let id_for = async |given: Option<&str>| {
        let request = app.client().request(Method::GET, "/api/v1/users/me");
        let request = if let Some(id) = given { request.header("x-request-id", id) } else { request };
        send(request).await.refused(401, "unauthenticated")["request_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id_for(Some("trace-42")).await, "trace-42");
    for bad in [None, Some("two words"), Some(&*"x".repeat(129))] {
        let id = id_for(bad).await;
        assert_eq!((id.len(), Some(id.as_str()) != bad), (36, true));
    }
    assert!(app.client().get("/health").await.headers.contains_key("x-request-id"));
}

/// The health checks report the status of the service and its database, and no cause.
#[both_databases]
async fn health_tells_of_the_database(app: &App) {
    let client = app.client();
    let live = json!({"bus": "local", "connections": 0, "log_lag_ms": 0});
    let well = json!({"status": "ok", "db": "ok", "version": VERSION, "live": live});
    assert_eq!(client.get("/health").await.expect(200), well);
    assert_eq!(client.get("/health/ready").await.expect(200), well);
    let ada = app.user("ada").await;
    app.db.db.clone().close().await.unwrap();
    let ill = client.get("/health").await.expect(503);
    assert_eq!((&ill["status"], &ill["db"]), (&json!("failing"), &json!("unreachable")));
    client.get("/health/live").await.expect(200);
    let answer = ada.get("/api/v1/users/me").await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.refused(503, "unavailable");
    let login = json!({"username": "ada", "password": "x"});
    let body = client.post("/api/v1/auth/login", &login).await.refused(503, "unavailable").to_string();
    assert!(!body.to_lowercase().contains("pool") && !body.contains("sql"), "{body}");
}

/// The binary serves the documents.
#[both_databases]
async fn documents_are_served(app: &App) {
    let client = app.client();
    let document = client.get("/openapi.json").await.expect(200);
    assert_eq!(document["info"]["title"], "Actix Messenger");
    for path in ["/api", "/docs", "/docs/"] {
        let page = client.get(path).await.expect(200);
        let page = page.as_str().unwrap();
        assert!(page.contains("swagger-ui") && page.contains("<title>Actix Messenger</title>"), "{path}");
    }
    let script = client.get("/docs/swagger-ui-bundle.js").await.expect(200);
    assert!(
        script.as_str().unwrap().contains("SwaggerUIBundle"),
        "a caller that does not accept gzip gets none"
    );
    let start = client.get("/docs/swagger-initializer.js").await.expect(200);
    let start = start.as_str().unwrap();
    assert!(
        start.contains("/openapi.json") && start.contains("BaseLayout"),
        "no bar for another URL: {start}"
    );
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().next().unwrap(), "oauth2", "signing in with a password comes first");
}

/// Every code in the document is listed at `/problems`.
#[both_databases]
async fn problems_are_described(app: &App) {
    let client = app.client();
    let table = client.get("/problems").await.expect(200);
    let codes: Vec<_> =
        table["items"].as_array().unwrap().iter().map(|item| item["code"].as_str().unwrap()).collect();
    let document = client.get("/openapi.json").await.expect(200).to_string();
    for part in document.split("\"/problems/").skip(1) {
        let code = &part[..part.find('"').unwrap()];
        assert!(code == "{code}" || codes.contains(&code), "{code}");
    }
    let one = client.get("/problems/already_read").await.expect(200);
    assert_eq!(one, json!({"code": "already_read", "status": 409, "title": "The message has been read"}));
    client.get("/problems/nonsense").await.refused(404, "not_found");
}

/// A panic or an internal error is a 500 that does not show its cause, and the service continues.
#[both_databases]
async fn panics_are_survived(app: &App) {
    let server = faulty(&app.db.db);
    for path in ["/panics", "/fails", "/panics"] {
        let body = server.client().get(path).await.refused(500, "internal").to_string();
        assert!(!body.contains("secret cause"));
    }
    server.client().get("/health").await.expect(200);
    server.stop().await;
}

/// Pages of the configured origin may call the service, and no others.
#[both_databases]
async fn only_known_origins_may_call(app: &WithCors) {
    let client = app.0.client();
    let known = "https://chat.example.org";
    assert_eq!(preflight(&client, known).await.as_deref(), Some(known));
    assert_eq!(preflight(&client, "https://evil.example.org").await, None);
    let answer = send(client.request(Method::GET, "/health").header("origin", known)).await;
    assert_eq!(answer.headers["access-control-allow-origin"], known);
}

/// A page may read the headers that clients need, by name.
#[both_databases]
async fn pages_may_read_headers(app: &WithCors) {
    let request = app.0.client().request(Method::GET, "/health").header("origin", "https://chat.example.org");
    let answer = send(request).await;
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    for header in ["x-request-id", "etag", "retry-after", "idempotency-replayed"] {
        assert!(exposed.split(", ").any(|one| one == header), "{header} is not in {exposed}");
    }
}

/// Large responses are compressed if the caller accepts it; small ones are not.
#[both_databases]
async fn large_answers_are_compressed(app: &App) {
    let get = async |path: &str, accepted: Option<&str>| {
        let request = app.client().request(Method::GET, path);
        let request =
            accepted.into_iter().fold(request, |request, text| request.header("accept-encoding", text));
        let response = request.send().await.unwrap();
        let encoding =
            response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        (encoding, response.bytes().await.unwrap().len())
    };
    let (encoding, plain) = get("/openapi.json", None).await;
    assert_eq!(encoding, None);
    let (encoding, compressed) = get("/openapi.json", Some("br, gzip")).await;
    assert_eq!(encoding.as_deref(), Some("gzip"));
    assert!(compressed * 4 < plain, "{compressed} of {plain} bytes");
    assert_eq!(get("/openapi.json", Some("gzip;q=0")).await.0, None);
    assert_eq!(get("/health", Some("gzip")).await.0, None);
}

/// By default no page of another origin may call.
#[both_databases]
async fn no_origin_by_default(app: &App) {
    assert_eq!(preflight(&app.client(), "https://chat.example.org").await, None);
}
