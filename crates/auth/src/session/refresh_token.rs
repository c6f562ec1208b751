//! The text of a refresh token, and its hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_core::{Error, Result};
use sha2::{Digest, Sha256};

/// A refresh token in its two parts.
pub(super) struct RefreshToken {
    family: [u8; 32],
    secret: [u8; 32],
}

impl RefreshToken {
    /// The first token of a session.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { family: random()?, secret: random()? })
    }

    /// The next token of the same session. It follows from this one and `seed`: who has both gets it again, and who has only
    /// one of them learns nothing.
    pub(super) fn next(&self, seed: &str) -> Self {
        let secret = Sha256::new_with_prefix(seed).chain_update(self.secret).finalize();
        Self { family: self.family, secret: secret.into() }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes: [u8; 64] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (family, secret) = bytes.split_first_chunk()?;
        Some(Self { family: *family, secret: secret.try_into().ok()? })
    }

    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.family, self.secret].concat())
    }

    /// The hash of the part that stays the same.
    pub(super) fn family_hash(&self) -> String {
        hash(&self.family)
    }

    /// The hash of the part that changes.
    pub(super) fn secret_hash(&self) -> String {
        hash(&self.secret)
    }
}

/// A new seed for [`RefreshToken::next`].
pub(super) fn new_seed() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random()?))
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(bytes)
}

fn hash(part: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(part))
}
