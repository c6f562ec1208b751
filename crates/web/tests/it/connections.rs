//! Slow clients over real sockets, and stopping a server.

use std::{io, net::TcpListener, time::Duration};

use actix_web::{App, HttpResponse, rt, web, web::Bytes};
use futures::stream;
use groundwork_testkit::{Backend, Fixture, TestDb};
use groundwork_web::{
    AppEntry,
    http::extract::BodyLimit,
    service::health::Probe,
    service::server::{ServerOptions, serve},
    service::upgrade,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{Migrator, shell};

/// The shortest times that can be set.
const OPTIONS: ServerOptions = ServerOptions {
    workers: Some(1),
    max_connections: 100,
    keep_alive: Duration::from_secs(1),
    client_timeout: Duration::from_secs(1),
    shutdown_delay: Duration::ZERO,
    shutdown_timeout: Duration::from_secs(30),
};

/// A running server, and how to stop it.
struct Server {
    db: TestDb<Migrator>,
    address: std::net::SocketAddr,
    stop: mpsc::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(options: ServerOptions) -> Self {
        let db = <TestDb<Migrator>>::new(Backend::Sqlite).await;
        let web_app = shell(&db.db, BodyLimit { bytes: 65536, timeout: OPTIONS.client_timeout });
        let probe = web_app.probe().clone();
        Self::serve(db, options, probe, move || web_app.app())
    }

    fn serve<F, S>(db: TestDb<Migrator>, options: ServerOptions, probe: Probe, app: F) -> Self
    where
        F: Fn() -> App<S> + Clone + Send + 'static,
        S: AppEntry,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = mpsc::channel(2);
        let ended = rt::spawn(serve(listener, options, probe, app, stopped));
        Self { db, address, stop, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> io::Result<()> {
        self.stop.send(()).await.unwrap();
        let ended = self.ended.await.unwrap();
        self.db.tear_down().await;
        ended
    }
}

/// Sends `start` and then one byte now and then, until the server closes the connection. Returns what it answered.
async fn trickle(mut socket: TcpStream, start: &str, byte: u8) -> String {
    socket.write_all(start.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut answer = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let read = reader.read_to_end(&mut answer);
    tokio::select! {
        // A reset is a way of closing as well.
        _ = read => {}
        () = async {
            loop {
                ticks.tick().await;
                if writer.write_all(&[byte]).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        } => {}
    }
    String::from_utf8(answer).unwrap()
}

/// Sends a request, and reads its answer with the `length` of its body.
async fn ask(socket: &mut TcpStream, request: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).await.unwrap();
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "{text}");
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return text;
        }
        assert!(read > 0, "{text}");
    }
}

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
const READY: &str = "GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n";
const HEAD: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ";

#[actix_web::test]
async fn a_head_has_a_deadline() {
    let server = Server::start(OPTIONS).await;
    let answer = trickle(server.connect().await, HEAD, b'x').await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    server.stop().await.unwrap();
}

