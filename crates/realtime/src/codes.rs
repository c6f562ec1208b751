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

/// Why a connection ends, and what a client does then: the codes of RFC 6455, section 7.4, and those of this protocol from
/// 4400 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// A word for logs and clients, also the reason in the close frame.
    pub reason: &'static str,
    /// Why the connection ends, for people.
    pub meaning: &'static str,
    /// What a client does then, for people.
    pub advice: &'static str,
}

macro_rules! closes {
    ($($name:ident = $code:literal $reason:literal, $meaning:literal, $advice:literal;)*) => {
        impl Close {
            $(
                #[doc = $meaning]
                pub const $name: Self =
                    Self { code: $code, reason: $reason, meaning: $meaning, advice: $advice };
            )*
            /// All of them, by code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

closes! {
    NORMAL = 1000 "closed",
        "The client closed the connection.",
        "Nothing.";
    TOO_LARGE = 1009 "frame_too_large",
        "A frame of the client is larger than the limit.",
        "Send smaller frames. Connect again with the last cursor.";
    RESTART = 1012 "server_restarts",
        "The server stops. The frame `reconnect` comes before.",
        "Connect again after the time in `reconnect`, with the last cursor.";
    TRY_LATER = 1013 "try_again_later",
        "The server cannot serve the connection now, for example because its database is not available.",
        "Connect again with the last cursor, after a delay that grows with each attempt.";
    INVALID = 4400 "invalid_frames",
        "The client sent too many invalid frames, or bytes that are not a WebSocket frame.",
        "Correct the client. Each invalid frame was answered with an `error`.";
    UNAUTHENTICATED = 4401 "unauthenticated",
        "There was no valid access token in time.",
        "Get a fresh access token, or sign in again. Connect with the last cursor.";
    TOKEN_EXPIRED = 4401 "token_expired",
        "The access token expired.",
        "Get a fresh access token with the refresh token, and connect again with the last cursor.";
    SESSION_ENDED = 4401 "session_ended",
        "The session ended: the user signed out, or an administrator ended it.",
        "Sign in again.";
    OTHER_USER = 4403 "other_user",
        "A fresh access token belongs to another user.",
        "Open another connection for the other user.";
    SILENT = 4408 "no_sign_of_life",
        "The client sent nothing for twice the heartbeat, not even an answer to a ping.",
        "Connect again with the last cursor.";
    TOO_SLOW = 4409 "too_slow",
        "The client did not read fast enough, and its queue is full. The frame `resync_required` comes before, if it can be \
         sent.",
        "Connect again with the last cursor. Nothing is lost.";
    LOG_RESTARTED = 4410 "log_restarted",
        "The event log was restored from a backup or moved, so that cursors are no longer valid.",
        "Discard the cursor, connect without one, and load the present state afresh.";
    TOO_MANY_FRAMES = 4429 "too_many_frames",
        "The client sent too many frames in a short time.",
        "Send fewer frames. Connect again with the last cursor, after some seconds.";
    TOO_MANY_CONNECTIONS = 4429 "too_many_connections",
        "The user has too many open connections.",
        "Close other connections, and connect again after some seconds.";
}
