//! The OpenAPI document, generated from the route table, and the page that shows it.
//!
//! ```
//! use groundwork_web::{Routes, openapi::{About, document}};
//!
//! let about = About {
//!     title: "Notes".to_owned(),
//!     version: "1.0.0".to_owned(),
//!     description: "Notes of users.".to_owned(),
//!     token_url: "/api/v1/auth/token".to_owned(),
//!     ..About::default()
//! };
//! assert_eq!(document(&about, &Routes::new()).unwrap().info.title, "Notes");
//! ```

pub mod describe;
pub mod schema;

use std::{collections::BTreeMap, io::Read, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentEncoding},
    web,
};
use groundwork_core::{Error, Result};
use utoipa::openapi::{
    Components, Info, OpenApi, OpenApiBuilder, PathItem, Paths,
    info::{ContactBuilder, LicenseBuilder},
    security::{Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password, Scopes, SecurityScheme},
    server::ServerBuilder,
    tag::TagBuilder,
};
use utoipa_swagger_ui::{Config, SwaggerFile, Url};

use crate::{Routes, http::compress::encoding_for};

/// The general part of the document.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The title of the API.
    pub title: String,
    /// The version of the service.
    pub version: String,
    /// The description, in Markdown.
    pub description: String,
    /// Scopes with their descriptions: those that no operation declares, and better descriptions for others.
    pub scopes: Vec<(&'static str, &'static str)>,
    /// The contact for questions about the API.
    pub contact: Option<Link>,
    /// The license of the API.
    pub license: Option<Link>,
    /// The URLs of the servers. Empty means the server of the document itself.
    pub servers: Vec<Link>,
    /// The path of the token endpoint, for the `password` flow of OAuth 2.0.
    pub token_url: String,
}

/// A name with an optional URL.
#[derive(Clone, Debug)]
pub struct Link {
    /// The name.
    pub name: String,
    /// The URL, if there is one.
    pub url: Option<String>,
}

/// Returns the document of a route table. Errors: `internal` if an operation lacks a summary, a description or a tag,
/// repeats a parameter, or has the id of another one.
pub fn document(about: &About, routes: &Routes) -> Result<OpenApi> {
    routes.check()?;
    let (mut paths, mut components) = (Paths::new(), Components::new());
    for entry in routes.entries() {
        let Some(method) = entry.method() else { continue };
        let mut one = Paths::new();
        one.paths.insert(entry.path().to_owned(), PathItem::new(method, entry.operation()));
        paths.merge(one);
        components.schemas.extend(entry.doc().schemas.iter().cloned());
    }
    let mut problem = crate::openapi::describe::OperationDoc::default();
    problem.output::<crate::http::problem::ProblemBody>();
    components.schemas.extend(problem.schemas);
    let mut written_out = serde_json::to_value(&components).map_err(Error::internal)?;
    schema::write_out(&mut written_out, &mut serde_json::Value::Null);
    let mut components: Components = serde_json::from_value(written_out).map_err(Error::internal)?;
    let mut scopes: BTreeMap<&str, &str> = routes
        .entries()
        .iter()
        .filter_map(|entry| entry.doc().scope)
        .filter(|(name, _)| !name.is_empty())
        .collect();
    scopes.extend(about.scopes.iter().copied());
    let flow = Password::with_refresh_url(
        about.token_url.as_str(),
        scopes.into_iter().collect::<Scopes>(),
        about.token_url.as_str(),
    );
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    components.add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([Flow::Password(flow)])));
    // Sorted after the password flow, as the Authorize dialog sorts by name.
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    let tags = routes.tags().iter();
    let tags = tags
        .map(|(name, text)| TagBuilder::new().name(name.as_ref()).description(Some(text.as_ref())).build());
    let mut info = Info::new(&about.title, &about.version);
    info.description = Some(about.description.clone());
    info.contact = about
        .contact
        .as_ref()
        .map(|contact| ContactBuilder::new().name(Some(&contact.name)).url(contact.url.as_ref()).build());
    info.license = about
        .license
        .as_ref()
        .map(|license| LicenseBuilder::new().name(&license.name).url(license.url.as_ref()).build());
    let here = [Link { name: "This server".to_owned(), url: None }];
    let servers = if about.servers.is_empty() { &here[..] } else { &about.servers };
    let servers = servers.iter().map(|server| {
        let url = server.url.as_deref().unwrap_or("/");
        ServerBuilder::new().url(url).description(Some(&server.name)).build()
    });
    let document = OpenApiBuilder::new().info(info).servers(Some(servers)).paths(paths);
    Ok(document.components(Some(components)).tags(Some(tags)).build())
}

/// The document as text, which is generated once.
#[derive(Clone, Debug)]
pub struct Document(Arc<str>);

impl Document {
    /// Creates the text of `document`.
    pub fn new(document: &OpenApi) -> Result<Self> {
        Ok(Self(document.to_pretty_json().map_err(Error::internal)?.into()))
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Serves the document at `/openapi.json` and the page that shows it at `/docs`.
pub fn mount(document: &Document, title: &str, config: &mut web::ServiceConfig) {
    let title = web::Data::new(PageTitle(format!("<title>{}</title>", escaped(title))));
    let document = document.clone();
    let json = move || {
        let body = document.0.to_string();
        async { HttpResponse::Ok().content_type("application/json").body(body) }
    };
    let swagger = Config::new([Url::from("/openapi.json")])
        .display_request_duration(true)
        .filter(true)
        .try_it_out_enabled(true)
        .validator_url("none")
        .use_base_layout();
    let swagger = web::Data::new(swagger);
    config.route("/openapi.json", web::get().to(json));
    config.route("/docs", web::get().to(|| async { to("/docs/index.html") }));
    config.service(
        web::resource("/docs/{file:.*}").app_data(swagger).app_data(title).route(web::get().to(page)),
    );
}

/// Returns a redirect to `path`.
pub fn to(path: &'static str) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, path)).finish()
}

/// Returns the `title` element of the page.
struct PageTitle(String);

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A file of the page. Most are in the binary as gzip, which takes a quarter of the space.
async fn page(
    request: HttpRequest,
    file: web::Path<String>,
    config: web::Data<Config<'static>>,
    title: web::Data<PageTitle>,
) -> HttpResponse {
    match utoipa_swagger_ui::serve(&file, config.into_inner()) {
        Ok(Some(file)) => served(&request, file, &title.0)
            .unwrap_or_else(|error| HttpResponse::from_error(crate::Problem(Error::internal(error)))),
        Ok(None) => HttpResponse::from_error(crate::Problem(Error::not_found("file"))),
        Err(error) => HttpResponse::from_error(crate::Problem(Error::internal(error.to_string()))),
    }
}

fn served(request: &HttpRequest, file: SwaggerFile<'_>, title: &str) -> std::io::Result<HttpResponse> {
    let is_page = file.content_type == "text/html";
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((header::VARY, "accept-encoding"))
        .content_type(file.content_type);
    if file.gzpipped && !is_page && encoding_for(request) == ContentEncoding::Gzip {
        let bytes = web::Bytes::from(file.bytes.into_owned());
        return Ok(response.insert_header(ContentEncoding::Gzip).body(bytes));
    }
    let mut bytes = Vec::new();
    if file.gzpipped {
        flate2::read::GzDecoder::new(&*file.bytes).read_to_end(&mut bytes)?;
    } else {
        bytes.extend_from_slice(&file.bytes);
    }
    if is_page && let Ok(text) = std::str::from_utf8(&bytes) {
        bytes = text.replace("<title>Swagger UI</title>", title).into_bytes();
    }
    Ok(response.body(bytes))
}
