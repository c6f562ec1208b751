//! `X-Request-Id`: taken from the request or made, given back, and on every line of the log.
//!
//! ```
//! assert_eq!(groundwork_web::http::request_id::HEADER, "x-request-id");
//! ```

use std::{fmt, sync::LazyLock};

use actix_web::{
    HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use groundwork_core::{
    Clock, Ids,
    clock::{SystemClock, UuidV7},
};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters taken over from a request; a longer or unprintable id is replaced by one of ours.
pub const MAX_LENGTH: usize = 128;

static IDS: LazyLock<UuidV7> = LazyLock::new(UuidV7::default);

/// The id of a request.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id of this request.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(Self::new)
    }

    fn new() -> Self {
        let id = IDS.next(SystemClock.now()).to_string();
        Self(HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown")))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Middleware that gives each request its id.
pub async fn assign<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let given = request.headers().get(HEADER).filter(|value| {
        (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    let id = given.cloned().map_or_else(RequestId::new, RequestId);
    request.extensions_mut().insert(id.clone());
    let mut response = next.call(request).await?.map_into_boxed_body();
    response.headers_mut().insert(HEADER, id.0);
    Ok(response)
}

/// The span of a request, and the one line that the log has of it when it is done.
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        // The path alone: a query may hold what people search for.
        tracing::info_span!(
            "request",
            id = %RequestId::of(request.request()),
            method = %request.method(),
            path = request.path(),
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.in_scope(|| tracing::info!(status = status.as_u16(), "done"));
    }
}
