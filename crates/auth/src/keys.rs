//! The keys that sign and verify access tokens.
//!
//! A token that was signed with a private key names it by `kid` (RFC 7515, section 4.1.4), the thumbprint of the public key
//! (RFC 7638). One that was signed with the secret has no `kid`. A key verifies only tokens of its own algorithm.
//!
//! ```
//! use groundwork_auth::SigningKey;
//!
//! let pem = "-----BEGIN PRIVATE KEY-----
//! MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
//! -----END PRIVATE KEY-----
//! ";
//! let key = SigningKey::from_pem(pem).unwrap();
//! let public = key.public().unwrap();
//! assert_eq!(public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
//! assert_eq!(public.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
//! assert!(SigningKey::from_secret(b"at least thirty-two bytes of secret").unwrap().public().is_none());
//! ```

use std::fmt;

use groundwork_core::{Error, Result};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk, ThumbprintHash},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The least number of bytes in the signing secret: the size of a hash of HS256 (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// A key that signs and verifies access tokens: a secret for HS256, or a private key of Ed25519 for `EdDSA`.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    public: Option<PublicKey>,
}

/// A public key as JSON Web Key (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublicKey {
    /// The kind of key.
    #[schema(example = "OKP")]
    pub kty: &'static str,
    /// The curve.
    #[schema(example = "Ed25519")]
    pub crv: &'static str,
    /// The key, base64url.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    pub x: String,
    /// The id of the key, which the header of a token names.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    pub kid: String,
    /// The algorithm of the signatures.
    #[schema(example = "EdDSA")]
    pub alg: &'static str,
    /// What the key is for: `sig`, signatures.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub used_for: &'static str,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningKey");
        shown.field("algorithm", &self.algorithm).field("kid", &self.kid()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A key for HS256.
    ///
    /// # Errors
    /// `internal` for fewer than 32 bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(Error::internal("the signing secret has fewer than 32 bytes"));
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            public: None,
        })
    }

    /// A key for `EdDSA` from a PEM text with a private key of Ed25519 in PKCS #8, as `openssl genpkey -algorithm ed25519` writes
    /// it.
    ///
    /// # Errors
    /// `internal` for another text. The error does not show it.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let refused = || Error::internal("it is not a PEM file with an Ed25519 private key in PKCS #8");
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| refused())?;
        if label != "PRIVATE KEY" {
            return Err(refused());
        }
        let (algorithm, encoding) = (Algorithm::EdDSA, EncodingKey::from_ed_der(&der));
        let jwk = Jwk::from_encoding_key(&encoding, algorithm).map_err(|_| refused())?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(Error::internal)?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(Error::internal)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { return Err(refused()) };
        let public = PublicKey { kty: "OKP", crv: "Ed25519", x: pair.x, kid, alg: "EdDSA", used_for: "sig" };
        Ok(Self { algorithm, encoding, decoding, public: Some(public) })
    }

    /// The public key; `None` for a secret.
    pub fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// The id of the key in the header of its tokens; `None` for a secret.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.public.as_ref().map(|public| public.kid.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_keys_of_ed25519_are_taken() {
        // Of Ed25519, but public; of P-256; of Ed25519, but cut short.
        let bodies = [
            ("PUBLIC KEY", "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
            ("PRIVATE KEY", "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
            ("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMc"),
            ("PRIVATE KEY", "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"),
            ("EC PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"),
        ];
        for (label, body) in bodies {
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            assert!(SigningKey::from_pem(&pem).is_err(), "{pem}");
        }
        assert!(SigningKey::from_pem("").is_err());
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = SigningKey::from_secret(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { algorithm: HS256, kid: None, .. }");
    }
}
