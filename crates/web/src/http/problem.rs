//! Problem details (RFC 9457), the format of every error.
//!
//! ```
//! use groundwork_core::{Error, Kind};
//! use groundwork_web::{Problem, http::problem};
//!
//! fn handler() -> Result<(), Problem> {
//!     Err(Error::not_found("note"))?
//! }
//!
//! assert!(handler().is_err());
//! assert_eq!(problem::status(Kind::NotFound), 404);
//! ```

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};
use groundwork_auth::oauth;
use groundwork_core::{
    Code, Error, FieldError, Kind,
    error::{Refusal, codes},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::request_id::RequestId;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error (RFC 9457, section 3.1), with the additional members `code`, `request_id` and `errors`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The URL of the description of the error code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    pub kind: String,
    /// A summary of the error code, for people.
    #[schema(example = "The input is invalid")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// A description of this occurrence, for people.
    #[schema(example = "the input is invalid")]
    pub detail: String,
    /// The path of the request.
    #[schema(example = "/api/v1/auth/register")]
    pub instance: String,
    /// The stable error code, for programs.
    #[schema(example = "invalid")]
    pub code: String,
    /// The id of the request. Quote it when you report a problem.
    #[schema(example = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11")]
    pub request_id: String,
    /// The invalid fields of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// At the token endpoint: the error code of RFC 6749, section 5.2, which equals `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "invalid_grant")]
    pub error: Option<&'static str>,
    /// At the token endpoint: `detail`, limited to the characters that RFC 6749 allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "the refresh token has expired")]
    pub error_description: Option<String>,
}

impl ProblemBody {
    /// The problem that a caller sees of `error`, for what is not a response: a frame of a WebSocket. Logs the cause of an
    /// error of the service.
    pub fn of(error: Error, instance: &str, request_id: &RequestId) -> Self {
        let refusal = match error {
            Error::Refused(refusal) => *refusal,
            error => logged(&error),
        };
        Self::new(refusal.code, refusal.detail, refusal.field_errors, instance, request_id)
    }

    pub(crate) fn new(
        code: Code,
        detail: String,
        errors: Vec<FieldError>,
        instance: &str,
        request_id: impl fmt::Display,
    ) -> Self {
        let is_oauth = oauth::CODES.contains(&code);
        Self {
            kind: format!("/problems/{}", code.name),
            title: code.title.to_owned(),
            status: status(code.kind).as_u16(),
            error: is_oauth.then_some(code.name),
            error_description: is_oauth.then(|| oauth::description(&detail)),
            detail,
            instance: instance.to_owned(),
            code: code.name.to_owned(),
            request_id: request_id.to_string(),
            errors,
        }
    }
}

/// An error code of the service.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ProblemType {
    /// The error code.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// A summary of the error code, for people.
    #[schema(example = "Not found")]
    pub title: &'static str,
}

impl From<Code> for ProblemType {
    fn from(code: Code) -> Self {
        Self { code: code.name, status: status(code.kind).as_u16(), title: code.title }
    }
}

/// Returns the HTTP status of a kind of refusal.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Gone => StatusCode::GONE,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The error type of handlers: an [`Error`] that becomes a problem document.
#[derive(Debug)]
pub struct Problem(pub Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(self.0.code().kind)
    }

    /// Sets the status only: [`render`] writes the body, as it knows the request.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

/// Middleware that writes the body of every error, and logs each error of the service once.
pub async fn render<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = RequestId::of(request.request());
    let path = request.path().to_owned();
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE)
    {
        return Ok(response);
    }
    let problem = response.response().error().and_then(actix_web::Error::as_error::<Problem>);
    let refusal = match problem {
        Some(Problem(Error::Refused(refusal))) => (**refusal).clone(),
        Some(Problem(error)) => logged(error),
        None => {
            let cause = response.response().error().map(ToString::to_string);
            if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
                tracing::error!(error = cause.as_deref(), %status, "a request failed");
            }
            match code_of(status) {
                Some(code) if status.is_client_error() => {
                    Refusal { detail: cause.unwrap_or_default(), ..without_cause(code) }
                }
                Some(code) => without_cause(code),
                None => return Ok(response),
            }
        }
    };
    Ok(write(response, refusal, &path, &id))
}

fn write(
    mut response: ServiceResponse<BoxBody>,
    refusal: Refusal,
    path: &str,
    id: &RequestId,
) -> ServiceResponse<BoxBody> {
    let code = refusal.code;
    let challenge = challenge(code, &refusal.detail);
    let body = ProblemBody::new(code, refusal.detail, refusal.field_errors, path, id);
    // Read by the request log.
    response.response_mut().extensions_mut().insert(code);
    *response.response_mut().status_mut() = status(code.kind);
    if code.kind == Kind::Timeout {
        // The rest of the body may still arrive.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if code.kind == Kind::Unavailable {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let json = serde_json::to_vec(&body).unwrap_or_default();
    response.map_body(|_, _| BoxBody::new(json))
}

/// The `WWW-Authenticate` header of a refusal (RFC 6750, section 3). A request without a token gets no `error`.
fn challenge(code: Code, detail: &str) -> Option<HeaderValue> {
    let challenge = match oauth::bearer_error(code) {
        Some(error) => {
            let description = oauth::description(detail);
            format!("Bearer realm=\"api\", error=\"{error}\", error_description=\"{description}\"")
        }
        None if code.kind == Kind::Unauthenticated => "Bearer realm=\"api\"".to_owned(),
        None => return None,
    };
    HeaderValue::from_str(&challenge).ok()
}

/// Returns the code for a status that actix set.
fn code_of(status: StatusCode) -> Option<Code> {
    Some(match status {
        StatusCode::BAD_REQUEST => codes::MALFORMED,
        StatusCode::NOT_FOUND => codes::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => codes::METHOD_NOT_ALLOWED,
        StatusCode::PAYLOAD_TOO_LARGE => codes::TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => codes::UNSUPPORTED_MEDIA_TYPE,
        status if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE => codes::INTERNAL,
        _ => return None,
    })
}

/// What the caller sees of an error of the service, whose cause is logged.
fn logged(error: &Error) -> Refusal {
    let code = error.code();
    if code.kind == Kind::Unavailable {
        tracing::warn!(%error, code = code.name, "a request failed temporarily");
    } else {
        tracing::error!(%error, "a request failed");
    }
    without_cause(code)
}

fn without_cause(code: Code) -> Refusal {
    Refusal { code, detail: code.example.to_owned(), field_errors: Vec::new() }
}

/// The handler of unknown paths.
pub async fn unknown_route() -> Result<HttpResponse, Problem> {
    Err(codes::NOT_FOUND.error("no operation has this path").into())
}
