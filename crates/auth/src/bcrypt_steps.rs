//! bcrypt in steps, between which the thread yields its core.
//!
//! A hash takes a quarter of a second on purpose. The scheduler of Linux gives a thread, whatever its priority, some
//! milliseconds before another one that has become ready takes its core, so each other request would wait for them. This
//! yields after each round, of which each takes about 50 µs, and a request waits for one round only.
//!
//! The rounds are those of the `blowfish` crate, as in the `bcrypt` crate, and the hashes are the same.

use std::thread;

use base64::Engine;
use bcrypt::{BASE_64, BcryptError, BcryptResult, HashParts};
use blowfish::Blowfish;
use subtle::ConstantTimeEq;

/// What bcrypt encrypts 64 times: `OrpheanBeholderScryDoubt`.
const TEXT: [[u32; 2]; 3] =
    [[0x4f72_7068, 0x6561_6e42], [0x6568_6f6c, 0x6465_7253], [0x6372_7944, 0x6f75_6274]];
/// The length of a hash without its parameters and its salt.
const HASH_CHARS: usize = 31;

/// Returns the hash of a password of at most 72 bytes, with a new salt, as `bcrypt::hash` does.
pub(crate) fn hash(password: &[u8], cost: u32) -> BcryptResult<String> {
    if !(4..=31).contains(&cost) {
        return Err(BcryptError::CostNotAllowed(cost));
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    Ok(format!("$2b${cost:02}${}{}", BASE_64.encode(salt), digest(password, cost, salt)))
}

/// Returns whether `hash` is that of the password, as `bcrypt::verify` does.
pub(crate) fn verify(password: &[u8], hash: &str) -> BcryptResult<bool> {
    let parts: HashParts = hash.parse()?;
    let cost = parts.get_cost();
    if !(4..=31).contains(&cost) {
        return Err(BcryptError::CostNotAllowed(cost));
    }
    let expected = hash.len().checked_sub(HASH_CHARS).and_then(|start| hash.get(start..)).unwrap_or_default();
    let found = digest(password, cost, parts.get_salt_raw());
    Ok(found.as_bytes().ct_eq(expected.as_bytes()).into())
}

/// The last part of a hash.
fn digest(password: &[u8], cost: u32, salt: [u8; 16]) -> String {
    // The key ends with a NUL, and has at most 72 bytes.
    let key: Vec<u8> = password.iter().copied().chain([0]).take(72).collect();
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(&salt, &key);
    for _ in 0..1_u32 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(&salt);
        thread::yield_now();
    }
    let encrypted = TEXT.map(|text| (0..64).fold(text, |text, _| state.bc_encrypt(text)));
    let bytes = encrypted.concat().into_iter().flat_map(u32::to_be_bytes);
    // The last byte is not in a hash.
    BASE_64.encode(bytes.take(23).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_bcrypt() {
        let longest = "x".repeat(72);
        for password in ["", "a", "Correct-Horse-1", "Gr\u{fc}\u{df}e \u{1F600}", &longest[..71], &longest] {
            let own = hash(password.as_bytes(), 4).unwrap();
            assert!(bcrypt::verify(password, &own).unwrap(), "{password}");
            assert!(!bcrypt::verify("another", &own).unwrap());
            let parts: HashParts = own.parse().unwrap();
            let plain = bcrypt::hash_with_salt(password, 4, parts.get_salt_raw()).unwrap();
            assert_eq!(own, plain.to_string());
            for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoX, bcrypt::Version::TwoY] {
                let other = plain.format_for_version(version);
                assert!(verify(password.as_bytes(), &other).unwrap());
                assert!(!verify(b"another", &other).unwrap());
            }
        }
        assert!(verify(b"longer", "$2b$04$").is_err());
        assert!(hash(b"costs", 3).is_err());
        let parts = bcrypt::hash_with_salt("cost", 6, [7; 16]).unwrap();
        assert!(verify(b"cost", &parts.to_string()).unwrap());
    }
}
