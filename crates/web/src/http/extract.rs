//! Extractors for the body, the query and the path, each checked against the schema in the document.
//!
//! ```
//! use groundwork_core::{FieldErrors, Validate};
//! use groundwork_web::{Body, Created, IdPath, Path, Problem};
//!
//! #[derive(serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Comment {
//!     #[schema(max_length = 100)] // enforced, and in the document
//!     text: String,
//! }
//!
//! impl Validate for Comment {
//!     fn validate(&self, errors: &mut FieldErrors) {
//!         errors.check(!self.text.trim().is_empty(), "text", "blank", "must not be blank");
//!     }
//! }
//!
//! async fn comment(path: Path<IdPath>, body: Body<Comment>) -> Result<Created<Comment>, Problem> {
//!     let _note = path.0.id;
//!     Ok(Created(body.0))
//! }
//!
//! let mut routes = groundwork_web::Routes::new();
//! routes.post("/notes/{id}/comments", "comments_create", "Comment on a note", comment);
//! ```

use std::{
    collections::HashSet,
    future::{Future, Ready, ready},
    pin::Pin,
    time::Duration,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header,
    mime::Mime,
    web::{self, BytesMut},
};
use futures::StreamExt;
use groundwork_core::{Error, FieldErrors, Result, Uuid, Validate, error::codes};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
    },
};

use crate::{
    Problem,
    openapi::describe::{DescribeInput, OperationDoc},
    openapi::schema::schema_of,
};

/// The limits of a request's body. Kept as app data.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// The maximum size, in bytes.
    pub bytes: usize,
    /// How long a client may take to send it, in total.
    pub timeout: Duration,
}

impl Default for BodyLimit {
    /// 64 KiB in 15 seconds.
    fn default() -> Self {
        Self { bytes: 64 * 1024, timeout: Duration::from_secs(15) }
    }
}

/// A JSON body.
///
/// Errors: `malformed` if it is not valid JSON, `too_large`, `unsupported_media_type`, and `invalid` with every field error.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

/// An `application/x-www-form-urlencoded` body as in OAuth 2.0 (RFC 6749, section 3.2): a parameter without a value counts
/// as absent, an unknown one is ignored, and a repeated one is refused.
#[derive(Clone, Debug)]
pub struct Form<T>(pub T);

/// The query string. Errors: `invalid`, also for an unknown parameter.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

/// The parameters of the path. Errors: `invalid`.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// The parameter of a path with one id.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct IdPath {
    /// The id of the resource.
    #[schema(example = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11")]
    pub id: Uuid,
}

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: DeserializeOwned + ToSchema + Validate + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(checked(&read_json(&request, payload).await?)?)) })
    }
}

/// Reads a JSON body.
///
/// # Errors
/// Those of [`Body`] but `invalid`.
pub(crate) async fn read_json(request: &HttpRequest, payload: Payload) -> Result<Value> {
    let announced = is_announced(request) || request.headers().contains_key(header::CONTENT_TYPE);
    let is_json = media_type(request).is_some_and(|kind| {
        kind.essence_str() == "application/json" || kind.suffix().is_some_and(|suffix| suffix == "json")
    });
    if announced && !is_json {
        return Err(codes::UNSUPPORTED_MEDIA_TYPE.error("the body must be application/json"));
    }
    let bytes = read_body(request, payload).await?;
    // An empty body counts as `{}`, also if a generated client sends its media type.
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let not_json = |error| codes::MALFORMED.error(format!("the body is not valid JSON: {error}"));
    serde_json::from_slice(&bytes).map_err(not_json)
}

impl<T: DeserializeOwned + ToSchema + Validate + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let is_form = |kind: Mime| kind.essence_str() == "application/x-www-form-urlencoded";
            if !media_type(&request).is_some_and(is_form) {
                let detail = "the body must be application/x-www-form-urlencoded";
                return Err(codes::UNSUPPORTED_MEDIA_TYPE.error(detail).into());
            }
            let bytes = read_body(&request, payload).await?;
            let text =
                std::str::from_utf8(&bytes).map_err(|_| codes::MALFORMED.error("the body is not UTF-8"))?;
            let mut pairs = pairs(text)?;
            refuse_repeated(pairs.iter().map(|(name, _)| name.as_str()))?;
            pairs.retain(|(_, value)| !value.is_empty());
            let value = schema_of::<T>()?.typed(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            Ok(Self(checked(&value)?))
        })
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let pairs = query_pairs(request)?;
            let (value, rest) = split_known::<T>(&pairs)?;
            let mut errors = FieldErrors::new();
            for (name, _) in rest {
                errors.add(name, "unknown_parameter", "is not a known parameter");
            }
            Ok(Self(shaped(&value, errors)?))
        };
        ready(read())
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let value = schema_of::<T>()?.typed(request.match_info().iter());
            Ok(Self(shaped(&value, FieldErrors::new())?))
        };
        ready(read())
    }
}

