//! The responses of handlers.
//!
//! ```
//! use actix_web::{Responder, test::TestRequest};
//! use groundwork_web::{Created, NoContent};
//!
//! let request = TestRequest::default().to_http_request();
//! assert_eq!(NoContent.respond_to(&request).status(), 204);
//! assert_eq!(Created("a note").respond_to(&request).status(), 201);
//! ```

use std::{fmt, marker::PhantomData};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{StatusCode, header::ContentType},
    web::Bytes,
};
use groundwork_core::{Error, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::describe::{DescribeOutput, OperationDoc};

/// 200 with a body.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// 200 with a body that was written as JSON before, and is returned many times. Cheap to clone.
pub struct Rendered<T> {
    json: Bytes,
    body: PhantomData<fn() -> T>,
}

impl<T: Serialize> Rendered<T> {
    /// Writes `body` as JSON.
    pub fn new(body: &T) -> Result<Self> {
        let json = serde_json::to_vec(body).map_err(Error::internal)?;
        Ok(Self { json: json.into(), body: PhantomData })
    }
}

impl<T> Clone for Rendered<T> {
    fn clone(&self) -> Self {
        Self { json: self.json.clone(), body: PhantomData }
    }
}

impl<T> fmt::Debug for Rendered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rendered").field(&self.json).finish()
    }
}

/// 201 with the created resource.
#[derive(Clone, Debug)]
pub struct Created<T>(pub T);

/// 201 with the created resource, or 200 with the existing one.
#[derive(Clone, Debug)]
pub struct CreatedOrFound<T> {
    /// Whether the request created the resource.
    pub created: bool,
    /// The resource.
    pub body: T,
}

/// 204.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl<T: ToSchema> DescribeOutput for Json<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.output::<T>();
        doc.answer(200, "OK", Some(content));
    }
}

impl<T: ToSchema> DescribeOutput for Rendered<T> {
    fn describe(doc: &mut OperationDoc) {
        Json::<T>::describe(doc);
    }
}

impl<T: ToSchema> DescribeOutput for Created<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.output::<T>();
        doc.answer(201, "Created", Some(content));
    }
}

impl<T: ToSchema> DescribeOutput for CreatedOrFound<T> {
    fn describe(doc: &mut OperationDoc) {
        let content = doc.output::<T>();
        doc.answer(200, "Already exists", Some(content.clone()));
        doc.answer(201, "Created", Some(content));
    }
}

impl DescribeOutput for NoContent {
    fn describe(doc: &mut OperationDoc) {
        doc.answer(204, "No content", None);
    }
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> HttpResponse {
    match serde_json::to_string(body) {
        Ok(json) => HttpResponse::build(status).content_type(ContentType::json()).body(json),
        Err(error) => HttpResponse::from_error(actix_web::Error::from(error)),
    }
}

impl<T: Serialize> Responder for Json<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        json(StatusCode::OK, &self.0)
    }
}

impl<T> Responder for Rendered<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().content_type(ContentType::json()).body(self.json)
    }
}

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        json(StatusCode::CREATED, &self.0)
    }
}

impl<T: Serialize> Responder for CreatedOrFound<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        json(if self.created { StatusCode::CREATED } else { StatusCode::OK }, &self.body)
    }
}

impl Responder for NoContent {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
