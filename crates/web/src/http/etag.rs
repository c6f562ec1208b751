//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1): a client does not overwrite a change that it has not seen.
//!
//! ```
//! use actix_web::http::header::EntityTag;
//! use groundwork_web::IfMatch;
//!
//! let absent = IfMatch::default(); // the request has no such header
//! let current = EntityTag::new_strong("2026".to_owned());
//! assert!(absent.check(&current, false).is_ok());
//! assert_eq!(absent.check(&current, true).unwrap_err().code().name, "precondition_required");
//! ```

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    dev::Payload,
    http::header::{self, ETag, EntityTag, Header, TryIntoHeaderValue},
};
use groundwork_core::{CommonBase, Error, Result, error::codes, sea_orm::EntityTrait};
use utoipa::openapi::{
    ObjectBuilder, Required,
    path::{ParameterBuilder, ParameterIn},
    schema::{Schema, Type},
};

use crate::{
    Problem,
    openapi::describe::{DescribeInput, DescribeOutput, OperationDoc},
};

/// The entity tag of a row: the time of its last change, in microseconds.
pub fn etag_of<E: CommonBase>(row: &<E as EntityTrait>::Model) -> EntityTag {
    EntityTag::new_strong(E::updated_at(row).to_string())
}

/// The `If-Match` header of a request. An argument of a handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<header::IfMatch>);

impl IfMatch {
    /// Checks the header against the tag `current`. Tags are compared strongly: a weak one never matches.
    ///
    /// # Errors
    /// `precondition_failed` if the header does not match; `precondition_required` if it is `required` and absent.
    pub fn check(&self, current: &EntityTag, required: bool) -> Result<()> {
        match &self.0 {
            Some(header::IfMatch::Any) => Ok(()),
            Some(header::IfMatch::Items(seen)) if seen.iter().any(|tag| tag.strong_eq(current)) => Ok(()),
            Some(_) => Err(codes::PRECONDITION_FAILED
                .error(format!("the resource has changed since; its ETag is now {current}"))),
            None if required => Err(codes::PRECONDITION_REQUIRED
                .error("send the ETag of the version that you have seen as If-Match")),
            None => Ok(()),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = request.headers().contains_key(header::IF_MATCH);
        let read = given.then(|| header::IfMatch::parse(request)).transpose();
        let read =
            read.map_err(|_| Error::invalid("If-Match", "bad_value", "must be a list of entity tags, or *"));
        ready(read.map(Self).map_err(Problem))
    }
}

impl DescribeInput for IfMatch {
    fn describe(doc: &mut OperationDoc) {
        let parameter = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The `ETag` of the version that you have seen. If the resource has changed since, the request is refused.",
            ))
            .schema(Some(Schema::from(ObjectBuilder::new().schema_type(Type::String).build())));
        doc.parameters.push(parameter.build());
        doc.error(&[codes::INVALID, codes::PRECONDITION_FAILED]);
    }
}

/// A response with its entity tag.
#[derive(Clone, Debug)]
pub struct ETagged<R> {
    /// The tag.
    pub etag: EntityTag,
    /// The response.
    pub answer: R,
}

impl<R: Responder> Responder for ETagged<R> {
    type Body = R::Body;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<R::Body> {
        let mut response = self.answer.respond_to(request);
        if let Ok(value) = ETag(self.etag).try_into_value() {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

impl<R: DescribeOutput> DescribeOutput for ETagged<R> {
    fn describe(doc: &mut OperationDoc) {
        R::describe(doc);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_the_state_that_was_seen_matches() {
        let check = |header: Option<&str>, required| {
            let request = TestRequest::default();
            let request = match header {
                Some(header) => request.insert_header(("if-match", header)),
                None => request,
            };
            let seen = IfMatch::extract(&request.to_http_request()).into_inner().unwrap();
            let current = EntityTag::new_strong("2".to_owned());
            seen.check(&current, required).map_err(|error| error.code().name)
        };
        assert_eq!(check(Some("\"2\""), true), Ok(()));
        assert_eq!(check(Some("\"1\", \"2\""), true), Ok(()));
        assert_eq!(check(Some("*"), true), Ok(()));
        assert_eq!(check(Some("\"1\""), false), Err("precondition_failed"));
        assert_eq!(check(Some("W/\"2\""), false), Err("precondition_failed"));
        assert_eq!(check(Some("2"), false), Err("precondition_failed"));
        assert_eq!(check(Some(""), false), Err("precondition_failed"));
        assert_eq!(check(None, true), Err("precondition_required"));
        assert_eq!(check(None, false), Ok(()));
    }
}
