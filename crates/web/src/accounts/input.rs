//! Bodies that are read in a way of their own.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web::Data};
use groundwork_auth::{
    Accounts, ClientInfo,
    oauth::{self, token_error},
};
use groundwork_core::{Error, FieldErrors};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{AuthState, TokenRequest};
use crate::{
    Body, Problem,
    http::extract::{Form, checked_by, read_json},
    openapi::describe::{DescribeInput, OperationDoc},
};

/// What the session of a request remembers of its client: the `User-Agent` header and the address.
#[derive(Debug)]
pub(super) struct FromClient(pub(super) ClientInfo);

impl FromRequest for FromClient {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let device = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = request.peer_addr().map(|address| address.ip());
        ready(Ok(Self(ClientInfo::new(device, address))))
    }
}

impl DescribeInput for FromClient {
    fn describe(_: &mut OperationDoc) {}
}

/// The input of signing up, checked against the policy for passwords as well.
pub(super) struct SignUpBody<A: Accounts>(pub(super) A::SignUp);

impl<A: Accounts<SignUp: DeserializeOwned + ToSchema>> FromRequest for SignUpBody<A> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let value = read_json(&request, payload).await?;
            let state = request.app_data::<Data<AuthState<A>>>();
            let state = state.ok_or_else(|| Error::internal("no AuthState in the app data"))?;
            let check = |input: &A::SignUp, errors: &mut FieldErrors| state.auth.check_sign_up(input, errors);
            Ok(Self(checked_by(&value, check)?))
        })
    }
}

impl<A: Accounts<SignUp: DeserializeOwned + ToSchema>> DescribeInput for SignUpBody<A> {
    fn describe(doc: &mut OperationDoc) {
        Body::<A::SignUp>::describe(doc);
    }
}

/// The form of a token request. Its errors follow RFC 6749, section 5.2.
#[derive(Debug)]
pub(super) struct TokenForm(pub(super) TokenRequest);

impl FromRequest for TokenForm {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = Form::from_request(request, payload);
        Box::pin(async {
            form.await.map(|form| Self(form.0)).map_err(|problem| token_error(problem.0).into())
        })
    }
}

impl DescribeInput for TokenForm {
    fn describe(doc: &mut OperationDoc) {
        Form::<TokenRequest>::describe_body(doc);
        doc.error(&oauth::CODES);
    }
}
