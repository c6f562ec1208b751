//! Turns a panic in a handler into an error of that request.

use std::panic::AssertUnwindSafe;

use actix_web::{
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use futures::FutureExt;
use groundwork_core::Error;

use crate::Problem;

/// Middleware of every operation: a panic is a 500 for that request, and the service continues.
pub(crate) async fn catch_panics<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let kept = request.request().clone();
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(cause) => {
            let text = cause.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
            let problem = Problem(Error::internal(format!("panic: {text}")));
            Ok(ServiceResponse::from_err(problem, kept))
        }
    }
}
