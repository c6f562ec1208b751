//! The AsyncAPI document of live delivery, generated from the types of the frames, and the page that shows it.
//!
//! The frames of every service are in it. A service adds its own events and frames:
//!
//! ```
//! use groundwork_realtime::asyncapi::Contract;
//! use groundwork_web::openapi::About;
//! use serde::Serialize;
//! use utoipa::ToSchema;
//!
//! /// A bookmark.
//! #[derive(Serialize, ToSchema)]
//! struct Bookmark {
//!     /// The title.
//!     title: String,
//! }
//!
//! let about = About { title: "Bookmarks".to_owned(), ..About::default() };
//! let contract = Contract::new().event::<Bookmark>("bookmark.created", "bookmark", "A bookmark was created.");
//! let document = contract.document(&about, "/api/v1").unwrap();
//! assert!(document.as_str().contains("bookmark_id"));
//! ```

mod build;
mod page;
mod sample;
mod schemas;

use std::sync::Arc;

use actix_web::{HttpResponse, http::header, web};
use groundwork_core::{Error, Result, Uuid};
use groundwork_web::{
    Resource,
    openapi::{About, describe::OperationDoc},
};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    control::{ControlFrame, HintData},
    crud::LiveResource,
    frame::EventFrame,
    socket::ClientFrame,
    sync::SyncPage,
};

/// The page loads its style from this server, and nothing else.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the frames of a service are.
#[derive(Default)]
pub struct Contract {
    doc: OperationDoc,
    enums: Vec<EventEnum>,
    events: Vec<Single>,
    hints: Vec<Single>,
    commands: Vec<String>,
    results: Vec<String>,
    greetings: Vec<String>,
}

/// An enum of events, by the name of its schema.
struct EventEnum {
    name: String,
    subject: fn(&str) -> &'static str,
}

/// An event or a hint, and the names of the schemas of its data.
struct Single {
    kind: String,
    subject: String,
    description: String,
    /// Its data is one of these.
    data: Vec<String>,
}

/// What is left of a row that is deleted by now, or no longer yours.
#[derive(Serialize, ToSchema)]
struct Gone {
    /// The id of the row.
    id: Uuid,
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contract").field("commands", &self.commands).finish_non_exhaustive()
    }
}

impl Contract {
    /// The frames that every service has.
    pub fn new() -> Self {
        let mut contract = Self::default();
        contract.output::<ControlFrame>();
        contract.output::<HintData>();
        contract.output::<EventFrame<'_>>();
        contract.output::<SyncPage<'_>>();
        contract.doc.input::<ClientFrame>();
        contract
    }

    fn output<T: ToSchema>(&mut self) -> String {
        self.doc.output::<T>();
        T::name().into_owned()
    }

    /// Adds the events of an enum with `#[serde(tag = "type", content = "data")]`. `subject` returns the kind of the subject
    /// of an event by its type.
    #[must_use]
    pub fn events<E: ToSchema>(mut self, subject: fn(&str) -> &'static str) -> Self {
        let name = self.output::<E>();
        self.enums.push(EventEnum { name, subject });
        self
    }

    /// Adds an event with data of type `T`.
    #[must_use]
    pub fn event<T: ToSchema>(mut self, kind: &str, subject: &str, description: &str) -> Self {
        let data = vec![self.output::<T>()];
        self.add_event(kind, subject, description.to_owned(), data);
        self
    }

    fn add_event(&mut self, kind: &str, subject: &str, description: String, data: Vec<String>) {
        self.events.push(Single { kind: kind.to_owned(), subject: subject.to_owned(), description, data });
    }

    /// Adds the events of a resource; see [`crud::feed`](crate::crud::feed).
    #[must_use]
    pub fn resource<R: Resource>(mut self) -> Self {
        let (row, gone) = (self.output::<R::Output>(), self.output::<Gone>());
        for what in ["created", "updated", "restored"] {
            let description = format!("A {} was {what}.", R::NAME);
            self.add_event(
                &format!("{}.{what}", R::NAME),
                R::NAME,
                description,
                vec![row.clone(), gone.clone()],
            );
        }
        let description = format!("A {} was deleted.", R::NAME);
        self.add_event(&format!("{}.deleted", R::NAME), R::NAME, description, vec![gone]);
        self
    }

    /// Adds the events of these resources.
    #[must_use]
    pub fn with(self, resources: &[LiveResource]) -> Self {
        resources.iter().fold(self, |contract, resource| (resource.describe)(contract))
    }

    /// Adds a hint that ends by itself; see [`Realtime::hint`](crate::Realtime::hint).
    #[must_use]
    pub fn hint(mut self, kind: &str, subject: &str, description: &str) -> Self {
        let data = vec![HintData::name().into_owned()];
        self.hints.push(Single {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            description: description.to_owned(),
            data,
        });
        self
    }

    /// Adds the frames of clients that the service takes: an enum with `#[serde(tag = "type")]`.
    #[must_use]
    pub fn commands<C: ToSchema>(mut self) -> Self {
        self.doc.input::<C>();
        self.commands.push(C::name().into_owned());
        self
    }

    /// Adds a possible `data` of `ack`.
    #[must_use]
    pub fn result<T: ToSchema>(mut self) -> Self {
        let name = self.output::<T>();
        self.results.push(name);
        self
    }

    /// Adds what the service's `greeting` adds to `ready`.
    #[must_use]
    pub fn greeting<T: ToSchema>(mut self) -> Self {
        let name = self.output::<T>();
        self.greetings.push(name);
        self
    }

    /// Returns the document. `prefix` is the path before `/ws`, `/events` and `/sync`.
    ///
    /// # Errors
    /// `internal` if a type has not the form that its method requires.
    pub fn document(self, about: &About, prefix: &str) -> Result<Document> {
        let document = build::document(self, about, prefix)?;
        let text = serde_json::to_string_pretty(&document).map_err(Error::internal)?;
        Ok(Document { page: page::html(&document).into(), text: text.into() })
    }
}

/// The document as text and as a page, each generated once.
#[derive(Clone, Debug)]
pub struct Document {
    text: Arc<str>,
    page: Arc<str>,
}

impl Document {
    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Serves the document at `/asyncapi.json`, and the page that shows it at `/docs/realtime`.
    pub fn mount(&self, config: &mut web::ServiceConfig) {
        let Self { text, page } = self.clone();
        let files = [
            ("/asyncapi.json", "application/json", text),
            ("/docs/realtime", "text/html; charset=utf-8", page),
            ("/docs/realtime.css", "text/css; charset=utf-8", page::STYLE.into()),
        ];
        for (path, media_type, body) in files {
            let handler = move || {
                let response = HttpResponse::Ok()
                    .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
                    .insert_header((header::REFERRER_POLICY, "no-referrer"))
                    .insert_header((header::CACHE_CONTROL, "no-cache"))
                    .content_type(media_type)
                    .body(body.to_string());
                async { response }
            };
            config.route(path, web::get().to(handler));
        }
    }
}

/// The schema with this name, which the document refers to.
fn reference(name: &str) -> Json {
    serde_json::json!({"$ref": format!("#/components/schemas/{name}")})
}
