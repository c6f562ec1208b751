//! The public keys of access tokens, for other services that accept them.

use actix_web::web::Data;
use groundwork_auth::PublicKey;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AuthState, HttpAccounts};
use crate::{Json, Routes};

/// A JSON Web Key Set (RFC 7517, section 5).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicKeys {
    /// The public keys. Empty if access tokens are signed with a secret.
    pub keys: Vec<PublicKey>,
}

pub(super) fn routes<H: HttpAccounts>(routes: &mut Routes) {
    routes.at_root(|routes| {
        routes.get("/.well-known/jwks.json", "auth_keys", "List the public keys", keys::<H>).describe(
            "Returns the public keys that verify access tokens, as a JSON Web Key Set (RFC 7517). The header of a token \
             names its key by `kid`. The set is empty if access tokens are signed with a secret.\n\nA valid signature does \
             not say that the session of the token is still alive: a service that must know asks this one.",
        );
    });
}

async fn keys<H: HttpAccounts>(state: Data<AuthState<H::Accounts>>) -> Json<PublicKeys> {
    Json(PublicKeys { keys: state.auth.public_keys() })
}
