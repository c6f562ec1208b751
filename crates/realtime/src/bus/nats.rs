//! The bus over NATS. One task holds the connection: it connects, sends what waits, receives, and connects again.
//!
//! The task makes a client for each connection. A client of `async-nats` would also connect again by itself, but keeps what
//! is published during an outage, blocks when it has too much of it, and later sends hints that are out of date.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, PublishErrorKind, Subscriber};
use futures::StreamExt;
use groundwork_web::service::settings::NatsCredentials;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    BusState, Hint, NatsOptions, QUEUE, Shared, Signal, count,
    encoding::{FIRST, LAST, LOG_GREW, Malformed, decode, encode},
};

/// The least time between two signals that the log grew.
const PACE: Duration = Duration::from_millis(5);

/// How long connecting may take, for each address, and how long the first signal may take to come back.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two pings of the NATS server. After two that are not answered the connection is lost.
const PING: Duration = Duration::from_secs(10);

/// The pause after the first failed attempt to connect. It doubles with each, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A connection that lasted this long resets the pause, so that one that is lost at once each time does not fill the log.
const STABLE: Duration = Duration::from_secs(10);

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(2);

/// An address that refuses every connection.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// Why a connection that existed is no more.
const LOST: &str = "the connection was lost";

/// The handle of the task.
pub(super) struct Nats {
    link: Arc<Link>,
    hints: mpsc::Sender<Vec<u8>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the handle shares with the task.
struct Link {
    shared: Arc<Shared>,
    is_connected: AtomicBool,
    /// Whether the log grew since the others were told.
    log_grew: AtomicBool,
    /// Notified when `log_grew` is set.
    wake: Notify,
    stop: Notify,
}

impl Nats {
    pub(super) fn start(options: &NatsOptions, shared: Arc<Shared>) -> Self {
        let link = Arc::new(Link {
            shared,
            is_connected: AtomicBool::new(false),
            log_grew: AtomicBool::new(false),
            wake: Notify::new(),
            stop: Notify::new(),
        });
        let (hints, waiting) = mpsc::channel(QUEUE);
        let task = Task {
            link: Arc::clone(&link),
            options: options.clone(),
            prefix: subject(&options.prefix),
            hints: waiting,
        };
        Self { link, hints, task: Mutex::new(Some(tokio::spawn(task.run()))) }
    }

    pub(super) fn log_grew(&self) {
        if !self.link.log_grew.swap(true, Ordering::AcqRel) {
            self.link.wake.notify_one();
        }
    }

    pub(super) fn hint(&self, hint: &Hint) {
        let is_queued = self.link.is_connected.load(Ordering::Relaxed)
            && encode(hint).is_some_and(|bytes| self.hints.try_send(bytes).is_ok());
        if !is_queued {
            count(&self.link.shared.dropped);
        }
    }

    pub(super) fn state(&self) -> BusState {
        let is_connected = self.link.is_connected.load(Ordering::Relaxed);
        if is_connected { BusState::Connected } else { BusState::Disconnected }
    }

    pub(super) async fn close(&self) {
        self.link.stop.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if timeout(CLOSE, &mut task).await.is_err() {
            task.abort();
        }
        self.link.is_connected.store(false, Ordering::Relaxed);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

struct Task {
    link: Arc<Link>,
    options: NatsOptions,
    prefix: String,
    hints: mpsc::Receiver<Vec<u8>>,
}

/// A connection over which signals go both ways.
struct Connection {
    outlet: Outlet,
    subscriber: Subscriber,
    /// Notified when the connection is lost.
    lost: Arc<Notify>,
}

struct Outlet {
    client: Client,
    /// What this server sends on, which tells its own signals from those of others.
    subject: String,
}

enum End {
    Lost,
    Closed,
}

impl Task {
    async fn run(mut self) {
        let link = Arc::clone(&self.link);
        let (mut pause, mut is_told) = (FIRST_PAUSE, false);
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = link.stop.notified() => return,
            };
            let servers = self.options.url.to_string();
            let reason = match connected {
                Err(reason) => reason,
                Ok(connection) => {
                    tracing::info!(servers, "the bus is connected to NATS");
                    let since = Instant::now();
                    if matches!(self.serve(connection).await, End::Closed) {
                        return;
                    }
                    is_told = false;
                    if since.elapsed() >= STABLE {
                        pause = FIRST_PAUSE;
                    }
                    LOST.to_owned()
                }
            };
            if is_told {
                tracing::debug!(servers, reason, "NATS is still out of reach");
            } else {
                is_told = true;
                tracing::warn!(
                    servers,
                    reason,
                    "NATS is out of reach: changes made on other servers arrive later, and hints such as typing do not \
                     arrive; the server goes on trying"
                );
            }
            tokio::select! {
                () = sleep(jittered(pause)) => pause = (pause * 2).min(MAX_PAUSE),
                () = link.stop.notified() => return,
            }
        }
    }

    /// Connects, and waits until a signal of this server comes back: then NATS has the subscription, and the permissions
    /// allow both ways. This signal also tells the others to read the log, as what was sent last over the previous
    /// connection may be lost.
    async fn connect(&self) -> Result<Connection, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let id = getrandom::u64().map_err(|error| text(&error))?;
        let subjects = format!("{}.signals", self.prefix);
        let subject = format!("{subjects}.{id:016x}");
        let lost = Arc::new(Notify::new());
        let servers = self.options.url.servers();
        let client = self.client_options(&lost).connect(servers).await.map_err(|error| text(&error))?;
        // So that the client does not connect again by itself.
        client.set_server_pool(NOWHERE).await.map_err(|error| text(&error))?;
        let subscriber = client.subscribe(format!("{subjects}.*")).await.map_err(|error| text(&error))?;
        let mut connection = Connection { outlet: Outlet { client, subject }, subscriber, lost };
        // What waits since the outage goes out with the signal of this connection.
        self.link.log_grew.store(false, Ordering::Release);
        match timeout(CONNECT_TIMEOUT, connection.round_trip(&self.link.shared, FIRST)).await {
            Ok(true) => Ok(connection),
            Ok(false) => Err(LOST.to_owned()),
            Err(_) => Err(format!(
                "no signal comes back; NATS has to permit publishing and subscribing to {subjects}.*"
            )),
        }
    }

