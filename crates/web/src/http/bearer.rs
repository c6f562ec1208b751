//! Bearer tokens (RFC 6750). The token is checked before any other part of a request is read.
//!
//! ```
//! use groundwork_auth::Scope;
//! use groundwork_web::{NoContent, Problem, Scoped};
//!
//! struct NotesWrite;
//!
//! impl Scope for NotesWrite {
//!     const NAME: &'static str = "notes:write";
//!     const DESCRIPTION: &'static str = "Change notes";
//! }
//!
//! async fn clear(caller: Scoped<NotesWrite>) -> Result<NoContent, Problem> {
//!     let _owner = caller.user_id; // the caller has the scope
//!     Ok(NoContent)
//! }
//!
//! let mut routes = groundwork_web::Routes::new();
//! routes.delete("/notes", "notes_clear", "Delete all notes", clear);
//! ```

use std::{
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use groundwork_auth::{Caller, Scope};
use groundwork_core::{Error, Result, error::codes};

use crate::{
    Problem,
    openapi::describe::{DescribeInput, OperationDoc},
};

/// Turns an access token into a caller. Kept as app data.
#[derive(Clone)]
pub struct Authenticator(Arc<Authenticate>);

type Authenticate = dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Caller>> + Send>> + Send + Sync;

impl Authenticator {
    /// An authenticator that calls `authenticate`.
    pub fn new<F, R>(authenticate: F) -> Self
    where
        F: Fn(String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Caller>> + Send + 'static,
    {
        Self(Arc::new(move |token| Box::pin(authenticate(token))))
    }

    /// Returns the caller that an access token names.
    ///
    /// # Errors
    /// `invalid_token`, `token_expired`, `session_ended`.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        (self.0)(token.to_owned()).await
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

/// Middleware of every operation that requires a caller. It runs before the body is read.
///
/// # Errors
/// `unauthenticated` without an access token; `invalid_token`, `token_expired` or `session_ended` for one that is not valid.
pub async fn protect<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let admitted = async {
        let authenticator = request.app_data::<Authenticator>().cloned();
        let authenticator =
            authenticator.ok_or_else(|| Error::internal("no Authenticator in the app data"))?;
        let token = token_of(request.request())?;
        let caller = authenticator.authenticate(&token).await?;
        request.extensions_mut().insert(caller);
        Ok(())
    };
    match admitted.await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => Ok(request.error_response(Problem(error))),
    }
}

/// Returns the access token in the `Authorization` header.
///
/// # Errors
/// `unauthenticated` if there is none.
pub fn token_of(request: &HttpRequest) -> Result<String> {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| codes::UNAUTHENTICATED.error("an access token is required"))?;
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim().to_owned()),
        _ => Err(codes::UNAUTHENTICATED
            .error("the Authorization header must be 'Bearer' followed by an access token")),
    }
}

/// Proof that the caller has the scope `S`. The first argument of a handler.
///
/// # Errors
/// `missing_scope`.
pub struct Scoped<S> {
    caller: Caller,
    scope: PhantomData<S>,
}

impl<S> fmt::Debug for Scoped<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt(f)
    }
}

impl<S> Deref for Scoped<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// Requires a signed-in caller with any scopes, for operations that every caller may use, such as signing out.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn;

impl Scope for SignedIn {
    const NAME: &'static str = "";
    const DESCRIPTION: &'static str = "";
}

impl<S: Scope> FromRequest for Scoped<S> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        let scoped = caller
            .ok_or_else(|| codes::UNAUTHENTICATED.error("an access token is required"))
            .and_then(|caller| {
                if !S::NAME.is_empty() {
                    caller.require::<S>()?;
                }
                Ok(Self { caller, scope: PhantomData })
            });
        ready(scoped.map_err(Problem))
    }
}

impl<S: Scope> DescribeInput for Scoped<S> {
    fn describe(doc: &mut OperationDoc) {
        doc.scope = Some((S::NAME, S::DESCRIPTION));
        doc.error(&[
            codes::UNAUTHENTICATED,
            codes::INVALID_TOKEN,
            codes::TOKEN_EXPIRED,
            codes::SESSION_ENDED,
        ]);
        if !S::NAME.is_empty() {
            doc.error(&[codes::MISSING_SCOPE]);
        }
    }
}
