//! A key in `JWT_KEYS`.

use std::fs;

use groundwork_auth::SigningKey;
use serde::Deserialize;

/// A key that signs and verifies access tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum JwtKey {
    /// `JWT_SECRET`.
    Secret,
    /// The key in a PEM file.
    Pem(Box<SigningKey>),
}

impl TryFrom<String> for JwtKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const RULE: &str = "name PEM files with an Ed25519 private key each (`openssl genpkey -algorithm ed25519`), or `secret` \
                            for `JWT_SECRET`, separated by commas";
        if text == "secret" {
            return Ok(Self::Secret);
        }
        // No file has such a name; it asks for the rule.
        if text.contains('\0') {
            return Err(RULE.to_owned());
        }
        // Not the text: it may be the key itself, by mistake.
        let read =
            fs::read_to_string(&text).map_err(|error| format!("{RULE}; a file can't be read: {error}"))?;
        SigningKey::from_pem(&read)
            .map(|key| Self::Pem(Box::new(key)))
            .map_err(|_| format!("{RULE}; a file has no such key"))
    }
}