/// Converts `value` to a `T`, and checks its schema and its own rules.
///
/// # Errors
/// `invalid`, with every field error.
pub fn checked<T: DeserializeOwned + ToSchema + Validate + 'static>(value: &Value) -> Result<T> {
    checked_by(value, T::validate)
}

/// As [`checked`], with `validate` for the rules that the schema cannot express.
pub(crate) fn checked_by<T: DeserializeOwned + ToSchema + 'static>(
    value: &Value,
    validate: impl FnOnce(&T, &mut FieldErrors),
) -> Result<T> {
    let mut errors = FieldErrors::new();
    schema_of::<T>()?.check(value, &mut errors);
    match T::deserialize(value) {
        Ok(input) => {
            // The type's own rules are more specific than the schema, so they come first. Their errors about the whole
            // may be due to a field of the wrong type.
            let mut all = FieldErrors::new();
            validate(&input, &mut all);
            if !errors.is_empty() {
                all = all.of_fields();
            }
            all.merge(errors);
            all.into_result()?;
            Ok(input)
        }
        Err(error) => Err(unreadable(errors, &error)),
    }
}

/// Converts `value` to a `T`. `errors` are those found before.
pub(crate) fn shaped<T: DeserializeOwned + ToSchema + 'static>(
    value: &Value,
    mut errors: FieldErrors,
) -> Result<T> {
    schema_of::<T>()?.check(value, &mut errors);
    match T::deserialize(value) {
        Ok(input) => errors.into_result().map(|()| input),
        Err(error) => Err(unreadable(errors, &error)),
    }
}

/// The schema usually refuses what serde refuses, with a better message. Otherwise serde's message
/// is used.
fn unreadable(mut errors: FieldErrors, error: &serde_json::Error) -> Error {
    if errors.is_empty() {
        errors.add("", "wrong_shape", error.to_string());
    }
    errors.into_error()
}

/// The maximum number of bytes of a query string.
pub const MAX_QUERY: usize = 8 * 1024;

/// Returns the pairs of the request's query string. Errors: `invalid` for one over [`MAX_QUERY`].
pub(crate) fn query_pairs(request: &HttpRequest) -> Result<Vec<(String, String)>> {
    let query = request.query_string();
    if query.len() > MAX_QUERY {
        return Err(Error::invalid(
            "",
            "too_long",
            format!("the query string must have at most {MAX_QUERY} bytes"),
        ));
    }
    pairs(query)
}

/// Parses the pairs of a query string or a form.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    web::Query::<Vec<(String, String)>>::from_query(text)
        .map(web::Query::into_inner)
        .map_err(|error| codes::MALFORMED.error(error.to_string()))
}

/// Splits a query string into the parameters of `T`, as JSON, and the others. Errors: `invalid` for a repeated parameter.
pub(crate) fn split_known<T: ToSchema + 'static>(
    pairs: &[(String, String)],
) -> Result<(Value, Vec<(&str, &str)>)> {
    let schema = schema_of::<T>()?;
    let all = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (known, rest): (Vec<_>, Vec<_>) = all.partition(|(name, _)| schema.fields.contains_key(*name));
    refuse_repeated(known.iter().map(|(name, _)| *name))?;
    Ok((schema.typed(known), rest))
}

fn refuse_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let (mut seen, mut errors) = (HashSet::new(), FieldErrors::new());
    for name in names {
        errors.check(seen.insert(name), name, "repeated", "is given twice");
    }
    errors.into_result()
}

/// Returns whether the headers announce a body.
fn is_announced(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let length = headers.get("content-length").and_then(|value| value.to_str().ok());
    headers.contains_key("transfer-encoding") || length.is_some_and(|length| length != "0")
}