/// Also that of a further request on the same connection.
#[actix_web::test]
async fn the_next_head_has_a_deadline() {
    let server = Server::start(OPTIONS).await;
    let mut socket = server.connect().await;
    assert!(ask(&mut socket, LIVE).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(trickle(socket, HEAD, b'x').await, "");
    server.stop().await.unwrap();
}

#[actix_web::test]
async fn a_body_has_a_deadline() {
    let server = Server::start(OPTIONS).await;
    for (framing, start) in [("content-length: 1000", "{"), ("transfer-encoding: chunked", "3e8\r\n{")] {
        let head = format!(
            "POST /api/v1/pages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\n{framing}\r\n\r\n{start}",
            uuid()
        );
        let answer = trickle(server.connect().await, &head, b' ').await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 ") && head.contains("connection: close"), "{answer}");
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "request_timeout");
        // Before the caller is known nothing of the body is waited for.
        let head = format!("POST /api/v1/pages HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n{start}");
        let answer = trickle(server.connect().await, &head, b' ').await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    server.stop().await.unwrap();
}

fn uuid() -> groundwork_core::Uuid {
    groundwork_core::Uuid::from_u128(1)
}

/// A response is dropped with its connection when the client does not read it.
#[cfg(target_os = "linux")]
#[actix_web::test]
async fn a_client_that_does_not_read_is_left() {
    let db = <TestDb<Migrator>>::new(Backend::Sqlite).await;
    let (sender, mut dropped) = mpsc::channel::<oneshot::Sender<()>>(1);
    let app = move || {
        let sender = sender.clone();
        App::new().route(
            "/",
            web::get().to(move || {
                let sender = sender.clone();
                async move {
                    let (held, until) = oneshot::channel::<()>();
                    // The stream holds `until`, of which the other end learns when it is dropped.
                    let body = stream::unfold(until, |until| async {
                        Some((Ok::<_, io::Error>(Bytes::from_static(&[0; 8192])), until))
                    });
                    sender.send(held).await.unwrap();
                    HttpResponse::Ok().streaming(body)
                }
            }),
        )
    };
    let probe = Probe::new(db.db.clone(), "1");
    let server = Server::serve(db, OPTIONS, probe, app);
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut held = dropped.recv().await.unwrap();
    held.closed().await;
    drop(socket);
    server.stop().await.unwrap();
}

/// Many slow clients do not block others.
#[actix_web::test]
async fn others_are_served_meanwhile() {
    let server = Server::start(ServerOptions { max_connections: 50, ..OPTIONS }).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(rt::spawn(trickle(server.connect().await, HEAD, b'x')));
    }
    // The first hundred are refused in two turns, and then it is this one's.
    let answer = ask(&mut server.connect().await, LIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for client in slow {
        let answer = client.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    server.stop().await.unwrap();
}

/// After the signal a load balancer has time to notice, and requests are still served.
#[actix_web::test]
async fn it_drains_before_it_stops() {
    let options = ServerOptions { shutdown_delay: Duration::from_secs(1), ..OPTIONS };
    let server = Server::start(options).await;
    let mut socket = server.connect().await;
    assert!(ask(&mut socket, READY).await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).await.unwrap();
    let mut answer = String::from("HTTP/1.1 200 ");
    while answer.starts_with("HTTP/1.1 200 ") {
        answer = ask(&mut socket, READY).await;
    }
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("draining"), "{answer}");
    let answer = ask(&mut server.connect().await, LIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.ended.await.unwrap().unwrap();
    let refused = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    server.db.tear_down().await;
}

/// A second signal stops it at once, whatever is in progress.
#[actix_web::test]
async fn a_second_signal_stops_at_once() {
    let options = ServerOptions { shutdown_delay: Duration::from_hours(1), ..OPTIONS };
    let server = Server::start(options).await;
    assert!(ask(&mut server.connect().await, LIVE).await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).await.unwrap();
    server.stop.send(()).await.unwrap();
    assert_eq!(server.ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::Interrupted);
    server.db.tear_down().await;
}

const UPGRADE: &str = "HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

/// A handler that answers 101 gets the socket, and what the client has sent right behind the request.
#[actix_web::test]
async fn a_connection_is_handed_over() {
    let app = || {
        App::new().route(
            "/echo",
            web::get().to(async || {
                let mut response = HttpResponse::SwitchingProtocols().finish();
                upgrade::hand_over(&mut response, async |mut upgraded| {
                    upgraded.io.write_all(&upgraded.read).await.unwrap();
                    let (mut reader, mut writer) = upgraded.io.split();
                    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                });
                response
            }),
        )
    };
    let db = <TestDb<Migrator>>::new(Backend::Sqlite).await;
    let probe = Probe::new(db.db.clone(), "1");
    let server = Server::serve(db, OPTIONS, probe, app);
    let mut socket = server.connect().await;
    socket.write_all(format!("GET /echo {UPGRADE}early").as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nearly") {
        answer.push(char::from(socket.read_u8().await.unwrap()));
    }
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // What looks like a request is none.
    socket.write_all(LIVE.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    answer.clear();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, LIVE);
    server.stop().await.unwrap();
}

/// A request to upgrade what can't be upgraded is answered as any other, and its connection ends.
#[actix_web::test]
async fn other_routes_are_not_upgraded() {
    let server = Server::start(OPTIONS).await;
    for (target, status) in
        [("GET /health/live", "200"), ("GET /nowhere", "404"), ("POST /api/v1/pages", "401")]
    {
        let mut socket = server.connect().await;
        socket.write_all(format!("{target} {UPGRADE}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with('}'), "{answer}");
    }
    server.stop().await.unwrap();
}
