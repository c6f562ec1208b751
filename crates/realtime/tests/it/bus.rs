//! The bus over NATS. A test is skipped if NATS is not installed.

use std::{
    future::Future,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use groundwork_core::Uuid;
use groundwork_realtime::bus::{Bus, BusState, Hint, MAX_SIGNAL_BYTES, NatsOptions, QUEUE, Signal};
use groundwork_testkit::NatsServer;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::broadcast::{Receiver, error::TryRecvError},
};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// One server's end of the bus.
struct End {
    bus: Bus,
    signals: Receiver<Arc<Signal>>,
}

impl End {
    /// Not connected yet: the test's only thread runs the task at the next await.
    fn new(url: &str, prefix: &str) -> Self {
        let url = url.to_owned().try_into().unwrap();
        let bus = Bus::nats(&NatsOptions { url, prefix: prefix.to_owned() });
        Self { signals: bus.subscribe(), bus }
    }

    async fn connected(url: &str, prefix: &str) -> Self {
        let mut end = Self::new(url, prefix);
        end.connect().await;
        end
    }

    async fn connect(&mut self) {
        until(|| self.state() == BusState::Connected).await;
    }

    fn state(&self) -> BusState {
        self.bus.status().state
    }

    fn say(&self, text: &str) {
        self.bus.send(Signal::Hint(hint(text)));
    }

    /// Returns the text of the next hint.
    async fn hears(&mut self) -> String {
        loop {
            if let Signal::Hint(hint) = &*soon(self.signals.recv()).await.unwrap() {
                return hint.data["text"].as_str().unwrap().to_owned();
            }
        }
    }

    /// Waits for the next signal that the log grew.
    async fn hears_that_the_log_grew(&mut self) {
        while *soon(self.signals.recv()).await.unwrap() != Signal::LogGrew {}
    }

    /// Forgets what came so far.
    fn forget(&mut self) {
        while self.signals.try_recv().is_ok() {}
        assert_eq!(self.signals.try_recv(), Err(TryRecvError::Empty));
    }
}

