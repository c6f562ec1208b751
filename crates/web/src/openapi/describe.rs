//! How the types in a handler's signature write its part of the OpenAPI document.
//!
//! ```
//! use groundwork_web::openapi::describe::{DescribeOutput, OperationDoc};
//!
//! let mut doc = OperationDoc::default();
//! groundwork_web::NoContent::describe(&mut doc);
//! assert!(doc.answers.contains_key(&204));
//! ```

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web::Data};
use groundwork_core::{Code, Error, error::codes};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
        extensions::ExtensionsBuilder,
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBody,
        security::SecurityRequirement,
    },
};

use crate::{
    Problem,
    http::problem::{self, ProblemBody},
};

/// One operation of the document, under construction.
#[derive(Clone, Default)]
pub struct OperationDoc {
    /// The scope needed, and what it allows; one without a name means that signing in is enough.
    pub scope: Option<(&'static str, &'static str)>,
    /// Whether it takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// In path, query and header.
    pub parameters: Vec<Parameter>,
    /// What the body is.
    pub body: Option<RequestBody>,
    /// What comes back when all is well, by status.
    pub answers: BTreeMap<u16, Response>,
    /// The refusals.
    pub errors: Vec<Code>,
    /// Members of its own, by name (`x-…`).
    pub extensions: Vec<(String, serde_json::Value)>,
    /// The schemas that it refers to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl OperationDoc {
    /// Adds `T` to the document's schemas and gives a reference to it. A generic type has to have a name of its own for
    /// each type that it holds, as [`Page`](groundwork_core::Page) does: a derived one would be the same for all.
    pub fn schema<T: ToSchema>(&mut self) -> Ref {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        Ref::from_schema_name(name)
    }

    /// JSON content of type `T`.
    pub fn json<T: ToSchema>(&mut self) -> Content {
        let schema = self.schema::<T>();
        ContentBuilder::new().schema(Some(schema)).build()
    }

    /// Notes refusals.
    pub fn error(&mut self, codes: &[Code]) {
        for code in codes {
            if !self.errors.contains(code) {
                self.errors.push(*code);
            }
        }
    }

    /// Notes an answer.
    pub fn answer(&mut self, status: u16, description: &str, content: Option<Content>) {
        let mut response = ResponseBuilder::new().description(description);
        if let Some(content) = content {
            response = response.content("application/json", content);
        }
        self.answers.insert(status, response.build());
    }

    /// The finished operation.
    pub fn build(mut self, id: &str, tag: &str, summary: &str, description: Option<&str>) -> Operation {
        self.error(&[codes::INTERNAL]);
        self.error(codes::DATABASE);
        let problem = self.schema::<ProblemBody>();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(id))
            .tag(tag)
            .summary(Some(summary))
            .description(description)
            .request_body(self.body);
        if !self.extensions.is_empty() {
            let extensions = self
                .extensions
                .into_iter()
                .fold(ExtensionsBuilder::new(), |all, (name, value)| all.add(name, value));
            operation = operation.extensions(Some(extensions.build()));
        }
        for parameter in self.parameters {
            operation = operation.parameter(parameter);
        }
        for (status, response) in self.answers {
            operation = operation.response(status.to_string(), response);
        }
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in self.errors {
            by_status.entry(problem::status(code.kind).as_u16()).or_default().push(code);
        }
        for (status, codes) in by_status {
            let lines: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.name, code.title)).collect();
            let mut content = ContentBuilder::new().schema(Some(problem.clone()));
            for code in codes {
                content = content.examples_from_iter([(code.name, example(code))]);
            }
            let response = ResponseBuilder::new()
                .description(lines.join(" · "))
                .content(problem::MEDIA_TYPE, content.build());
            operation = operation.response(status.to_string(), response);
        }
        if let Some((scope, _)) = self.scope {
            let scopes = if scope.is_empty() { vec![] } else { vec![scope] };
            operation = operation
                .security(SecurityRequirement::new("oauth2", scopes))
                .security(SecurityRequirement::new("bearer", Vec::<&str>::new()));
        }
        operation.build()
    }
}

fn example(code: Code) -> utoipa::openapi::example::Example {
    let mut value = serde_json::json!({
        "type": format!("/problems/{}", code.name),
        "title": code.title,
        "status": problem::status(code.kind).as_u16(),
        "detail": "what is particular to this occurrence",
        "instance": "/api/v1/…",
        "code": code.name,
        "request_id": "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11",
    });
    if let (true, Some(value)) = (code == codes::INVALID, value.as_object_mut()) {
        let error = serde_json::json!({"field": "username", "code": "too_long", "message": "must have at most 50 characters"});
        value.insert("errors".to_owned(), serde_json::json!([error]));
    }
    utoipa::openapi::example::ExampleBuilder::new().value(Some(value)).build()
}

/// A handler's argument that says what it takes.
pub trait DescribeInput {
    /// Writes it into the operation.
    fn describe(doc: &mut OperationDoc);
}

/// A handler's result that says what it gives.
pub trait DescribeOutput {
    /// Writes it into the operation.
    fn describe(doc: &mut OperationDoc);
}

impl<T> DescribeInput for Data<T> {
    fn describe(_: &mut OperationDoc) {}
}

impl DescribeInput for HttpRequest {
    fn describe(_: &mut OperationDoc) {}
}

impl<T: DescribeOutput> DescribeOutput for Result<T, Problem> {
    fn describe(doc: &mut OperationDoc) {
        T::describe(doc);
    }
}

macro_rules! describe_tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: DescribeInput),*> DescribeInput for ($($name,)*) {
            fn describe(_doc: &mut OperationDoc) {
                $($name::describe(_doc);)*
            }
        }
    )*};
}

describe_tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
}

/// The refusal of a request whose input has errors.
pub(crate) fn invalid(errors: groundwork_core::FieldErrors) -> Error {
    codes::INVALID.error("the input is invalid").with_field_errors(errors)
}
