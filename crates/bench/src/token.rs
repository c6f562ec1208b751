//! Access tokens, signed as the service signs them: a sign-in takes a quarter of a second of CPU time.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Result;

const SCOPES: &str = "profile threads:read threads:write messages:read messages:write";
/// A day, in seconds.
const LIFETIME: u64 = 24 * 3600;

/// The seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the bench has no database handle")]
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Returns an access token of a session: a JWT with HS256.
pub fn sign(secret: &str, user: Uuid, session: Uuid, now: u64) -> String {
    let claims = json!({
        "iss": "messenger", "aud": "messenger", "sub": user, "sid": session, "scope": SCOPES,
        "iat": now, "exp": now + LIFETIME,
    });
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(r#"{"typ":"JWT","alg":"HS256"}"#), encode(&claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(hmac(secret.as_bytes(), signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// HMAC with SHA-256 (RFC 2104), for keys of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let keyed = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        Sha256::new().chain_update(block)
    };
    let inner = keyed(0x36).chain_update(message).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    /// RFC 4231, test case 2.
    #[test]
    fn the_code_is_that_of_the_standard() {
        let code = super::hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(code[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }
}