fn hint(text: &str) -> Hint {
    let (subjects, user_id) = (vec![Uuid::from_u128(1)], Uuid::from_u128(2));
    Hint { kind: "typing".to_owned(), subjects, user_id, data: json!({"text": text}), ttl_ms: 6000 }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("it happens within a minute")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The log of this thread, at every level and of every crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        // With one subscriber alone, another thread would switch off what it is the first to log.
        let _ = tracing_subscriber::fmt().with_env_filter("error").with_writer(io::stderr).try_init();
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let guard = tracing::subscriber::set_default(subscriber.with_writer(log.clone()).finish());
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns the lines of the bus with this text.
    fn count(&self, text: &str) -> usize {
        self.text().lines().filter(|line| line.contains("groundwork_realtime") && line.contains(text)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What one server says, all others hear, in order, and it does not hear itself.
#[tokio::test]
async fn others_hear_and_oneself_does_not() {
    let Some(nats) = NatsServer::new().await else { return };
    let mut a = End::connected(&nats.url(), "groundwork.notes").await;
    let mut b = End::connected(&nats.url(), "groundwork.notes").await;
    let mut c = End::connected(&nats.url(), "groundwork.notes").await;
    // Each heard the others connect.
    a.say("marker");
    assert_eq!((b.hears().await, c.hears().await), ("marker".to_owned(), "marker".to_owned()));
    c.say("second marker");
    assert_eq!((a.hears().await, b.hears().await), ("second marker".to_owned(), "second marker".to_owned()));
    for end in [&mut a, &mut b, &mut c] {
        end.forget();
    }
    a.bus.send(Signal::LogGrew);
    b.hears_that_the_log_grew().await;
    c.hears_that_the_log_grew().await;
    a.bus.send(Signal::Hint(hint("from a")));
    assert_eq!(*soon(b.signals.recv()).await.unwrap(), Signal::Hint(hint("from a")));
    b.say("from b");
    assert_eq!(
        *soon(a.signals.recv()).await.unwrap(),
        Signal::Hint(hint("from b")),
        "the first that a hears"
    );
    assert_eq!(
        a.bus.clone().status().sent,
        4,
        "the signal of the connection, two hints, and that the log grew"
    );
}

/// Services that share a NATS server do not hear each other.
#[tokio::test]
async fn each_prefix_is_a_bus_of_its_own() {
    let Some(nats) = NatsServer::new().await else { return };
    let url = nats.url();
    let (a, mut b) =
        (End::connected(&url, "groundwork.notes").await, End::connected(&url, "groundwork.notes").await);
    let (c, mut d) = (End::connected(&url, "groundwork").await, End::connected(&url, "groundwork").await);
    a.say("notes");
    assert_eq!(b.hears().await, "notes");
    c.say("other");
    assert_eq!(d.hears().await, "other");
    d.say("other");
    b.forget();
    c.say("last");
    assert_eq!(d.hears().await, "last");
    a.say("more notes");
    assert_eq!(b.hears().await, "more notes");
}

/// When NATS is killed and comes back, so does the bus. That the log grew during the outage is said once; hints from
/// during the outage are dropped. The log has one warning and one line when it is back.
#[tokio::test]
async fn an_outage_passes() {
    let Some(nats) = NatsServer::new().await else { return };
    let (log, _guard) = Log::capture();
    let mut a = End::connected(&nats.url(), "notes").await;
    assert_eq!((log.count("WARN"), log.count("INFO")), (0, 1), "{}", log.text());
    let mut b = End::connected(&nats.url(), "notes").await;
    nats.stop().await;
    until(|| a.state() == BusState::Disconnected && b.state() == BusState::Disconnected).await;
    let before = a.bus.status();
    b.forget();
    for number in 0..5000 {
        a.bus.send(Signal::LogGrew);
        a.say(&number.to_string());
    }
    assert_eq!(a.bus.status().dropped, before.dropped + 5000);
    nats.start().await;
    a.connect().await;
    b.connect().await;
    b.hears_that_the_log_grew().await;
    a.say("again");
    assert_eq!(b.hears().await, "again", "no hint from the outage");
    assert_eq!(a.bus.status().sent, before.sent + 2, "that the log grew, and the hint");
    assert_eq!((log.count("WARN"), log.count("INFO")), (2, 4), "for each end: {}", log.text());
}

/// A server starts without NATS, and finds it later.
#[tokio::test]
async fn nats_may_come_later() {
    let Some(nats) = NatsServer::new().await else { return };
    nats.stop().await;
    let (log, _guard) = Log::capture();
    let mut a = End::new(&nats.url(), "notes");
    assert_eq!(a.state(), BusState::Disconnected);
    a.bus.send(Signal::LogGrew);
    // Three attempts.
    until(|| log.count("out of reach") >= 3).await;
    assert_eq!((log.count("WARN"), log.count("INFO")), (1, 0), "{}", log.text());
    nats.start().await;
    a.hears_that_the_log_grew().await;
    assert_eq!(a.state(), BusState::Connected);
    assert_eq!((log.count("WARN"), log.count("INFO")), (1, 1), "{}", log.text());
}

/// More than fits into the queue is dropped and counted, and nobody waits. That the log grew is one signal for all calls.
#[tokio::test]
async fn a_full_queue_drops_hints() {
    let Some(nats) = NatsServer::new().await else { return };
    let a = End::connected(&nats.url(), "notes").await;
    let mut b = End::connected(&nats.url(), "notes").await;
    let before = a.bus.status();
    // The only thread sends nothing before the next await.
    for number in 0..QUEUE + 500 {
        a.bus.send(Signal::LogGrew);
        a.say(&number.to_string());
    }
    a.say(&"x".repeat(MAX_SIGNAL_BYTES));
    assert_eq!(a.bus.status().dropped, before.dropped + 501);
    for number in 0..10 {
        assert_eq!(b.hears().await, number.to_string());
    }
    let all = before.sent + u64::try_from(QUEUE).unwrap() + 1;
    until(|| a.bus.status().sent >= all).await;
    assert_eq!(a.bus.status().sent, all);
}

/// What is no signal is counted and ignored, and what only newer servers know is ignored.
#[tokio::test]
async fn garbage_is_ignored() {
    let Some(nats) = NatsServer::new().await else { return };
    let mut a = End::connected(&nats.url(), "notes").await;
    a.forget();
    let stranger = async_nats::connect(nats.url()).await.unwrap();
    let good = json!({"type": "log_grew"}).to_string();
    let large = json!({"type": "log_grew", "more": "x".repeat(900_000)}).to_string();
    let garbage = ["", "\u{0}", "null", "{", r#"{"type":"hint","kind":7}"#, &large];
    for payload in garbage {
        stranger.publish("notes.signals.stranger", payload.to_owned().into()).await.unwrap();
    }
    stranger.publish("notes.signals.stranger", vec![0xff; 5000].into()).await.unwrap();
    let newer = json!({"type": "moved", "to": "elsewhere"}).to_string();
    stranger.publish("notes.signals.stranger", newer.into()).await.unwrap();
    stranger.publish("notes.signals.stranger", good.into()).await.unwrap();
    assert_eq!(*soon(a.signals.recv()).await.unwrap(), Signal::LogGrew);
    assert_eq!(a.signals.try_recv(), Err(TryRecvError::Empty));
    let status = a.bus.status();
    assert_eq!((status.malformed, status.received, status.state), (7, 1, BusState::Connected));
}

/// With wrong credentials the bus stays disconnected and says why, once. No credentials are in the log of any crate.
#[tokio::test]
async fn credentials_are_checked_and_not_shown() {
    let arguments = ["--user", "ada", "--pass", "hunter2/@"];
    let Some(nats) = NatsServer::with_arguments(&arguments).await else { return };
    let (log, _guard) = Log::capture();
    let with = |credentials: &str| nats.url().replace("//", &format!("//{credentials}@"));
    let wrong = End::new(&with("ada:hunter3"), "notes");
    until(|| log.count("out of reach") >= 3).await;
    assert_eq!(wrong.state(), BusState::Disconnected);
    assert_eq!(log.count("WARN"), 1, "{}", log.text());
    assert_eq!(log.count("authorization violation"), log.count("out of reach"), "{}", log.text());
    wrong.bus.close().await;
    End::connected(&with("ada:hunter2%2F%40"), "notes").await;
    assert!(!log.text().contains("hunter"), "{}", log.text());

    let Some(nats) = NatsServer::with_arguments(&["--auth", "hunter4"]).await else { return };
    End::connected(&nats.url().replace("//", "//hunter4@"), "notes").await;
    assert!(!log.text().contains("hunter"), "{}", log.text());
}

/// A NATS server that does not permit what the bus needs is a NATS server out of reach, and not a bus that is silent.
#[tokio::test]
async fn missing_permissions_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nats.conf");
    let config = r#"authorization { users = [
        { user: ada, password: x, permissions: { publish: "notes.>", subscribe: "other.>" } }
        { user: eve, password: x, permissions: { publish: "notes.>", subscribe: "notes.>" } }
    ] }"#;
    std::fs::write(&file, config).unwrap();
    let Some(nats) = NatsServer::with_arguments(&["--config", file.to_str().unwrap()]).await else { return };
    let (log, _guard) = Log::capture();
    let ada = End::new(&nats.url().replace("//", "//ada:x@"), "notes");
    until(|| log.count("WARN") > 0).await;
    assert_eq!(log.count("subscribing to notes.signals.*"), 1, "{}", log.text());
    assert_eq!(ada.state(), BusState::Disconnected);
    End::connected(&nats.url().replace("//", "//eve:x@"), "notes").await;
}

/// Closing sends what waits.
#[tokio::test]
async fn closing_sends_what_waits() {
    let Some(nats) = NatsServer::new().await else { return };
    let a = End::connected(&nats.url(), "notes").await;
    let mut b = End::connected(&nats.url(), "notes").await;
    b.forget();
    for number in 0..100 {
        a.say(&number.to_string());
    }
    a.bus.close().await;
    for number in 0..100 {
        assert_eq!(b.hears().await, number.to_string());
    }
    b.hears_that_the_log_grew().await;
    a.say("too late");
    assert_eq!((a.state(), a.bus.status().dropped), (BusState::Disconnected, 1));
    soon(a.bus.close()).await;
}

/// A server that speaks just enough of the protocol for the bus to be connected. Returns the connection, of which
/// nothing more is read.
async fn greet(stream: TcpStream) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(stream);
    let info =
        json!({"server_id": "x", "version": "2.9.10", "headers": true, "max_payload": 1_048_576, "proto": 1});
    stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "the bus hung up");
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => stream.write_all(b"PONG\r\n").await.unwrap(),
            ["PUB", subject, length] => {
                let mut payload = vec![0; length.parse::<usize>().unwrap() + 2];
                stream.read_exact(&mut payload).await.unwrap();
                let head = format!("MSG {subject} 1 {length}\r\n");
                stream.write_all(&[head.as_bytes(), &payload].concat()).await.unwrap();
                return stream;
            }
            _ => {}
        }
    }
}

