//! The table of operations, from which both the router and the OpenAPI document are generated.
//!
//! ```
//! use groundwork_web::{NoContent, Routes};
//!
//! async fn ping() -> NoContent {
//!     NoContent
//! }
//!
//! let mut routes = Routes::new();
//! routes.prefix("/api/v1").tag("system", "Health checks.");
//! routes.get("/ping", "system_ping", "Check the process", ping).describe("The database is not checked.");
//! ```

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use actix_web::{
    FromRequest, Handler, HttpResponse, Responder, Route, guard,
    http::{Method, header},
    middleware::from_fn,
    web,
};
use groundwork_core::{Code, Error, Result, error::codes};
use utoipa::openapi::{HttpMethod, path::Operation};

use crate::{
    Problem,
    http::{bearer::protect, idempotency::read_key, panics::catch_panics},
    openapi::describe::{DescribeInput, DescribeOutput, OperationDoc},
};

/// A text in the document.
pub type Text = Cow<'static, str>;

/// The operations of a service.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    prefix: String,
    tag: Text,
    tags: Vec<(Text, Text)>,
    examples: BTreeMap<String, String>,
    entries: Vec<Entry>,
}

/// One operation.
#[derive(Clone)]
pub struct Entry {
    method: Method,
    path: String,
    id: Text,
    tag: Text,
    summary: Text,
    description: String,
    doc: OperationDoc,
    mount: Arc<dyn Fn() -> Route + Send + Sync>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.id)
    }
}

impl Entry {
    /// Sets the description, in Markdown. Every operation needs one: without it the service does not start.
    pub fn describe(&mut self, description: impl Into<String>) -> &mut Self {
        self.description = description.into();
        self
    }

    /// Declares the codes that the handler fails with, besides those of its arguments.
    pub fn errors(&mut self, codes: &[Code]) -> &mut Self {
        self.doc.error(codes);
        self
    }

    /// Sets the example of the path parameter `name`.
    pub fn example(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.doc.path_examples.insert(name.to_owned(), value.into());
        self
    }

    /// Sets an extension of the operation: `x-` and a name, and a value.
    pub fn extension(&mut self, name: &str, value: serde_json::Value) -> &mut Self {
        self.doc.extensions.push((name.to_owned(), value));
        self
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn doc(&self) -> &OperationDoc {
        &self.doc
    }

    pub(crate) fn method(&self) -> Option<HttpMethod> {
        Some(match self.method {
            Method::GET => HttpMethod::Get,
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::PATCH => HttpMethod::Patch,
            Method::DELETE => HttpMethod::Delete,
            _ => return None,
        })
    }

    pub(crate) fn operation(&self) -> Operation {
        let mut instance = self.path.clone();
        for (name, example) in &self.doc.path_examples {
            instance = instance.replace(&format!("{{{name}}}"), example);
        }
        self.doc.clone().build(&self.id, &self.tag, &self.summary, &self.description, &instance)
    }

    /// Errors: `internal` if the document would not describe the operation, would repeat a parameter, or shows a schema that
    /// cannot be enforced.
    fn check(&self) -> Result<()> {
        let fail = |what: &str| Err(Error::internal(format!("the operation {} {what}", self.id)));
        if self.summary.is_empty() || self.description.is_empty() {
            return fail("has no summary or no description");
        }
        if self.tag.is_empty() {
            return fail("has no tag");
        }
        if let Some(reason) = &self.doc.invalid_schema {
            return fail(&format!("takes a type whose schema is not valid: {reason}"));
        }
        let mut seen = BTreeSet::new();
        for parameter in &self.doc.parameters {
            if !seen.insert(&parameter.name) {
                return fail(&format!("has two parameters named {}", parameter.name));
            }
        }
        Ok(())
    }
}

impl Routes {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the prefix of the paths of the operations that follow.
    pub fn prefix(&mut self, prefix: &str) -> &mut Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Adds operations whose paths have no prefix.
    pub fn at_root(&mut self, add: impl FnOnce(&mut Self)) {
        let prefix = std::mem::take(&mut self.prefix);
        add(self);
        self.prefix = prefix;
    }

    /// Sets the tag of the operations that follow.
    pub fn tag(&mut self, name: impl Into<Text>, description: impl Into<Text>) -> &mut Self {
        self.tag = name.into();
        if !self.tags.iter().any(|(known, _)| *known == self.tag) {
            self.tags.push((self.tag.clone(), description.into()));
        }
        self
    }

    /// Sets the example of the path parameter `name` for the operations that follow.
    pub fn example(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.examples.insert(name.to_owned(), value.into());
        self
    }

    /// Errors: `internal` if an operation lacks a summary, a description or a tag, names a parameter twice, takes a type
    /// whose schema is not valid, or has the id of another one.
    pub(crate) fn check(&self) -> Result<()> {
        let mut ids = BTreeSet::new();
        for entry in &self.entries {
            entry.check()?;
            if !ids.insert(&entry.id) {
                return Err(Error::internal(format!("two operations have the id {}", entry.id)));
            }
        }
        match self.tags.iter().find(|(_, description)| description.is_empty()) {
            Some((name, _)) => Err(Error::internal(format!("the tag {name} has no description"))),
            None => Ok(()),
        }
    }

    /// Adds a GET. `id` is `thing_verb`, and the name of the operation in generated clients.
    pub fn get<H, A>(
        &mut self,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        self.add(Method::GET, path, id, summary, handler)
    }

