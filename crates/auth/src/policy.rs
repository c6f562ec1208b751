//! What a new password must be like.
//!
//! The rules are those of NIST SP 800-63B-4, section 3.1.1.2: a password is long, and not among those that everybody tries
//! first. Which kinds of characters it has does not matter, unless the service asks for the rule of older systems.
//!
//! ```
//! use groundwork_auth::Policy;
//! use groundwork_core::FieldErrors;
//!
//! let codes = |policy: Policy, password: &str| {
//!     let mut errors = FieldErrors::new();
//!     policy.check("password", password, &mut errors);
//!     errors.into_vec().into_iter().map(|error| error.code).collect::<Vec<_>>()
//! };
//! assert!(codes(Policy::default(), "correct horse battery").is_empty());
//! assert_eq!(codes(Policy::default(), "Password1"), ["too_common"]);
//! let older = Policy { composition: true, ..Policy::default() };
//! assert_eq!(codes(older, "correct horse battery"), ["no_digit", "no_upper_case"]);
//! ```

use std::{collections::HashSet, sync::LazyLock};

use groundwork_core::{FieldErrors, validate::counted};

/// The maximum length of a password, in bytes: bcrypt reads no more. Longer passwords are refused, never truncated.
pub const MAX_BYTES: usize = 72;
/// The least that a service can set as the minimum length of a password, in characters.
pub const MIN_CHARS: usize = 8;
/// The most that a service can set as the minimum length of a password, in characters.
pub const MAX_MIN_CHARS: usize = 64;

/// The most common passwords in published leaks, in lower case, from 8 characters on: the list of `@zxcvbn-ts/language-common`
/// 4.1.3, whose licence is beside it.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// What a new password must be like. A password that exists is never checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The minimum length, in characters (Unicode scalar values).
    pub min_chars: usize,
    /// Whether it must contain a digit and an upper-case letter.
    pub composition: bool,
}

impl Default for Policy {
    /// At least 8 characters.
    fn default() -> Self {
        Self { min_chars: MIN_CHARS, composition: false }
    }
}

impl Policy {
    /// Adds an error for each rule that a new password breaks.
    pub fn check(&self, field: &str, password: &str, errors: &mut FieldErrors) {
        let has = |test: fn(char) -> bool| password.chars().any(test);
        let at_least = format!("must have at least {}", counted(self.min_chars, "character"));
        errors.check(password.chars().count() >= self.min_chars, field, "too_short", at_least);
        errors.check(password.len() <= MAX_BYTES, field, "too_long", "must have at most 72 bytes in UTF-8");
        errors.check(!has(|c| c == '\0'), field, "bad_value", "must not contain NUL");
        if self.composition {
            errors.check(has(|c| c.is_ascii_digit()), field, "no_digit", "must contain a digit");
            let upper = has(char::is_uppercase);
            errors.check(upper, field, "no_upper_case", "must contain an upper-case letter");
        }
        let common = COMMON.contains(password.to_lowercase().as_str());
        errors.check(!common, field, "too_common", "must not be one of the most common passwords");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(policy: Policy, password: &str) -> Vec<String> {
        let mut errors = FieldErrors::new();
        policy.check("password", password, &mut errors);
        errors.into_vec().into_iter().map(|error| error.code).collect()
    }

    #[test]
    fn every_fault_is_named() {
        let plain = Policy::default();
        assert_eq!(codes(plain, "short"), ["too_short"]);
        assert_eq!(codes(plain, "ää"), ["too_short"], "characters count, not bytes");
        assert_eq!(codes(plain, &"Ä1".repeat(25)), ["too_long"]);
        assert_eq!(codes(plain, "nul is \0 here"), ["bad_value"]);
        assert!(codes(plain, "eight of them").is_empty());
        assert!(codes(plain, &"x".repeat(72)).is_empty());
        let older = Policy { composition: true, ..plain };
        assert_eq!(codes(older, "short"), ["too_short", "no_digit", "no_upper_case"]);
        assert!(codes(older, "Correct-Horse-1").is_empty());
        let longer = Policy { min_chars: 15, ..plain };
        assert_eq!(codes(longer, "fourteen chars"), ["too_short"]);
        assert!(codes(longer, "fifteen of them").is_empty());
    }

    #[test]
    fn the_most_common_are_refused_in_any_case() {
        for common in ["password", "12345678", "QWERTYUIOP", "Passw0rd", "PassWord1", "iloveyou1"] {
            assert_eq!(codes(Policy::default(), common), ["too_common"], "{common}");
        }
        assert!(codes(Policy::default(), "Passw0rd and more").is_empty(), "the whole password counts");
    }

    #[test]
    fn the_list_has_what_could_be_entered_otherwise() {
        assert!(COMMON.len() > 10_000);
        for common in COMMON.iter() {
            assert_eq!(*common, common.to_lowercase());
            assert!(common.chars().count() >= MIN_CHARS && common.len() <= MAX_BYTES, "{common}");
        }
    }
}