/// A NATS server that hangs costs bounded memory, and delays neither sending nor closing. What waited for it is not sent
/// over the next connection.
#[tokio::test]
async fn a_server_that_hangs_delays_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let mut a = End::new(&url, "notes");
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let stream = soon(greet(stream)).await;
    a.connect().await;
    let text = "x".repeat(MAX_SIGNAL_BYTES - 1024);
    // As much as the buffers of both sockets hold is sent, then the queue is full.
    soon(async {
        while a.bus.status().dropped < 1000 {
            a.say(&text);
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(stream);
    // Only the bus connects again, and not the client of the previous connection, which has signals left.
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let mut stream = soon(greet(stream)).await;
    until(|| a.state() == BusState::Connected).await;
    a.say("fresh");
    let mut line = String::new();
    while !line.starts_with('{') {
        line.clear();
        assert_ne!(soon(stream.read_line(&mut line)).await.unwrap(), 0);
    }
    assert!(line.contains("fresh"), "a hint from before: {} bytes", line.len());
    soon(async {
        while a.bus.status().dropped < 10_000 {
            a.say(&text);
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(a.bus.close()).await;
    assert_eq!(a.state(), BusState::Disconnected);
}

/// The connection ends with the last handle, also while NATS does not answer.
#[tokio::test]
async fn nothing_is_left_of_a_bus_that_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let a = End::new(&url, "notes");
    let (mut silent, _) = soon(listener.accept()).await.unwrap();
    let other = a.bus.clone();
    drop(a);
    assert_eq!(other.status().state, BusState::Disconnected);
    drop(other);
    assert_eq!(soon(silent.read(&mut [0; 64])).await.unwrap(), 0, "the connection ended");

    let b = End::new(&url, "notes");
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let mut stream = soon(greet(stream)).await;
    drop(b);
    // Returns at the end, or at a reset.
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}

/// The bus of a single server says nothing to anybody.
#[tokio::test]
async fn one_server_has_nobody_to_hear() {
    let bus = Bus::local();
    let mut signals = bus.subscribe();
    bus.send(Signal::LogGrew);
    bus.send(Signal::Hint(hint("alone")));
    assert_eq!(signals.try_recv(), Err(TryRecvError::Empty));
    let status = bus.status();
    assert_eq!((status.state, status.sent, status.dropped), (BusState::Local, 0, 0));
    bus.close().await;
}
