//! What a handler gives back.
//!
//! ```
//! use groundwork_web::{NoContent, http::respond::Answer};
//!
//! assert_eq!(NoContent.status(), 204);
//! assert_eq!(NoContent.json().unwrap(), "");
//! ```

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::describe::{DescribeOutput, OperationDoc};

/// An answer that can be kept for a repeat of the request.
pub trait Answer: DescribeOutput {
    /// Its status.
    fn status(&self) -> StatusCode;
    /// Its body as JSON; empty where there is none.
    fn json(&self) -> serde_json::Result<String>;
}

/// 200 with a body.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// 201 with what was made.
#[derive(Clone, Debug)]
pub struct Created<T>(pub T);

/// 201 with what was made, or 200 with what was there already.
#[derive(Clone, Debug)]
pub struct CreatedOrFound<T> {
    /// Whether it was made just now.
    pub created: bool,
    /// The thing.
    pub body: T,
}

/// 204.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl<T: ToSchema> DescribeOutput for Json<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.json::<T>();
        doc.answer(200, "Done", Some(content));
    }
}

impl<T: ToSchema> DescribeOutput for Created<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.json::<T>();
        doc.answer(201, "Made", Some(content));
    }
}

impl<T: ToSchema> DescribeOutput for CreatedOrFound<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.json::<T>();
        doc.answer(200, "It was there already", Some(content.clone()));
        doc.answer(201, "Made", Some(content));
    }
}

impl DescribeOutput for NoContent {
    fn describe(doc: &mut OperationDoc) {
        doc.answer(204, "Done", None);
    }
}

impl<T: Serialize + ToSchema> Answer for Json<T> {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.0)
    }
}

impl<T: Serialize + ToSchema> Answer for Created<T> {
    fn status(&self) -> StatusCode {
        StatusCode::CREATED
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.0)
    }
}

impl<T: Serialize + ToSchema> Answer for CreatedOrFound<T> {
    fn status(&self) -> StatusCode {
        if self.created { StatusCode::CREATED } else { StatusCode::OK }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.body)
    }
}

impl Answer for NoContent {
    fn status(&self) -> StatusCode {
        StatusCode::NO_CONTENT
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }
}

/// The response for a status and a JSON text.
pub(crate) fn response(status: StatusCode, json: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if json.is_empty() { response.finish() } else { response.content_type("application/json").body(json) }
}

fn respond(answer: &impl Answer) -> HttpResponse {
    match answer.json() {
        Ok(json) => response(answer.status(), json),
        Err(error) => HttpResponse::from_error(actix_web::Error::from(error)),
    }
}

impl<T: Serialize + ToSchema> Responder for Json<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Serialize + ToSchema> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Serialize + ToSchema> Responder for CreatedOrFound<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl Responder for NoContent {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}
