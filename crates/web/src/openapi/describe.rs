//! Derives the description of an operation from the types in its handler's signature.
//!
//! ```
//! use groundwork_web::openapi::describe::{DescribeOutput, OperationDoc};
//!
//! let mut doc = OperationDoc::default();
//! groundwork_web::NoContent::describe(&mut doc);
//! assert!(doc.answers.contains_key(&204));
//! ```

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest,
    web::{self, Data},
};
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
    openapi::schema::schema_of,
};

const EXAMPLE_REQUEST_ID: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";

/// One operation of the document, under construction.
#[derive(Clone, Default)]
pub struct OperationDoc {
    /// The required scope and its description. An empty name means that any signed-in caller is allowed.
    pub scope: Option<(&'static str, &'static str)>,
    /// Whether the operation accepts an `Idempotency-Key`.
    pub idempotent: bool,
    /// The parameters in path, query and header.
    pub parameters: Vec<Parameter>,
    /// The examples of the path parameters, by name.
    pub path_examples: BTreeMap<String, String>,
    /// The request body.
    pub body: Option<RequestBody>,
    /// The responses of success, by status.
    pub answers: BTreeMap<u16, Response>,
    /// The codes that the operation can fail with.
    pub errors: Vec<Code>,
    /// The field errors of the example of an `invalid` input.
    pub field_errors: Vec<FieldError>,
    /// The type whose schema is not valid, and why.
    pub(crate) invalid_schema: Option<String>,
    /// Members of its own, by name (`x-…`).
    pub extensions: Vec<(String, serde_json::Value)>,
    /// The schemas that the operation refers to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl OperationDoc {
    /// Adds `T` to the schemas of the document and returns a reference to it. A generic type must have a different name for
    /// each of its type arguments, as [`Page`](groundwork_core::Page) does: a derived name would be the same for all.
    pub fn schema<T: ToSchema>(&mut self) -> Ref {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        Ref::from_schema_name(name)
    }

    /// Returns JSON content of type `T` in a request.
    pub fn input<T: ToSchema>(&mut self) -> Content {
        let schema = self.schema::<T>();
        ContentBuilder::new().schema(Some(schema)).build()
    }

    /// Returns JSON content of type `T` in a response. A nullable field is always sent, so it is required; a field that is
    /// omitted when empty must not be nullable.
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

    /// Adds codes that the operation can fail with.
    pub fn error(&mut self, codes: &[Code]) {
        for code in codes {
            if !self.errors.contains(code) {
                self.errors.push(*code);
            }
        }
    }

    /// Adds a response.
    pub fn answer(&mut self, status: u16, description: &str, content: Option<Content>) {
        let mut response = ResponseBuilder::new().description(description);
        if let Some(content) = content {
            response = response.content("application/json", content);
        }
        self.answers.insert(status, response.build());
    }

    /// Adds a response of another media type than JSON.
    pub fn answer_with(&mut self, status: u16, description: &str, media_type: &str, content: Content) {
        let response = ResponseBuilder::new().description(description).content(media_type, content);
        self.answers.insert(status, response.build());
    }

    /// Compiles the validator of `T`, so that a schema that is not valid stops the start, and shows the field errors of a
    /// bad value as the example of an `invalid` input. Those of a later argument take precedence.
    pub fn validates<T: ToSchema + 'static>(&mut self) {
        match schema_of::<T>() {
            Ok(schema) => {
                let errors = schema.example_errors();
                if !errors.is_empty() {
                    self.field_errors = errors;
                }
            }
            Err(error) => self.invalid_schema = Some(format!("{}: {error}", T::name())),
        }
    }

    /// Builds the operation. `instance` is an example of its path.
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
                        format!("this operation requires the scope {scope}")
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
        // An empty list means that no token is required.
        operation = operation.securities(Some(securities));
        operation.build()
    }
}

/// Marks every nullable field of a schema as required.
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

/// An argument of a handler that describes itself in the document.
pub trait DescribeInput {
    /// Adds its description to the operation.
    fn describe(doc: &mut OperationDoc);
}

/// A response of a handler that describes itself in the document.
pub trait DescribeOutput {
    /// Adds its description to the operation.
    fn describe(doc: &mut OperationDoc);
}

impl<T> DescribeInput for Data<T> {
    fn describe(_: &mut OperationDoc) {}
}

impl DescribeInput for web::Payload {
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
