//! Accounts without a user table: passwords, access tokens, scopes, permission groups and sessions.
//!
//! A service brings its own users by implementing [`Accounts`]. [`Auth`] then signs them up, in and out, and turns an
//! access token into the [`Caller`] of a request.
//!
//! - Access tokens are JWTs (RFC 7519) signed with HS256 or `EdDSA`, short-lived, and bound to a session: when the session
//!   ends, they stop working at once on every server, or with [`Auth::remembering`] when the server learns of it.
//! - Refresh tokens are opaque, stored as hashes, and valid for one use, and for a moment longer in case its response was
//!   lost. A later use shows that somebody has a copy, and ends the session (RFC 9700, section 4.14.2).

pub mod accounts;
mod auth;
mod bcrypt_steps;
mod change_password;
pub mod keys;
pub mod oauth;
pub mod password;
pub mod policy;
pub mod scope;
pub mod session;
mod sessions;
pub mod token;

pub use accounts::{Account, Accounts, Grant, Tokens};
pub use auth::Auth;
pub use change_password::set_password;
pub use keys::{PublicKey, SigningKey};
pub use password::Passwords;
pub use policy::Policy;
pub use scope::{Groups, Scope, Scopes};
pub use session::{ClientInfo, Lifetimes};
pub use token::{AccessTokens, Caller};
