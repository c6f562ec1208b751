//! One event in the log for each request.

use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use groundwork_auth::Caller;
use groundwork_core::Code;
use tracing::Instrument;

use crate::http::request_id::RequestId;

/// Middleware that logs each request when its response is ready: the method, the pattern of the route, the status, the
/// time in milliseconds, the id of the user, the address of the client, the code of the problem and the id of the request.
/// The path and the query are not logged: they contain ids and search texts.
///
/// Events from inside the request are in the span `request`, which has the same id.
pub(crate) async fn record<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let start = Instant::now();
    let request_id = RequestId::of(request.request());
    let method = request.method().clone();
    let client = request.peer_addr().map(|address| address.ip());
    // The span is kept at every level, so that an error is logged with the id of its request.
    let span = tracing::error_span!("request", id = %request_id);
    let outcome = next.call(request).instrument(span).await;
    let (status, route, user_id, code) = match &outcome {
        Err(error) => (error.as_response_error().status_code(), None, None, None),
        Ok(response) => (
            response.status(),
            response.request().match_pattern(),
            response.request().extensions().get::<Caller>().map(|caller| caller.user_id),
            response.response().extensions().get::<Code>().map(|code| code.name),
        ),
    };
    tracing::info!(
        %method,
        route,
        status = status.as_u16(),
        duration_ms = milliseconds(start),
        user_id = user_id.map(display),
        client = client.map(display),
        code,
        %request_id,
        "request"
    );
    outcome
}

/// Returns the time since `start` in milliseconds, with three decimals.
fn milliseconds(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1_000_000.0).round() / 1000.0
}