    /// Adds a POST.
    pub fn post<H, A>(
        &mut self,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        self.add(Method::POST, path, id, summary, handler)
    }

    /// Adds a PUT.
    pub fn put<H, A>(
        &mut self,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        self.add(Method::PUT, path, id, summary, handler)
    }

    /// Adds a PATCH.
    pub fn patch<H, A>(
        &mut self,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        self.add(Method::PATCH, path, id, summary, handler)
    }

    /// Adds a DELETE.
    pub fn delete<H, A>(
        &mut self,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        self.add(Method::DELETE, path, id, summary, handler)
    }

    #[expect(clippy::indexing_slicing, reason = "the entry was pushed on the line before")]
    fn add<H, A>(
        &mut self,
        method: Method,
        path: &str,
        id: impl Into<Text>,
        summary: impl Into<Text>,
        handler: H,
    ) -> &mut Entry
    where
        H: Handler<A> + Send + Sync,
        A: FromRequest + DescribeInput + 'static,
        H::Output: Responder + DescribeOutput + 'static,
    {
        let mut doc = OperationDoc::default();
        A::describe(&mut doc);
        H::Output::describe(&mut doc);
        doc.path_examples.extend(self.examples.clone());
        let (secured, idempotent, verb) = (doc.scope.is_some(), doc.idempotent, method.clone());
        let mount = move || {
            let route = match verb {
                Method::GET => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
                _ => web::method(verb.clone()),
            };
            let route = route.to(handler.clone());
            let route = if idempotent { route.wrap(from_fn(read_key)) } else { route };
            let route = if secured { route.wrap(from_fn(protect)) } else { route };
            route.wrap(from_fn(catch_panics))
        };
        self.entries.push(Entry {
            path: format!("{}{path}", self.prefix),
            method,
            id: id.into(),
            tag: self.tag.clone(),
            summary: summary.into(),
            description: String::new(),
            doc,
            mount: Arc::new(mount),
        });
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn tags(&self) -> &[(Text, Text)] {
        &self.tags
    }

    /// Returns every code that an operation can fail with.
    pub fn codes(&self) -> Vec<Code> {
        let mut all: BTreeMap<&str, Code> = codes::ALL.iter().map(|code| (code.name, *code)).collect();
        for entry in &self.entries {
            all.extend(entry.doc.errors.iter().map(|code| (code.name, *code)));
        }
        all.into_values().collect()
    }

    /// Returns every scope that an operation requires.
    pub fn scopes(&self) -> BTreeSet<&'static str> {
        let scopes = self.entries.iter().filter_map(|entry| Some(entry.doc.scope?.0));
        scopes.filter(|scope| !scope.is_empty()).collect()
    }

    /// Forgets what the operations are described by, which takes megabytes, and keeps what [`mount`](Self::mount) needs.
    pub(crate) fn forget_descriptions(&mut self) {
        self.examples = BTreeMap::new();
        for entry in &mut self.entries {
            entry.doc = OperationDoc::default();
            entry.description = String::new();
        }
    }

    /// Adds the operations to an app. A path without parameters comes before one with parameters, so that `/users/me` does
    /// not match `/users/{id}`.
    pub fn mount(&self, config: &mut web::ServiceConfig) {
        let mut paths: Vec<(&str, Vec<&Entry>)> = Vec::new();
        for entry in &self.entries {
            match paths.iter_mut().find(|(path, _)| *path == entry.path) {
                Some((_, entries)) => entries.push(entry),
                None => paths.push((&entry.path, vec![entry])),
            }
        }
        paths.sort_by_key(|(path, _)| path.contains('{'));
        for (path, entries) in paths {
            let allow: Vec<_> = entries.iter().map(|entry| entry.method.as_str()).collect();
            let allow = allow.join(", ");
            let mut resource = web::resource(path);
            for entry in entries {
                resource = resource.route((entry.mount)());
            }
            config
                .service(resource.default_service(web::to(move || std::future::ready(wrong_method(&allow)))));
        }
    }
}

fn wrong_method(allow: &str) -> HttpResponse {
    let problem = Problem(codes::METHOD_NOT_ALLOWED.error(format!("the methods of this path are {allow}")));
    let mut response = HttpResponse::from_error(problem);
    if let Ok(allow) = header::HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

#[cfg(test)]
mod tests {
    use groundwork_core::{FieldErrors, Validate};
    use utoipa::{
        PartialSchema, ToSchema,
        openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
    };

    use super::Routes;
    use crate::{Body, NoContent};

    /// A type whose schema has a pattern that is not a regular expression.
    #[derive(serde::Deserialize)]
    struct Unenforceable;

    impl PartialSchema for Unenforceable {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new().schema_type(Type::String).pattern(Some("(")).into()
        }
    }

    impl ToSchema for Unenforceable {}

    impl Validate for Unenforceable {
        fn validate(&self, _: &mut FieldErrors) {}
    }

    async fn take(_: Body<Unenforceable>) -> NoContent {
        NoContent
    }

    /// A schema that cannot be enforced is an error when the service starts, not when it is called.
    #[test]
    fn a_schema_that_is_not_valid_stops_the_start() {
        let mut routes = Routes::new();
        routes
            .tag("things", "Things.")
            .post("/things", "things_take", "Take", take)
            .describe("Takes a thing.");
        let error = routes.check().unwrap_err().to_string();
        assert!(error.contains("things_take") && error.contains("Unenforceable"), "{error}");
    }
}
