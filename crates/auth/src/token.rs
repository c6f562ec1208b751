//! Access tokens: JWTs (RFC 7519) signed with HS256, and the caller that one names.
//!
//! ```
//! use std::time::Duration;
//!
//! use groundwork_auth::{AccessTokens, Caller, Scopes};
//! use groundwork_core::{Clock, Uuid, clock::SystemClock};
//!
//! let secret = b"at least thirty-two bytes of secret";
//! let tokens = AccessTokens::new(secret, "my-service", "my-service", Duration::from_mins(15)).unwrap();
//! let now = SystemClock.now();
//! let (user_id, session_id, scopes) = (Uuid::nil(), Uuid::nil(), Scopes::parse("notes:read"));
//! let caller = Caller { user_id, session_id, scopes, expires_at: now + tokens.lifetime() };
//! let token = tokens.issue(&caller, now).unwrap();
//! assert_eq!(tokens.read(&token, now).unwrap().user_id, caller.user_id);
//! assert!(tokens.read(&token, now + Duration::from_mins(15)).is_err());
//! ```

use std::{fmt, time::Duration};

use groundwork_core::{Error, Result, Timestamp, Uuid, error::codes};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::{Scope, Scopes};

/// The least number of bytes in the signing secret: the size of a hash of HS256 (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The caller of a request: proof that it carried a valid access token of a live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// The session that the token belongs to.
    pub session_id: Uuid,
    /// The scopes of the token.
    pub scopes: Scopes,
    /// When the token expires, to the second.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Returns whether the token has the scope.
    pub fn has<S: Scope>(&self) -> bool {
        self.scopes.contains(S::NAME)
    }

    /// Checks that the token has not expired.
    ///
    /// # Errors
    /// `token_expired`.
    pub(crate) fn require_unexpired(&self, now: Timestamp) -> Result<()> {
        if now < self.expires_at {
            return Ok(());
        }
        Err(codes::TOKEN_EXPIRED.error("the access token has expired"))
    }

    /// Checks that the token has the scope.
    ///
    /// # Errors
    /// `missing_scope`.
    pub fn require<S: Scope>(&self) -> Result<()> {
        if self.has::<S>() {
            return Ok(());
        }
        Err(codes::MISSING_SCOPE.error(format!("this operation requires the scope {}", S::NAME)))
    }
}

/// Issues and reads access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: Duration,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    scope: String,
    iat: i64,
    exp: i64,
}

impl AccessTokens {
    /// Tokens of `issuer` for `audience`, each valid for `lifetime`.
    ///
    /// # Errors
    /// `internal` for a secret of less than 32 bytes.
    pub fn new(secret: &[u8], issuer: &str, audience: &str, lifetime: Duration) -> Result<Self> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(Error::internal("the signing secret has fewer than 32 bytes"));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The time is checked below, against the injected clock.
        validation.validate_exp = false;
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            lifetime,
        })
    }

    /// How long a token is valid.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Signs a token for `caller`, valid until its `expires_at`.
    pub fn issue(&self, caller: &Caller, now: Timestamp) -> Result<String> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: caller.user_id,
            sid: caller.session_id,
            scope: caller.scopes.to_string(),
            iat: now.unix_seconds(),
            exp: caller.expires_at.unix_seconds(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(Error::internal)
    }

    /// Returns the caller that the token names. [`Auth::authenticate`](crate::Auth::authenticate) also checks the session.
    ///
    /// # Errors
    /// `invalid_token` for a token that was not signed by this service for this audience; `token_expired`.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Caller> {
        let caller = self.verify(token).ok_or_else(invalid_token)?;
        caller.require_unexpired(now)?;
        Ok(caller)
    }

    /// Returns the caller of a token of this service, also if it has expired.
    pub(crate) fn verify(&self, token: &str) -> Option<Caller> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        Some(Caller {
            user_id: claims.sub,
            session_id: claims.sid,
            scopes: Scopes::parse(&claims.scope),
            expires_at: Timestamp::from_unix_seconds(claims.exp),
        })
    }
}

pub(crate) fn invalid_token() -> Error {
    codes::INVALID_TOKEN.error("the access token is not valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn tokens(secret: &[u8], issuer: &str, audience: &str) -> AccessTokens {
        AccessTokens::new(secret, issuer, audience, Duration::from_mins(1)).unwrap()
    }

    fn caller() -> Caller {
        Caller {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            scopes: Scopes::parse("a b"),
            expires_at: "2026-01-01T00:01:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn name_the_caller_until_they_expire() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ours = tokens(SECRET, "us", "api");
        let token = ours.issue(&caller(), now).unwrap();
        assert_eq!(ours.read(&token, now + Duration::from_secs(59)).unwrap(), caller());
        let late = ours.read(&token, now + Duration::from_mins(1)).unwrap_err();
        assert_eq!(late.code().name, "token_expired");
    }

    #[test]
    fn of_others_are_refused() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ours = tokens(SECRET, "us", "api");
        let signed_by = |issuer: &AccessTokens| issuer.issue(&caller(), now).unwrap();
        let token = signed_by(&ours);
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        for foreign in [
            signed_by(&tokens(b"another secret that is long enough", "us", "api")),
            signed_by(&tokens(SECRET, "them", "api")),
            signed_by(&tokens(SECRET, "us", "other")),
            unsigned,
            format!("{token}x"),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(ours.read(&foreign, now).unwrap_err().code().name, "invalid_token", "{foreign}");
        }
    }

    #[test]
    fn need_a_long_secret() {
        assert!(AccessTokens::new(&SECRET[1..], "us", "api", Duration::from_mins(1)).is_err());
    }
}
