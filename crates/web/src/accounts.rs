//! The routes to register, sign in and sign out, for the users of any service.
//!
//! ```no_run
//! use groundwork_web::{Routes, accounts::{self, HttpAccounts}};
//!
//! fn routes<H: HttpAccounts>() -> Routes {
//!     let mut routes = Routes::new();
//!     routes.prefix("/api/v1");
//!     accounts::routes::<H>(&mut routes);
//!     routes
//! }
//! ```

mod input;
mod keys;
mod password;
mod sessions;

use std::{borrow::Cow, sync::Arc};

use actix_web::web::Data;
use groundwork_auth::{
    Accounts, Auth, ClientInfo, Grant, Tokens,
    oauth::{UNSUPPORTED_GRANT_TYPE, token_error},
    password::BUSY,
};
use groundwork_core::{Change, Code, Db, FieldErrors, Text, Validate, error::codes, text::PasswordFormat};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{AllOfBuilder, ObjectBuilder},
    },
};

use self::input::{FromClient, SignUpBody, TokenForm};
use crate::{
    Body, Created, Json, NoContent, Problem, Routes, Scoped,
    http::bearer::{Authenticator, SignedIn},
};

/// The state of these handlers. Kept as app data.
#[derive(Clone, Debug)]
pub struct AuthState<A> {
    /// The database.
    pub db: Db,
    /// The authentication of the users.
    pub auth: Auth<A>,
}

impl<A: Accounts> AuthState<A> {
    /// The authenticator for [`crate::http::bearer::protect`].
    pub fn authenticator(self: &Arc<Self>) -> Authenticator {
        let state = Arc::clone(self);
        Authenticator::new(move |token| {
            let state = Arc::clone(&state);
            async move { state.auth.authenticate(&state.db, &token).await }
        })
    }
}

/// The accounts of a service over HTTP.
pub trait HttpAccounts: 'static {
    /// The users.
    type Accounts: Accounts<SignUp: DeserializeOwned + ToSchema>;
    /// The profile that users see of themselves.
    type Profile: Serialize + ToSchema + 'static;

    /// The codes that registering can fail with, besides those of invalid input.
    const SIGN_UP_ERRORS: &'static [Code];

    /// The profile of an account.
    fn profile(auth: &Auth<Self::Accounts>, account: &AccountOf<Self>) -> Self::Profile;
}

/// The user type of a service's accounts.
pub type AccountOf<H> = <<H as HttpAccounts>::Accounts as Accounts>::Account;

/// A username or an e-mail address, as it is entered to sign in.
pub type LoginName = Text<0, 320>;
/// A password, as it is entered to sign in. Longer ones than bcrypt reads are wrong rather than invalid.
pub type LoginPassword = Text<0, 1024, PasswordFormat>;
/// A refresh token.
pub type RefreshToken = Text<0, 128>;
/// Scopes, separated by spaces.
pub type ScopeList = Text<0, 2000>;

/// A name and a password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "ada", "password": "Correct-Horse-1"}))]
pub struct Login {
    /// The username or the e-mail address, without regard to case.
    pub username: LoginName,
    /// The password.
    pub password: LoginPassword,
}

/// A token request (RFC 6749, sections 4.3 and 6). An empty parameter counts as absent, and an unknown one is ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"grant_type": "password", "username": "ada", "password": "Correct-Horse-1"}))]
pub struct TokenRequest {
    /// `password`, the default, or `refresh_token`.
    #[serde(default = "password_grant")]
    #[schema(default = "password")]
    pub grant_type: String,
    /// For `password`: the username or the e-mail address.
    #[serde(default)]
    pub username: Change<LoginName>,
    /// For `password`: the password.
    #[serde(default)]
    pub password: Change<LoginPassword>,
    /// For `refresh_token`: the refresh token. It is valid once.
    #[serde(default)]
    pub refresh_token: Change<RefreshToken>,
    /// For `password`: the requested scopes, separated by spaces. All that the user's group has if absent. Scopes that the
    /// group does not have are left out.
    #[serde(default)]
    pub scope: Change<ScopeList>,
}

fn password_grant() -> String {
    "password".to_owned()
}

/// A refresh token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "refresh_token": "VGhlc2UgMzIgYnl0ZXMgcmVtYWluIHRoZSBzYW1lLiBUaGVzZSBjaGFuZ2Ugd2l0aCBldmVyeSByZWZyZXNoLg"
}))]
pub struct Refresh {
    /// The refresh token. It is valid once.
    pub refresh_token: RefreshToken,
}

/// Tokens, and the user that they are for.
#[derive(Debug, Serialize)]
pub struct SignedInAs<P> {
    /// The tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// Your profile.
    pub user: P,
}

// Written by hand, as a derived schema does not name the schema of the profile.
impl<P: ToSchema> PartialSchema for SignedInAs<P> {
    fn schema() -> RefOr<Schema> {
        let user = ObjectBuilder::new().property("user", Ref::from_schema_name(P::name())).required("user");
        AllOfBuilder::new()
            .description(Some("Tokens, and the user who got them."))
            .item(Ref::from_schema_name(Tokens::name()))
            .item(user)
            .into()
    }
}