/// Returns the media type of the body, or `None` if it is absent or malformed.
fn media_type(request: &HttpRequest) -> Option<Mime> {
    request.mime_type().ok().flatten()
}

/// Reads the whole body.
///
/// # Errors
/// `too_large`; `request_timeout`; `malformed` if the client stops in the middle.
pub(crate) async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<web::Bytes> {
    let BodyLimit { bytes, timeout } = request.app_data().copied().unwrap_or_default();
    let read = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| codes::MALFORMED.error(error.to_string()))?;
            if body.len() + chunk.len() > bytes {
                return Err(codes::TOO_LARGE.error(format!("the body must have at most {bytes} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let late =
        || codes::REQUEST_TIMEOUT.error(format!("the body must arrive within {} s", timeout.as_secs()));
    tokio::time::timeout(timeout, read).await.map_err(|_| late())?
}

const BODY_ERRORS: [groundwork_core::Code; 5] = [
    codes::MALFORMED,
    codes::REQUEST_TIMEOUT,
    codes::TOO_LARGE,
    codes::UNSUPPORTED_MEDIA_TYPE,
    codes::INVALID,
];

impl<T: DeserializeOwned + ToSchema + Validate + 'static> DescribeInput for Body<T> {
    fn describe(doc: &mut OperationDoc) {
        // A missing body counts as an empty object.
        let required = checked::<T>(&Value::Object(serde_json::Map::new())).is_err();
        let required = if required { Required::True } else { Required::False };
        describe_body::<T>(doc, "application/json", required);
        doc.error(&BODY_ERRORS);
    }
}

impl<T: ToSchema + 'static> Form<T> {
    /// Adds the body to the operation, without its errors.
    pub(crate) fn describe_body(doc: &mut OperationDoc) {
        describe_body::<T>(doc, "application/x-www-form-urlencoded", Required::True);
    }
}

impl<T: ToSchema + 'static> DescribeInput for Form<T> {
    fn describe(doc: &mut OperationDoc) {
        Self::describe_body(doc);
        doc.error(&BODY_ERRORS);
    }
}

fn describe_body<T: ToSchema + 'static>(doc: &mut OperationDoc, media_type: &str, required: Required) {
    let content = doc.input::<T>();
    doc.body = Some(RequestBodyBuilder::new().content(media_type, content).required(Some(required)).build());
    doc.validates::<T>();
}

impl<T: ToSchema + 'static> DescribeInput for Query<T> {
    fn describe(doc: &mut OperationDoc) {
        doc.parameters.extend(parameters::<T>(&ParameterIn::Query));
        doc.error(&[codes::INVALID]);
        doc.validates::<T>();
    }
}

impl<T: ToSchema + 'static> DescribeInput for Path<T> {
    fn describe(doc: &mut OperationDoc) {
        doc.parameters.extend(parameters::<T>(&ParameterIn::Path));
        let fields = schema_of::<T>().map(|schema| schema.fields.clone()).unwrap_or_default();
        let examples = fields
            .into_iter()
            .filter_map(|(name, field)| Some((name, field.get("example")?.as_str()?.to_owned())));
        doc.path_examples.extend(examples);
        doc.error(&[codes::INVALID]);
        doc.validates::<T>();
    }
}

/// Returns the fields of `T` as parameters.
pub(crate) fn parameters<T: ToSchema + 'static>(place: &ParameterIn) -> Vec<Parameter> {
    let Ok(schema) = schema_of::<T>() else {
        return Vec::new();
    };
    let describe = |(name, field): (&String, &Value)| {
        let required = matches!(place, ParameterIn::Path) || schema.required.contains(name);
        let shown: RefOr<Schema> = serde_json::from_value(never_null(field.clone())).ok()?;
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place.clone())
            .required(if required { Required::True } else { Required::False })
            .description(field["description"].as_str())
            .schema(Some(shown));
        Some(parameter.build())
    };
    schema.fields.iter().filter_map(describe).collect()
}

/// Returns the schema without null, which a path or a query cannot express: an `Option` is an optional parameter there.
fn never_null(mut schema: Value) -> Value {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            schema.as_object_mut().map(|schema| schema.insert("type".to_owned(), kind));
        }
    }
    schema
}
