//! The bounds of live connections.

use std::time::Duration;

use groundwork_web::service::settings::RealtimeSettings;

/// The bounds of live connections, which have a setting each, and times that rarely need another value.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest time between two reads of the log, when nothing tells the server that it has grown.
    pub poll: Duration,
    /// The shortest time between two reads of the log while it grows. An event after a quiet time does not wait.
    pub pace: Duration,
    /// The maximum number of open connections of a user on this server.
    pub connections_per_user: usize,
    /// The maximum number of connections on this server that have not authenticated yet.
    pub unauthenticated: usize,
    /// How many frames a client may send per second. It may send twice as many at once.
    pub frames_per_second: u32,
    /// The maximum size of a frame of a client, in bytes.
    pub frame_bytes: usize,
    /// How many invalid frames a connection may send before it is closed.
    pub invalid_frames: u32,
    /// How long a client may take to authenticate.
    pub auth_timeout: Duration,
    /// How many frames wait for a slow client before it is disconnected.
    pub queue_frames: usize,
    /// The interval of pings to the client. A client that sends nothing for twice this time is disconnected.
    pub heartbeat: Duration,
    /// How long an event that replaces others of its kind may wait, so that they leave in one frame.
    pub merge: Duration,
    /// How long a user counts as online after their last connection, so that a page that is loaded again goes unnoticed.
    pub presence_grace: Duration,
    /// How often a server tells the others who is online there. They believe it for two and a half times as long.
    pub presence_repeat: Duration,
    /// How often hints and presence are looked at, to end those that are over.
    pub presence_tick: Duration,
}

impl Options {
    /// How long a server believes what another one says about presence.
    pub(crate) fn presence_believed(&self) -> Duration {
        self.presence_repeat * 5 / 2
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            pace: Duration::from_millis(4),
            connections_per_user: 20,
            unauthenticated: 1000,
            frames_per_second: 20,
            frame_bytes: 64 * 1024,
            invalid_frames: 10,
            auth_timeout: Duration::from_secs(10),
            queue_frames: 512,
            heartbeat: Duration::from_secs(25),
            merge: Duration::from_millis(250),
            presence_grace: Duration::from_secs(5),
            presence_repeat: Duration::from_secs(30),
            presence_tick: Duration::from_secs(1),
        }
    }
}

impl From<&RealtimeSettings> for Options {
    fn from(settings: &RealtimeSettings) -> Self {
        Self {
            poll: Duration::from_millis(settings.realtime_poll_milliseconds),
            connections_per_user: settings.realtime_max_connections_per_user,
            unauthenticated: settings.realtime_max_unauthenticated,
            frames_per_second: settings.realtime_frames_per_second,
            frame_bytes: settings.realtime_max_frame_bytes,
            invalid_frames: settings.realtime_max_invalid_frames,
            auth_timeout: Duration::from_secs(settings.realtime_auth_seconds),
            queue_frames: settings.realtime_queue_frames,
            heartbeat: Duration::from_secs(settings.realtime_heartbeat_seconds),
            ..Self::default()
        }
    }
}