    fn client_options(&self, lost: &Arc<Notify>) -> ConnectOptions {
        let (link, lost) = (Arc::clone(&self.link), Arc::clone(lost));
        let options = ConnectOptions::new()
            .name(&self.prefix)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING)
            .client_capacity(64)
            .subscription_capacity(QUEUE)
            .ignore_discovered_servers()
            // Each server once. When it loses the connection, it tries an address that refuses it, and ends.
            .max_reconnects(self.options.url.servers().len())
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => lost.notify_one(),
                    Event::SlowConsumer(_) => count(&link.shared.dropped),
                    _ => {}
                }
                std::future::ready(())
            });
        match self.options.url.credentials() {
            None => options,
            Some(NatsCredentials::User(user, password)) => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
            Some(NatsCredentials::Token(token)) => options.token(token.expose().to_owned()),
        }
    }

    /// Sends and receives until the connection is lost, or the bus is closed.
    async fn serve(&mut self, mut connection: Connection) -> End {
        let link = Arc::clone(&self.link);
        // Hints from before the outage are out of date.
        while self.hints.try_recv().is_ok() {
            count(&link.shared.dropped);
        }
        link.is_connected.store(true, Ordering::Relaxed);
        link.shared.deliver(Signal::LogGrew);
        let Connection { outlet, subscriber, lost } = &mut connection;
        let end = tokio::select! {
            end = send(&link, &mut self.hints, outlet) => end,
            _ = receive(&link.shared, subscriber, &outlet.subject, None) => End::Lost,
            () = lost.notified() => End::Lost,
        };
        link.is_connected.store(false, Ordering::Relaxed);
        if matches!(end, End::Closed) {
            connection.round_trip(&link.shared, LAST).await;
        }
        end
    }
}

impl Connection {
    /// Tells the others to read the log, and waits until this signal comes back: NATS then has everything that was sent
    /// before it. Returns whether it did.
    async fn round_trip(&mut self, shared: &Shared, payload: &[u8]) -> bool {
        self.outlet.publish(shared, payload.to_vec()).await
            && receive(shared, &mut self.subscriber, &self.outlet.subject, Some(payload)).await
    }
}

impl Outlet {
    /// Hands a signal to the connection. Returns whether the connection still exists.
    async fn publish(&self, shared: &Shared, payload: Vec<u8>) -> bool {
        let result = self.client.publish(self.subject.clone(), payload.into()).await;
        match result.map_err(|error| error.kind()) {
            Ok(()) => count(&shared.sent),
            Err(PublishErrorKind::Send) => return false,
            // Larger than this NATS server permits.
            Err(_) => count(&shared.dropped),
        }
        true
    }
}

/// Sends what waits, until the bus is closed, or the connection no longer exists.
async fn send(link: &Link, hints: &mut mpsc::Receiver<Vec<u8>>, outlet: &Outlet) -> End {
    let mut next = Instant::now();
    loop {
        let payload = tokio::select! {
            () = async { sleep_until(next).await; link.wake.notified().await } => {
                if !link.log_grew.swap(false, Ordering::AcqRel) {
                    continue;
                }
                next = Instant::now() + PACE;
                LOG_GREW.to_vec()
            }
            Some(hint) = hints.recv() => hint,
            () = link.stop.notified() => break,
        };
        if !outlet.publish(&link.shared, payload).await {
            return End::Lost;
        }
    }
    link.is_connected.store(false, Ordering::Relaxed);
    while let Ok(hint) = hints.try_recv() {
        if !outlet.publish(&link.shared, hint).await {
            return End::Lost;
        }
    }
    End::Closed
}

/// Receives until this payload comes back on the subject of this server, or the connection no longer exists. Returns
/// whether it came back.
async fn receive(shared: &Shared, subscriber: &mut Subscriber, own: &str, until: Option<&[u8]>) -> bool {
    while let Some(message) = subscriber.next().await {
        if message.subject.as_str() == own {
            if until.is_some_and(|payload| message.payload == payload) {
                return true;
            }
            continue;
        }
        match decode(&message.payload) {
            Ok(Some(signal)) => {
                count(&shared.received);
                shared.deliver(signal);
            }
            Ok(None) => {}
            Err(Malformed) => count(&shared.malformed),
        }
    }
    false
}

/// Returns the prefix with only what is allowed in a NATS subject, and no empty part.
fn subject(prefix: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let clean: String = prefix.chars().map(allowed).collect();
    clean.split('.').map(|part| if part.is_empty() { "_" } else { part }).collect::<Vec<_>>().join(".")
}

/// Returns half to all of the pause, at random, so that many servers do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_always_a_valid_subject() {
        for (prefix, valid) in [
            ("groundwork.a-b.01", "groundwork.a-b.01"),
            ("a b.*.>\r\n", "a_b._.___"),
            ("", "_"),
            (".a..", "_.a._._"),
        ] {
            assert_eq!(subject(prefix), valid);
        }
    }

    #[test]
    fn a_pause_is_at_least_half_as_long() {
        for _ in 0..1000 {
            let pause = jittered(MAX_PAUSE);
            assert!((MAX_PAUSE / 2..=MAX_PAUSE).contains(&pause), "{pause:?}");
        }
    }
}