impl<P: ToSchema> ToSchema for SignedInAs<P> {
    fn name() -> Cow<'static, str> {
        format!("SignedInAs_{}", P::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Tokens::name().into_owned(), Tokens::schema()));
        schemas.push((P::name().into_owned(), P::schema()));
        P::schemas(schemas);
    }
}

impl Validate for Login {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Validate for Refresh {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Validate for TokenRequest {
    fn validate(&self, errors: &mut FieldErrors) {
        let mut need = |absent: bool, field| {
            errors.check(!absent, field, "missing", "is required for this grant_type");
        };
        match self.grant_type.as_str() {
            "password" => {
                need(self.username.is_absent(), "username");
                need(self.password.is_absent(), "password");
            }
            "refresh_token" => need(self.refresh_token.is_absent(), "refresh_token"),
            // The handler refuses another grant type, with a code of its own.
            _ => {}
        }
    }
}

/// Adds the operations below `/auth`, and `/.well-known/jwks.json`.
///
/// None of them takes an `Idempotency-Key`, as a repeat could not return the same tokens: only their hashes are stored.
pub fn routes<H: HttpAccounts>(routes: &mut Routes) {
    routes.tag("auth", "Register, sign in and out, and refresh tokens.");
    routes
        .post("/auth/register", "auth_register", "Register", register::<H>)
        .describe("Creates an account and signs it in.")
        .errors(&[BUSY])
        .errors(H::SIGN_UP_ERRORS);
    routes
        .post("/auth/login", "auth_login", "Sign in", login::<H>)
        .describe(
            "Starts a session and returns its tokens. The error does not reveal whether the username or the password is wrong.",
        )
        .errors(&[codes::BAD_CREDENTIALS, BUSY]);
    routes
        .post("/auth/token", "auth_token", "Request tokens (OAuth 2.0)", token::<H>)
        .describe(
            "Supports the grants `password` and `refresh_token` of RFC 6749. The Authorize dialog uses it. A refusal has \
             the members `error` and `error_description` besides those of a problem.",
        )
        .errors(&[BUSY]);
    routes
        .post("/auth/refresh", "auth_refresh", "Refresh tokens", refresh::<H>)
        .describe(
            "Exchanges a refresh token for new tokens. A refresh token can be used once. For a few seconds it gives the same \
             new refresh token again, in case the response was lost; using it later ends the session.",
        )
        .errors(&[codes::INVALID_TOKEN, codes::TOKEN_EXPIRED, codes::SESSION_ENDED]);
    routes
        .post("/auth/logout", "auth_logout", "Sign out", logout::<H>)
        .describe("Ends this session. Its access token and its refresh token stop working at once.");
    password::routes::<H>(routes);
    sessions::routes::<H>(routes);
    keys::routes::<H>(routes);
}

async fn register<H: HttpAccounts>(
    client: FromClient,
    state: Data<AuthState<H::Accounts>>,
    body: SignUpBody<H::Accounts>,
) -> Result<Created<SignedInAs<H::Profile>>, Problem> {
    let grant = state.auth.sign_up(&state.db, body.0, &client.0).await?;
    Ok(Created(signed_in::<H>(&state.auth, grant)))
}

async fn login<H: HttpAccounts>(
    client: FromClient,
    state: Data<AuthState<H::Accounts>>,
    body: Body<Login>,
) -> Result<Json<SignedInAs<H::Profile>>, Problem> {
    let Login { username, password } = body.0;
    let grant = state.auth.sign_in(&state.db, &username, &password, None, &client.0).await?;
    Ok(Json(signed_in::<H>(&state.auth, grant)))
}

async fn token<H: HttpAccounts>(
    client: FromClient,
    state: Data<AuthState<H::Accounts>>,
    form: TokenForm,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(grant(&state, form.0, &client.0).await.map_err(token_error)?))
}

async fn grant<A: Accounts>(
    state: &AuthState<A>,
    request: TokenRequest,
    client: &ClientInfo,
) -> groundwork_core::Result<Tokens> {
    let TokenRequest { grant_type, username, password, refresh_token, scope } = request;
    match (grant_type.as_str(), username, password, refresh_token) {
        ("refresh_token", _, _, Change::Value(token)) => state.auth.refresh(&state.db, &token, client).await,
        ("password", Change::Value(username), Change::Value(password), _) => {
            let scope = scope.value().map(|scope| &**scope);
            let grant = state.auth.sign_in(&state.db, &username, &password, scope, client);
            Ok(grant.await?.tokens)
        }
        _ => Err(UNSUPPORTED_GRANT_TYPE.error("grant_type must be 'password' or 'refresh_token'")),
    }
}

async fn refresh<H: HttpAccounts>(
    client: FromClient,
    state: Data<AuthState<H::Accounts>>,
    body: Body<Refresh>,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(state.auth.refresh(&state.db, &body.0.refresh_token, &client.0).await?))
}

async fn logout<H: HttpAccounts>(
    caller: Scoped<SignedIn>,
    state: Data<AuthState<H::Accounts>>,
) -> Result<NoContent, Problem> {
    state.auth.sign_out(&state.db, &caller).await?;
    Ok(NoContent)
}

fn signed_in<H: HttpAccounts>(
    auth: &Auth<H::Accounts>,
    grant: Grant<AccountOf<H>>,
) -> SignedInAs<H::Profile> {
    SignedInAs { user: H::profile(auth, &grant.account), tokens: grant.tokens }
}
