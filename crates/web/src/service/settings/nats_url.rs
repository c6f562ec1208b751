//! The address of NATS, which may contain a password or a token.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use super::Secret;

/// The greatest number of servers in [`NatsUrl`].
const MAX_SERVERS: usize = 16;

/// The URL of a NATS server, or several of one cluster, separated by commas: `nats://host:4222`, or `tls://host:4222`
/// for an encrypted connection, with `user:password@` or `token@` before the host if the server asks for it.
///
/// The credentials are kept apart from the addresses. `Debug` and errors show none of them.
///
/// ```
/// use groundwork_web::service::settings::NatsUrl;
///
/// let url: NatsUrl = "nats://ada:hunter2@one.example.org,nats://two.example.org:4223".to_owned().try_into().unwrap();
/// assert_eq!(url.servers(), ["nats://one.example.org:4222", "nats://two.example.org:4223"]);
/// assert!(!format!("{url:?}").contains("hunter2"));
/// assert!(NatsUrl::try_from("http://ada:hunter2@localhost".to_owned()).is_err());
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct NatsUrl {
    servers: Vec<String>,
    credentials: Option<NatsCredentials>,
}

/// What a NATS server asks for, if it does.
#[derive(Clone, Debug)]
pub enum NatsCredentials {
    /// A user and a password.
    User(String, Secret),
    /// A token.
    Token(Secret),
}

impl NatsUrl {
    /// Returns the addresses, without credentials.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Returns the credentials, which are those of every server.
    pub fn credentials(&self) -> Option<&NatsCredentials> {
        self.credentials.as_ref()
    }
}

/// Shows the addresses, without credentials.
impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.servers.join(","))
    }
}

impl TryFrom<String> for NatsUrl {
    type Error = &'static str;

    /// Parses the text. The error is the requirement that it does not meet, to follow "must".
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut servers = Vec::new();
        let mut user_info: Option<(String, Option<String>)> = None;
        for part in text.split(',').map(str::trim) {
            let url = parse(part).ok_or(REQUIREMENT)?;
            let (host, port) = (url.host_str().ok_or(REQUIREMENT)?, url.port().unwrap_or(4222));
            servers.push(format!("{}://{host}:{port}", url.scheme()));
            let own = (url.username().to_owned(), url.password().map(str::to_owned));
            if own == (String::new(), None) {
                continue;
            }
            if user_info.as_ref().is_some_and(|first| *first != own) {
                return Err("have the same user and password, or token, for all servers");
            }
            user_info = Some(own);
        }
        if servers.len() > MAX_SERVERS {
            return Err("name at most 16 servers");
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let credentials = match user_info {
            None => None,
            Some((user, Some(password))) => {
                let (user, password) = (decode(&user), decode(&password));
                let (user, password) = (user.map_err(|_| REQUIREMENT)?, password.map_err(|_| REQUIREMENT)?);
                Some(NatsCredentials::User(user, Secret::new(password)))
            }
            Some((token, None)) => {
                Some(NatsCredentials::Token(Secret::new(decode(&token).map_err(|_| REQUIREMENT)?)))
            }
        };
        Ok(Self { servers, credentials })
    }
}

const REQUIREMENT: &str = "be nats:// or tls:// with a host, as in nats://user:password@nats.example.org:4222, or \
    several of them, separated by commas; special characters in the user and the password are percent-encoded";

/// Parses one address. A reserved character in the password ends the host early; what follows it is refused, so that no
/// part of a password is taken for an address, which is logged.
fn parse(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    (matches!(url.scheme(), "nats" | "tls") && has_host && is_plain && url.port() != Some(0)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NatsUrl, &'static str> {
        NatsUrl::try_from(text.to_owned())
    }

    #[test]
    fn credentials_are_decoded_and_shared() {
        let url = read("tls://ada:p%40ss%2C%2F@a.example.org:1, nats://[::1]").unwrap();
        assert_eq!(url.servers(), ["tls://a.example.org:1", "nats://[::1]:4222"]);
        let Some(NatsCredentials::User(user, password)) = url.credentials() else { panic!("{url:?}") };
        assert_eq!((user.as_str(), password.expose()), ("ada", "p@ss,/"));
        let url = read("nats://s3cret@localhost").unwrap();
        let Some(NatsCredentials::Token(token)) = url.credentials() else { panic!("{url:?}") };
        assert_eq!(token.expose(), "s3cret");
        assert!(read("nats://localhost").unwrap().credentials().is_none());
    }

    #[test]
    fn what_is_malformed_is_refused_without_showing_it() {
        let many = vec!["nats://a"; 17].join(",");
        for text in [
            "localhost:4222",
            "http://hunter2@a",
            "ws://a",
            "nats://",
            "nats:a",
            "nats://a:0",
            "nats://a:99999",
            "nats://a/hunter2",
            "nats://a?hunter2",
            "nats://a:hunter2#x@b",
            "nats://a:hunter2/x@b",
            "nats://a,",
            "nats://u:hunter2@a,nats://u:hunter3@b",
            "nats://%ff:hunter2@a",
            "nats://a b",
            &many,
            "\0",
            ",",
        ] {
            let error = read(text).expect_err(text);
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
