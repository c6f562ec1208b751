//! Assembles a service: its routes, its documents, and the middleware around them.
//!
//! ```
//! use groundwork_web::Routes;
//!
//! let mut routes = Routes::new();
//! groundwork_web::http::app::system_routes(&mut routes);
//! assert!(routes.codes().iter().any(|code| code.name == "not_found"));
//! ```

use std::{fmt, sync::Arc};

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

/// The entry point of an actix app whose responses have any body, as [`WebApp::app`] returns it. A server serves it.
pub trait AppEntry:
    ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + 'static
{
}

impl<T> AppEntry for T where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = Error,
            InitError = (),
        > + 'static
{
}

/// The options of a [`WebApp`].
#[derive(Clone, Debug)]
pub struct WebAppOptions {
    /// The general part of the OpenAPI document.
    pub about: About,
    /// The maximum size of a request's body, in bytes.
    pub body_limit: BodyLimit,
    /// The origins whose web pages may call the service; `*` for any. None by default.
    pub cors_origins: Vec<String>,
}

/// The parts of an app that are the same for every service. Created once, and shared by all workers.
#[derive(Clone, Debug)]
pub struct WebApp {
    routes: Arc<Routes>,
    document: Document,
    problems: web::Data<Vec<ProblemType>>,
    authenticator: Authenticator,
    probe: Probe,
    options: WebAppOptions,
    pages: Pages,
}

type Mount = dyn Fn(&mut web::ServiceConfig) + Send + Sync;

/// What a service serves beside its operations.
#[derive(Clone, Default)]
struct Pages(Vec<Arc<Mount>>);

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.0.len()).finish()
    }
}

impl WebApp {
    /// Creates the app for `routes`, to which the table of error codes and the health checks are added.
    pub fn new(
        options: WebAppOptions,
        mut routes: Routes,
        authenticator: Authenticator,
        probe: Probe,
    ) -> Result<Self> {
        system_routes(&mut routes);
        let document = Document::new(&openapi::document(&options.about, &routes)?)?;
        let problems = routes.codes().into_iter().map(ProblemType::from).collect();
        routes.forget_descriptions();
        Ok(Self {
            routes: Arc::new(routes),
            document,
            problems: web::Data::new(problems),
            authenticator,
            probe,
            options,
            pages: Pages::default(),
        })
    }

    /// Adds pages or files of the service, which are not in the OpenAPI document. They take precedence over those of this
    /// library: over `/`, which redirects to the documentation, and over `/docs/…`.
    #[must_use]
    pub fn with_page(mut self, mount: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) -> Self {
        self.pages.0.push(Arc::new(mount));
        self
    }

    /// Returns the OpenAPI document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Returns the probe of the health checks.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Returns an actix app. The caller adds the state of its handlers with `app_data`.
    pub fn app(&self) -> App<impl AppEntry + use<>> {
        let (routes, document) = (Arc::clone(&self.routes), self.document.clone());
        let title = self.options.about.title.clone();
        let pages = self.pages.clone();
        App::new()
            .app_data(self.options.body_limit)
            .app_data(self.authenticator.clone())
            .app_data(web::Data::new(self.probe.clone()))
            .app_data(web::Data::new(self.probe.db().clone()))
            .app_data(self.problems.clone())
            .configure(move |config| {
                for mount in pages.0 {
                    mount(config);
                }
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

/// Responses must not be cached: they contain tokens (RFC 6749, section 5.1) and private data.
fn default_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

/// Adds the operations that every service has: the health checks and the table of error codes.
pub fn system_routes(routes: &mut Routes) {
    routes.prefix("");
    crate::service::health::routes(routes);
    routes
        .get("/problems", "problems_list", "List the error codes", problems)
        .describe("Returns every error code of the API.");
    routes
        .get("/problems/{code}", "problems_get", "Get an error code", problem)
        .describe("Returns an error code with its status and title. The `type` of an error links here.")
        .errors(&[groundwork_core::error::codes::NOT_FOUND.example("there is no such error code")]);
}

/// An error code in the path.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
struct CodePath {
    /// The error code.
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
    found.copied().map(Json).ok_or_else(|| groundwork_core::Error::not_found("error code").into())
}

/// The error codes of the service.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Problems {
    /// The error codes, sorted by code.
    pub items: Vec<ProblemType>,
}
