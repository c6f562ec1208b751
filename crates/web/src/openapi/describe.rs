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
use groundwork_core::{Code, FieldError, error::codes};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
        example::ExampleBuilder,
        extensions::ExtensionsBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBody,
        schema::{SchemaType, Type},
        security::SecurityRequirement,
    },
};

use crate::{
    Problem,
    http::problem::{self, ProblemBody},
};

const EXAMPLE_REQUEST_ID: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";

/// One operation of the document, under construction.
#[derive(Clone, Default)]
pub struct OperationDoc {
    /// The scope needed, and what it allows; one without a name means that signing in is enough.
    pub scope: Option<(&'static str, &'static str)>,
    /// Whether it takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// In path, query and header.
    pub parameters: Vec<Parameter>,
    /// An example for each of the path's parameters, by name.
    pub path_examples: BTreeMap<String, String>,
    /// What the body is.
    pub body: Option<RequestBody>,
    /// What comes back when all is well, by status.
    pub answers: BTreeMap<u16, Response>,
    /// The refusals.
    pub errors: Vec<Code>,
    /// What is wrong with an input that is refused as `invalid`, for an example.
    pub field_errors: Vec<FieldError>,
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

    /// JSON content of type `T` in a request.
    pub fn input<T: ToSchema>(&mut self) -> Content {
        let schema = self.schema::<T>();
        ContentBuilder::new().schema(Some(schema)).build()
    }

    /// JSON content of type `T` in an answer. A field that may be null is always sent, and so it is required; one that
    /// is left out when it is empty must not be nullable.
    pub fn output<T: ToSchema>(&mut self) -> Content {
        let inputs = std::mem::take(&mut self.schemas);
        let content = self.input::<T>();
        let outputs = std::mem::replace(&mut self.schemas, inputs);
        self.schemas.extend(outputs.into_iter().map(|(name, mut schema)| {
            require_nullable(&mut schema);
            (name, schema)
        }));
        content
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

    /// Shows these field errors as an example of an `invalid` input. Those of a later argument take precedence.
    pub fn field_error_example(&mut self, errors: Vec<FieldError>) {
        if !errors.is_empty() {
            self.field_errors = errors;
        }
    }

    /// The finished operation. `instance` is an example of its path.
    pub fn build(
        mut self,
        id: &str,
        tag: &str,
        summary: &str,
        description: &str,
        instance: &str,
    ) -> Operation {
        self.error(&[codes::INTERNAL]);
        self.error(codes::DATABASE);
        let problem = self.output::<ProblemBody>();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(id))
            .tag(tag)
            .summary(Some(summary))
            .description(Some(description))
            .request_body(self.body);
        if !self.extensions.is_empty() {
            let extensions = self
                .extensions
                .into_iter()
                .fold(ExtensionsBuilder::new(), |all, (name, value)| all.add(name, value));
            operation = operation.extensions(Some(extensions.build()));
        }
        for mut parameter in self.parameters {
            if parameter.parameter_in == ParameterIn::Path {
                let example = self.path_examples.get(&parameter.name).map(|text| text.as_str().into());
                parameter = ParameterBuilder::from(parameter).example(example).build();
            }
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
            let mut content = problem.clone();
            for code in codes {
                let detail = match self.scope {
                    Some((scope, _)) if code == codes::MISSING_SCOPE && !scope.is_empty() => {
                        format!("this needs the scope {scope}")
                    }
                    _ => code.example.to_owned(),
                };
                let errors = if code == codes::INVALID { self.field_errors.clone() } else { Vec::new() };
                let body = ProblemBody::new(code, detail, errors, instance, EXAMPLE_REQUEST_ID);
                let value = serde_json::to_value(body).ok();
                let example = ExampleBuilder::new().summary(code.title).value(value).build();
                content.examples.insert(code.name.to_owned(), example.into());
            }
            let response =
                ResponseBuilder::new().description(lines.join(" · ")).content(problem::MEDIA_TYPE, content);
            operation = operation.response(status.to_string(), response);
        }
        let securities = self.scope.map_or_else(Vec::new, |(scope, _)| {
            let scopes = if scope.is_empty() { vec![] } else { vec![scope] };
            let bearer = SecurityRequirement::new("token", Vec::<&str>::new());
            vec![SecurityRequirement::new("oauth2", scopes), bearer]
        });
        // An empty list says that no token is needed.
        operation = operation.securities(Some(securities));
        operation.build()
    }
}

/// Requires every nullable field of a schema.
fn require_nullable(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let nullable = object.properties.iter().filter(|(_, field)| is_nullable(field));
            let missing = nullable.map(|(name, _)| name).filter(|name| !object.required.contains(name));
            let missing: Vec<_> = missing.cloned().collect();
            object.required.extend(missing);
            object.properties.values_mut().for_each(require_nullable);
        }
        Schema::AllOf(parts) => parts.items.iter_mut().for_each(require_nullable),
        Schema::OneOf(parts) => parts.items.iter_mut().for_each(require_nullable),
        Schema::AnyOf(parts) => parts.items.iter_mut().for_each(require_nullable),
        _ => {}
    }
}

fn is_nullable(schema: &RefOr<Schema>) -> bool {
    let is_null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => is_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => is_null(&array.schema_type),
        RefOr::T(Schema::OneOf(parts)) => parts.items.iter().any(is_nullable),
        RefOr::T(Schema::AnyOf(parts)) => parts.items.iter().any(is_nullable),
        _ => false,
    }
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
