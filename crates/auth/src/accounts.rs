//! The users of a service, as signing in needs them, and the tokens that they get.

use std::future::Future;

use groundwork_core::{Result, Tx, Uuid, Validate};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The data of a user that signing in needs.
pub trait Account: Send + Sync {
    /// The user's id.
    fn id(&self) -> Uuid;
    /// The bcrypt hash of the password.
    fn password_hash(&self) -> &str;
    /// Returns whether the user may sign in.
    fn is_active(&self) -> bool;
    /// The name of the user's permission group.
    fn group(&self) -> &str;
}

/// The users of a service, for registering and signing in.
pub trait Accounts: Clone + Send + Sync + 'static {
    /// A user.
    type Account: Account;
    /// The input of signing up.
    type SignUp: Validate + Send + Sync;

    /// The password in the input, in its field `password`. The [`Policy`](crate::Policy) checks it.
    fn password<'a>(&self, sign_up: &'a Self::SignUp) -> &'a str;

    /// Finds a user by name, or by whatever else the service accepts, such as an e-mail address. Case does not matter.
    fn find_by_login<C: ConnectionTrait>(
        &self,
        conn: &C,
        login: &str,
    ) -> impl Future<Output = Result<Option<Self::Account>>> + Send;

    /// Finds a user by id, and locks the row until the transaction ends.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Option<Self::Account>>> + Send;

    /// Adds a user.
    ///
    /// # Errors
    /// The errors of the service, for example for a name that is taken.
    fn create(
        &self,
        tx: &Tx,
        sign_up: Self::SignUp,
        password_hash: String,
    ) -> impl Future<Output = Result<Self::Account>> + Send;

    /// Stores another hash of the user's password. Nothing else of the user changes.
    fn set_password_hash(
        &self,
        tx: &Tx,
        id: Uuid,
        password_hash: String,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The tokens of a session (RFC 6749, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// The token for the header `Authorization: Bearer …`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2ln")]
    pub access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    pub token_type: String,
    /// How long the access token is valid, in seconds.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// The token for the next pair of tokens. It is valid once.
    #[schema(
        example = "VGhlc2UgMzIgYnl0ZXMgcmVtYWluIHRoZSBzYW1lLiBUaGVzZSBjaGFuZ2Ugd2l0aCBldmVyeSByZWZyZXNoLg"
    )]
    pub refresh_token: String,
    /// The scopes of the access token, separated by spaces.
    #[schema(example = "messages:read messages:write")]
    pub scope: String,
}

/// Tokens, and the user that they are for.
#[derive(Debug)]
pub struct Grant<A> {
    /// The tokens.
    pub tokens: Tokens,
    /// The user.
    pub account: A,
}
