//! The refusals of a token endpoint (RFC 6749, section 5.2), and of a protected resource (RFC 6750, section 3.1).
//!
//! ```
//! use groundwork_auth::oauth;
//! use groundwork_core::error::codes;
//!
//! assert_eq!(oauth::token_error(codes::BAD_CREDENTIALS.error("wrong password")).code(), oauth::INVALID_GRANT);
//! assert_eq!(oauth::bearer_error(codes::TOKEN_EXPIRED), Some("invalid_token"));
//! assert_eq!(oauth::bearer_error(codes::UNAUTHENTICATED), None);
//! ```

use groundwork_core::{Code, Error, Kind, error::codes};

/// The request lacks a parameter, repeats one, or is otherwise malformed.
pub const INVALID_REQUEST: Code =
    Code::new("invalid_request", Kind::Malformed, "The token request is not valid")
        .example("password is required for this grant_type");
/// The name and password, or the refresh token, are not valid.
pub const INVALID_GRANT: Code =
    Code::new("invalid_grant", Kind::Malformed, "The credentials or the refresh token are not valid")
        .example("the name or the password is wrong, or the account is not active");
/// The grant type is neither `password` nor `refresh_token`.
pub const UNSUPPORTED_GRANT_TYPE: Code =
    Code::new("unsupported_grant_type", Kind::Malformed, "The grant type is not supported")
        .example("grant_type must be 'password' or 'refresh_token'");
/// A requested scope is unknown, or the account has none of the requested scopes.
pub const INVALID_SCOPE: Code =
    Code::new("invalid_scope", Kind::Malformed, "The requested scope is not valid")
        .example("scope names a scope that this service does not have");

/// The codes of the token endpoint. Their names are the values of its member `error`. `invalid_client` is not among
/// them, as clients are not authenticated.
pub const CODES: [Code; 4] = [INVALID_REQUEST, INVALID_GRANT, UNSUPPORTED_GRANT_TYPE, INVALID_SCOPE];

/// `error` as the token endpoint reports it. An error of the service itself stays as it is.
pub fn token_error(error: Error) -> Error {
    let Error::Refused(mut refusal) = error else { return error };
    refusal.code = match refusal.code.kind {
        _ if CODES.contains(&refusal.code) => refusal.code,
        Kind::Unauthenticated => INVALID_GRANT,
        Kind::Malformed | Kind::TooLarge | Kind::Unsupported | Kind::Invalid => INVALID_REQUEST,
        _ => refusal.code,
    };
    if !refusal.field_errors.is_empty() {
        // A client of OAuth 2.0 reads `error_description` and not `errors`.
        let errors = refusal.field_errors.iter().take(3);
        let errors = errors.map(|error| format!("{} {}", error.field, error.message));
        refusal.detail = errors.collect::<Vec<_>>().join("; ");
    }
    Error::Refused(refusal)
}

/// The `error` attribute of the `WWW-Authenticate` header for a refusal with that code. `None` for a request that carries
/// no access token, about which the header says no more than the scheme.
pub fn bearer_error(code: Code) -> Option<&'static str> {
    if [codes::INVALID_TOKEN, codes::TOKEN_EXPIRED, codes::SESSION_ENDED].contains(&code) {
        Some("invalid_token")
    } else if code == codes::MISSING_SCOPE {
        Some("insufficient_scope")
    } else {
        None
    }
}

/// `text` with the characters that `error_description` may have: printable ASCII without `"` and `\\`.
pub fn description(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    text.chars().map(|c| if allowed(c) { c } else { '\'' }).collect()
}
