//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1): nobody overwrites a change that they have not seen.
//!
//! ```
//! use groundwork_web::IfMatch;
//!
//! let anything = IfMatch::default(); // the caller doesn't say
//! assert!(anything.check("\"2026\"", false).is_ok());
//! assert_eq!(anything.check("\"2026\"", true).unwrap_err().code().name, "precondition_required");
//! ```

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    dev::Payload,
    http::header::{self, HeaderValue},
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

/// The entity tag of a row's state: when it was last changed, to the microsecond.
pub fn etag_of<E: CommonBase>(row: &<E as EntityTrait>::Model) -> String {
    format!("\"{}\"", E::updated_at(row))
}

/// The states that the caller of a change has seen, where they say so: an argument of a handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Errors: `precondition_failed` where the caller has seen other states than the one with this tag;
    /// `precondition_required` where `required` and they don't say.
    pub fn check(&self, etag: &str, required: bool) -> Result<()> {
        match &self.0 {
            // Tags are compared strongly: one that begins with W/ never matches.
            Some(seen)
                if seen.split(',').any(|tag| matches!(tag.trim(), tag if tag == etag || tag == "*")) =>
            {
                Ok(())
            }
            Some(_) => {
                Err(codes::PRECONDITION_FAILED.error(format!("it was changed meanwhile; its ETag is {etag}")))
            }
            None if required => {
                Err(codes::PRECONDITION_REQUIRED.error("send the ETag of what you have seen as If-Match"))
            }
            None => Ok(()),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let Some(value) = request.headers().get(header::IF_MATCH) else {
                return Ok(Self(None));
            };
            let text =
                value.to_str().map_err(|_| Error::invalid("If-Match", "bad_value", "must be entity tags"))?;
            Ok(Self(Some(text.to_owned())))
        };
        ready(read())
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

/// An answer with its entity tag.
#[derive(Clone, Debug)]
pub struct ETagged<R> {
    /// The tag.
    pub etag: String,
    /// The answer.
    pub answer: R,
}

impl<R: Responder> Responder for ETagged<R> {
    type Body = R::Body;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<R::Body> {
        let mut response = self.answer.respond_to(request);
        if let Ok(value) = HeaderValue::from_str(&self.etag) {
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
    use super::*;

    #[test]
    fn only_the_state_that_was_seen_matches() {
        let check = |header: Option<&str>, required| {
            let seen = IfMatch(header.map(str::to_owned));
            seen.check("\"2\"", required).map_err(|error| error.code().name)
        };
        assert_eq!(check(Some("\"2\""), true), Ok(()));
        assert_eq!(check(Some("\"1\", \"2\""), true), Ok(()));
        assert_eq!(check(Some("*"), true), Ok(()));
        assert_eq!(check(Some("\"1\""), false), Err("precondition_failed"));
        assert_eq!(check(Some("W/\"2\""), false), Err("precondition_failed"));
        assert_eq!(check(None, true), Err("precondition_required"));
        assert_eq!(check(None, false), Ok(()));
    }
}
