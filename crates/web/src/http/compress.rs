//! Compresses responses (RFC 9110, section 8.4).

use actix_http::encoding::Encoder;
use actix_web::{
    Error, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{AcceptEncoding, ContentEncoding, Encoding, Header},
    middleware::Next,
};

/// The minimum size of a compressed body, in bytes. A smaller body fits into one packet.
const MIN_BYTES: u64 = 1024;

/// Middleware that compresses a large body with gzip if the caller accepts it. A body of unknown length is a stream and is
/// not compressed, so that its data arrives immediately.
pub(crate) async fn compress<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    if !matches!(response.response().body().size(), BodySize::Sized(MIN_BYTES..)) {
        return Ok(response.map_into_boxed_body());
    }
    let encoding = encoding_for(response.request());
    Ok(response.map_body(|head, body| Encoder::response(encoding, head, body)).map_into_boxed_body())
}

/// Returns gzip if the caller accepts it, and identity otherwise.
pub(crate) fn encoding_for(request: &HttpRequest) -> ContentEncoding {
    let accepted = AcceptEncoding::parse(request).ok();
    let supported = [Encoding::identity(), Encoding::gzip()];
    match accepted.and_then(|accepted| accepted.negotiate(supported.iter())) {
        Some(Encoding::Known(ContentEncoding::Gzip)) => ContentEncoding::Gzip,
        _ => ContentEncoding::Identity,
    }
}
