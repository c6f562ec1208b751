//! The error codes and the close codes of live connections.

use groundwork_core::{Code, Kind};

/// A cursor that is older than the log's retention, or of a log that was restored or moved.
pub const CURSOR_EXPIRED: Code = Code::new("cursor_expired", Kind::Gone, "The cursor is no longer valid")
    .example("the events after this cursor are no longer kept; load the present state afresh");
/// Too many open connections of one user, or too many frames in a short time.
pub const TOO_MANY_CONNECTIONS: Code =
    Code::new("too_many_connections", Kind::TooMany, "Too many open connections")
        .example("a user may have at most 20 open connections to a server");
/// A client sent too many frames in a short time.
pub const TOO_MANY_FRAMES: Code = Code::new("too_many_frames", Kind::TooMany, "Too many frames")
    .example("a connection may send at most 20 frames per second");
/// A frame has a type that this service does not know.
pub const UNKNOWN_TYPE: Code = Code::new("unknown_type", Kind::Invalid, "Unknown type of frame")
    .example("type must be one of auth, resume, ping, presence");

/// Why the server closed a connection: the codes of RFC 6455, section 7.4, and those of this protocol from 4400 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// A word for logs and clients, also the reason in the close frame.
    pub reason: &'static str,
}

impl Close {
    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The client closed the connection.
    pub const NORMAL: Self = Self::new(1000, "closed");
    /// A frame was larger than the limit.
    pub const TOO_LARGE: Self = Self::new(1009, "frame_too_large");
    /// The server stops. Connect again after the time in `reconnect`.
    pub const RESTART: Self = Self::new(1012, "server_restarts");
    /// The server cannot serve the connection now. Connect again later.
    pub const TRY_LATER: Self = Self::new(1013, "try_again_later");
    /// Too many invalid frames, or bytes that are not a WebSocket frame.
    pub const INVALID: Self = Self::new(4400, "invalid_frames");
    /// No authentication in time.
    pub const UNAUTHENTICATED: Self = Self::new(4401, "unauthenticated");
    /// The access token expired.
    pub const TOKEN_EXPIRED: Self = Self::new(4401, "token_expired");
    /// The session ended: by signing out, or by an administrator.
    pub const SESSION_ENDED: Self = Self::new(4401, "session_ended");
    /// A fresh token of another user.
    pub const OTHER_USER: Self = Self::new(4403, "other_user");
    /// The client sent nothing for too long.
    pub const SILENT: Self = Self::new(4408, "no_sign_of_life");
    /// The client was too slow. Connect again with the last cursor.
    pub const TOO_SLOW: Self = Self::new(4409, "too_slow");
    /// The log was restored or moved. Load the present state afresh.
    pub const LOG_RESTARTED: Self = Self::new(4410, "log_restarted");
    /// Too many frames.
    pub const TOO_MANY_FRAMES: Self = Self::new(4429, "too_many_frames");
    /// Too many connections of one user.
    pub const TOO_MANY_CONNECTIONS: Self = Self::new(4429, "too_many_connections");
}
