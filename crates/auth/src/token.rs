//! Access tokens: JWTs (RFC 7519) signed with HS256 or `EdDSA`, and the caller that one names.
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

use std::{sync::Arc, time::Duration};

use groundwork_core::{Error, Result, Timestamp, Uuid, error::codes};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::{Scope, Scopes, SigningKey};

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

/// Issues and reads access tokens. One key signs, and any of several verifies.
#[derive(Clone, Debug)]
pub struct AccessTokens {
    /// The first one signs.
    keys: Arc<[SigningKey]>,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: Duration,
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
        Self::with_keys(vec![SigningKey::from_secret(secret)?], issuer, audience, lifetime)
    }

    /// As [`new`](Self::new), with several keys. The first one signs, and each verifies, so that a key can be replaced while
    /// tokens of the one before are in use.
    ///
    /// # Errors
    /// `internal` for no key.
    pub fn with_keys(
        keys: Vec<SigningKey>,
        issuer: &str,
        audience: &str,
        lifetime: Duration,
    ) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::internal("there is no key to sign access tokens"));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The time is checked below, against the injected clock.
        validation.validate_exp = false;
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(Self { keys: keys.into(), validation, issuer, audience, lifetime })
    }

    /// The keys.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
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
        let key = self.keys.first().ok_or_else(|| Error::internal("no key signs access tokens"))?;
        let header = Header { kid: key.kid().map(str::to_owned), ..Header::new(key.algorithm) };
        encode(&header, &claims, &key.encoding).map_err(Error::internal)
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
        let kid = decode_header(token).ok()?.kid;
        let key = self.keys.iter().find(|key| key.kid() == kid.as_deref())?;
        // The algorithm is that of the key, whatever the token says.
        let validation = Validation { algorithms: vec![key.algorithm], ..self.validation.clone() };
        let claims = decode::<Claims>(token, &key.decoding, &validation).ok()?.claims;
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

    const OLD: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
    const NEW: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7
-----END PRIVATE KEY-----
";

    fn with(keys: &[SigningKey]) -> AccessTokens {
        AccessTokens::with_keys(keys.to_vec(), "us", "api", Duration::from_mins(1)).unwrap()
    }

    /// From the secret to a key, and from one key to the next: at each step the tokens of the step before are accepted, and in the
    /// end only those of the last key.
    #[test]
    fn keys_are_replaced_step_by_step() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let secret = SigningKey::from_secret(SECRET).unwrap();
        let [old, new] = [OLD, NEW].map(|pem| SigningKey::from_pem(pem).unwrap());
        let steps = [
            vec![secret.clone()],
            vec![secret.clone(), old.clone()],
            vec![old.clone(), secret],
            vec![old.clone(), new.clone()],
            vec![new.clone(), old],
            vec![new],
        ];
        let steps: Vec<_> = steps.iter().map(|keys| with(keys)).collect();
        for pair in steps.windows(2) {
            for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let token = one.issue(&caller(), now).unwrap();
                assert_eq!(other.read(&token, now).unwrap(), caller());
            }
        }
        let first = steps[0].issue(&caller(), now).unwrap();
        assert_eq!(steps[5].read(&first, now).unwrap_err().code().name, "invalid_token");
        assert_eq!(steps[3].read(&first, now).unwrap_err().code().name, "invalid_token");
        assert!(AccessTokens::with_keys(vec![], "us", "api", Duration::from_mins(1)).is_err());
    }

    /// A public key is public: a token that was signed with it as if it were a secret is refused, and so is one that names a key
    /// that it was not signed with.
    #[test]
    fn the_algorithm_is_that_of_the_key() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let old = SigningKey::from_pem(OLD).unwrap();
        let public = old.public().unwrap().clone();
        let both = with(&[old, SigningKey::from_secret(SECRET).unwrap()]);
        let good = both.issue(&caller(), now).unwrap();
        let claims = decode::<Claims>(
            &good,
            &both.keys[0].decoding,
            &Validation { algorithms: vec![Algorithm::EdDSA], ..both.validation.clone() },
        );
        let claims = claims.unwrap().claims;
        let forge = |algorithm: Algorithm, kid: Option<&str>, key: &SigningKey| {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
            encode(&header, &claims, &key.encoding).unwrap()
        };
        let raw = SigningKey::from_secret(public.x.as_bytes()).unwrap();
        let new = SigningKey::from_pem(NEW).unwrap();
        let kid = Some(public.kid.as_str());
        for forged in [
            forge(Algorithm::HS256, kid, &raw),
            forge(Algorithm::HS256, None, &raw),
            forge(Algorithm::HS256, kid, &both.keys[1]),
            forge(Algorithm::EdDSA, None, &both.keys[0]),
            forge(Algorithm::EdDSA, kid, &new),
            forge(Algorithm::EdDSA, new.kid(), &new),
            forge(Algorithm::EdDSA, Some("../secret"), &new),
        ] {
            assert_eq!(both.read(&forged, now).unwrap_err().code().name, "invalid_token", "{forged}");
        }
        assert!(both.read(&forge(Algorithm::EdDSA, kid, &both.keys[0]), now).is_ok());
        assert!(both.read(&forge(Algorithm::HS256, None, &both.keys[1]), now).is_ok());
    }

    #[test]
    fn need_a_long_secret() {
        assert!(AccessTokens::new(&SECRET[1..], "us", "api", Duration::from_mins(1)).is_err());
    }
}
