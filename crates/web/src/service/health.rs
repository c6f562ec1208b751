//! Health checks: whether the process responds, and whether it accepts requests.
//!
//! ```
//! let mut routes = groundwork_web::Routes::new();
//! groundwork_web::service::health::routes(&mut routes); // /health, /health/live, /health/ready
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode, web::Data};
use groundwork_core::Db;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Routes,
    openapi::describe::{DescribeOutput, OperationDoc},
};

/// The result of a health check.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, `draining` while the server is shutting down, or `failing`.
    #[schema(example = "ok")]
    pub status: String,
    /// `ok`, `unreachable`, or `unchecked` if the check does not include the database.
    #[schema(example = "ok")]
    pub db: String,
    /// `ok`, or `unused` while it is away or behind and the primary answers all reads; only with a replica. It does not change
    /// the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ok")]
    pub replica: Option<String>,
    /// The version of the service.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Live delivery, if the service has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub live: Option<LiveHealth>,
}

/// The state of live delivery on this server. It does not change the status: events that come late are not lost.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LiveHealth {
    /// `local` for a single server, `connected`, or `disconnected` while NATS is out of reach.
    #[schema(example = "local")]
    pub bus: String,
    /// How far delivery is behind the event log, in milliseconds.
    #[schema(example = 0)]
    pub log_lag_ms: u64,
    /// The number of open connections.
    #[schema(example = 2)]
    pub connections: u64,
}

/// A part of the service that delivers events live, for the health checks and for stopping.
pub trait Live: fmt::Debug + Send + Sync {
    /// Returns its state.
    fn health(&self) -> LiveHealth;
    /// Ends its connections, as the server stops.
    fn shut_down(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Checks the health of the service. Kept as app data.
#[derive(Clone, Debug)]
pub struct Probe {
    db: Db,
    version: &'static str,
    draining: Arc<AtomicBool>,
    live: Option<Arc<dyn Live>>,
}

impl Probe {
    /// Creates a probe of a database.
    pub fn new(db: Db, version: &'static str) -> Self {
        Self { db, version, draining: Arc::default(), live: None }
    }

    /// Returns the same probe with the live part of the service.
    #[must_use]
    pub fn with_live(self, live: Arc<dyn Live>) -> Self {
        Self { live: Some(live), ..self }
    }

    /// Ends the connections of the live part.
    pub(crate) async fn shut_down(&self) {
        if let Some(live) = &self.live {
            live.shut_down().await;
        }
    }

    /// Marks the service as shutting down: `/health/ready` returns 503 from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    async fn look(&self) -> Checked {
        let (db, replica) = tokio::join!(self.db.ping(), self.db.ping_replica());
        if let Err(error) = &db {
            tracing::warn!(%error, "the database does not answer");
        }
        let draining = self.draining.load(Ordering::Relaxed);
        let status = match db {
            Ok(()) if draining => "draining",
            Ok(()) => "ok",
            Err(_) => "failing",
        };
        let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Checked(
            code,
            Health {
                status: status.to_owned(),
                db: if db.is_ok() { "ok" } else { "unreachable" }.to_owned(),
                replica: replica.map(|is_used| if is_used { "ok" } else { "unused" }.to_owned()),
                version: self.version.to_owned(),
                live: self.live.as_ref().map(|live| live.health()),
            },
        )
    }
}

struct Checked(StatusCode, Health);

impl Responder for Checked {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::build(self.0).json(self.1)
    }
}

impl DescribeOutput for Checked {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.output::<Health>();
        doc.answer(200, "Healthy", Some(content.clone()));
        doc.answer(503, "Not ready", Some(content));
    }
}

/// Adds `/health`, `/health/live` and `/health/ready`.
pub fn routes(routes: &mut Routes) {
    routes.tag("system", "Health checks and the list of error codes.");
    routes
        .get("/health", "health_get", "Check the service", ready)
        .describe("Returns the status of the service and its database.");
    routes
        .get("/health/live", "health_live", "Check whether the process responds", live)
        .describe("For an orchestrator: restart the process if this fails. The database is not checked.");
    routes
        .get("/health/ready", "health_ready", "Check whether the service accepts requests", ready)
        .describe(
            "For a load balancer: fails while the database is unreachable and while the service shuts down.",
        );
}

async fn ready(probe: Data<Probe>) -> Checked {
    probe.look().await
}

async fn live(probe: Data<Probe>) -> Checked {
    let health = Health {
        status: "ok".to_owned(),
        db: "unchecked".to_owned(),
        replica: None,
        version: probe.version.to_owned(),
        live: None,
    };
    Checked(StatusCode::OK, health)
}
