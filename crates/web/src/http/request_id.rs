//! `X-Request-Id`: taken from the request or generated, returned in the response, and logged.
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

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum number of characters of a request's id. A longer or unprintable id is replaced by a new one.
pub const MAX_LENGTH: usize = 128;

static IDS: LazyLock<UuidV7> = LazyLock::new(UuidV7::default);

/// The id of a request.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the id of this request.
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

/// Middleware that sets the id of each request.
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
