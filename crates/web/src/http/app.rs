//! Putting a service together: its routes, its documents, and the middleware around them.
//!
//! ```
//! use groundwork_web::Routes;
//!
//! let mut routes = Routes::new();
//! groundwork_web::http::app::system_routes(&mut routes);
//! assert!(routes.codes().iter().any(|code| code.name == "not_found"));
//! ```

use std::sync::Arc;

use actix_web::{
    App, Error,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{DefaultHeaders, NormalizePath, TrailingSlash, from_fn},
    web,
};
use groundwork_core::Result;

use crate::{
    Problem, Routes,
    http::bearer::Authenticator,
    http::compress::compress,
    http::cors::cors,
    http::extract::{BodyLimit, Path},
    http::problem::{self, ProblemType},
    http::respond::Json,
    http::{request_id, request_log},
    openapi::{self, About, Document},
    service::{connection, health::Probe},
};

/// What a service decides about its shell.
#[derive(Clone, Debug)]
pub struct WebAppOptions {
    /// What the OpenAPI document says of the service.
    pub about: About,
    /// The most bytes of a request's body.
    pub body_limit: BodyLimit,
    /// The web pages, by origin, that may call the service; `*` for any. None by default.
    pub cors_origins: Vec<String>,
}

/// Everything of a service that isn't its own: made once, and shared by all workers.
#[derive(Clone, Debug)]
pub struct WebApp {
    routes: Arc<Routes>,
    document: Document,
    problems: web::Data<Vec<ProblemType>>,
    authenticator: Authenticator,
    probe: Probe,
    options: WebAppOptions,
}

impl WebApp {
    /// A shell around `routes`, to which the table of problems and the health checks are added.
    pub fn new(
        options: WebAppOptions,
        mut routes: Routes,
        authenticator: Authenticator,
        probe: Probe,
    ) -> Result<Self> {
        system_routes(&mut routes);
        let document = Document::new(&openapi::document(&options.about, &routes)?)?;
        let problems = routes.codes().into_iter().map(ProblemType::from).collect();
        Ok(Self {
            routes: Arc::new(routes),
            document,
            problems: web::Data::new(problems),
            authenticator,
            probe,
            options,
        })
    }

    /// The OpenAPI document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What health is judged by.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// An actix app with all of it. The caller adds the state of its handlers with `app_data`.
    pub fn app(
        &self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        let (routes, document) = (Arc::clone(&self.routes), self.document.clone());
        let title = self.options.about.title.clone();
        App::new()
            .app_data(self.options.body_limit)
            .app_data(self.authenticator.clone())
            .app_data(web::Data::new(self.probe.clone()))
            .app_data(web::Data::new(self.probe.db().clone()))
            .app_data(self.problems.clone())
            .configure(move |config| {
                routes.mount(config);
                openapi::mount(&document, &title, config);
                for path in ["/", "/api"] {
                    config.route(path, web::get().to(|| async { openapi::to("/docs/index.html") }));
                }
            })
            .default_service(web::to(problem::unknown_route))
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .wrap(default_headers())
            .wrap(cors(&self.options.cors_origins))
            .wrap(from_fn(problem::render))
            .wrap(from_fn(compress))
            .wrap(from_fn(request_log::record))
            .wrap(from_fn(request_id::assign))
            .wrap(from_fn(connection::in_progress))
    }
}

/// Answers are for their caller alone: tokens must not be kept by anything on the way (RFC 6749, section 5.1), and neither
/// should messages be.
fn default_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

/// Adds the operations that every service has: health, and the table of problems.
pub fn system_routes(routes: &mut Routes) {
    routes.prefix("");
    crate::service::health::routes(routes);
    routes
        .get("/problems", "problems_list", "List the error codes", problems)
        .describe("Returns every code that an operation can answer with.");
    routes
        .get("/problems/{code}", "problems_get", "Get an error code", problem)
        .describe("Describes an error code. The `type` of an error links here.")
        .errors(&[groundwork_core::error::codes::NOT_FOUND.example("there is no such kind of problem")]);
}

/// The code in the path of a problem's description.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
struct CodePath {
    /// The code.
    #[schema(example = "not_found")]
    code: String,
}

async fn problems(all: web::Data<Vec<ProblemType>>) -> Json<Problems> {
    Json(Problems { items: all.to_vec() })
}

async fn problem(
    path: Path<CodePath>,
    all: web::Data<Vec<ProblemType>>,
) -> std::result::Result<Json<ProblemType>, Problem> {
    let found = all.iter().find(|problem| problem.code == path.0.code);
    found.copied().map(Json).ok_or_else(|| groundwork_core::Error::not_found("kind of problem").into())
}

/// The table of problems.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Problems {
    /// All of them, by code.
    pub items: Vec<ProblemType>,
}
