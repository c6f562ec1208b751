//! Allows web pages of other origins to call the service (CORS; Fetch Standard, section 3.2).

use actix_cors::Cors;
use actix_web::http::{
    header::{self, HeaderName},
    uri::Authority,
};

use crate::http::request_id;

/// The response headers that a page may read.
const EXPOSED: [HeaderName; 4] =
    [request_id::HEADER, header::ETAG, header::RETRY_AFTER, HeaderName::from_static("idempotency-replayed")];

/// Middleware that allows pages of these origins to call the service; `*` allows any. Credentials are not allowed:
/// pages send the token in a header.
pub(crate) fn cors(origins: &[String]) -> Cors {
    // Listed by name, as `*` does not cover them in every browser.
    let cors = Cors::default().allow_any_method().allow_any_header().expose_headers(EXPOSED).max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Checks that `entry` is `*`, or an origin as browsers send it: `scheme://host` or `scheme://host:port`.
///
/// # Errors
/// The reason, such as "has no scheme".
pub(crate) fn check_origin(entry: &str) -> Result<(), &'static str> {
    if entry == "*" {
        return Ok(());
    }
    let (scheme, rest) = entry.split_once("://").ok_or("has no scheme")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme) {
        return Err("has no valid scheme");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("has a path, but an origin ends with the host or the port");
    }
    if rest.contains('@') {
        return Err("has a user name");
    }
    if rest.contains('*') {
        return Err("has a wildcard, but only a single `*` allows any origin");
    }
    let authority: Authority = rest.parse().map_err(|_| "has no valid host")?;
    if authority.host().is_empty() {
        return Err("has no host");
    }
    let port = rest.strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return Err("has no valid port");
    }
    if matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443))) {
        return Err("has the default port, which browsers omit");
    }
    if entry.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("has an upper-case letter, but browsers send lower case");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_origin;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for good in
            ["*", "https://chat.example.org", "http://localhost:3000", "http://[::1]:8080", "app://host"]
        {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "chat.example.org",
            "https://",
            "https://chat.example.org/",
            "https://chat.example.org/path",
            "https://ada@chat.example.org",
            "https://*.example.org",
            "https://chat.example.org:x",
            "https://chat.example.org:70000",
            "https://chat.example.org:",
            "https://chat.example.org:443",
            "https://Chat.example.org",
            " https://chat.example.org",
            "https://chat example.org",
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }
}
