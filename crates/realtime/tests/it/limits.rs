//! Limits and abuse: each is bounded by its option, and answered by its close code.

use std::{net::Shutdown, time::Duration};

use groundwork_core::events;
use groundwork_realtime::Options;
use groundwork_testkit::{Socket, both_databases, client::send};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::boards::{Boards, Site, Test, nothing_more, open_again, options, until, version, versions};

/// The code of the next error, which keeps its client id.
async fn refused(socket: &mut Socket) -> String {
    socket.next("error").await["data"]["code"].as_str().unwrap().to_owned()
}

/// A part of a text in several parts.
fn part(text: &str, code: Data, is_last: bool) -> Message {
    Message::Frame(Frame::message(text.to_owned(), OpCode::Data(code), is_last))
}

/// A connection without a client: it answers nothing, and reads only what it is told to.
async fn raw(site: &Site, head: &str) -> TcpStream {
    let address = site.server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

async fn raw_socket(site: &Site, user: u128) -> TcpStream {
    let head = format!(
        "GET /api/v1/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}",
        site.token(user)
    );
    raw(site, &head).await
}

/// More frames than allowed end the connection, whatever they are: also pings, and parts of one frame.
#[both_databases]
async fn frames_per_second(test: &Test) {
    let site = Site::start(test, Options { frames_per_second: 5, ..options() }).await;
    let ping = || Message::text(r#"{"type":"ping"}"#);
    let floods: [fn(usize) -> Message; 2] = [
        |_| Message::Ping("x".into()),
        |index| part("", if index == 0 { Data::Text } else { Data::Continue }, false),
    ];
    let mut usual = site.socket(1).await;
    for flood in floods {
        let mut socket = site.socket(1).await;
        for index in 0..11 {
            socket.send_message(flood(index)).await;
        }
        assert_eq!(refused(&mut socket).await, "too_many_frames");
        assert_eq!(socket.closed().await, (4429, "too_many_frames".to_owned()));
    }
    for _ in 0..10 {
        usual.send_message(ping()).await;
    }
    for _ in 0..10 {
        usual.next("pong").await;
    }
}

/// A frame may be as large as the limit, in one part or in several.
#[both_databases]
async fn frame_size(test: &Test) {
    let site = Site::start(test, Options { frame_bytes: 1000, ..options() }).await;
    let mut socket = site.socket(1).await;
    let padding = " ".repeat(1000 - r#"{"type":"ping"}"#.len());
    socket.send_message(Message::text(format!(r#"{{"type":"ping"}}{padding}"#))).await;
    socket.next("pong").await;
    socket.send_message(part(r#"{"type":"#, Data::Text, false)).await;
    socket.send_message(Message::Ping("in between".into())).await;
    socket.send_message(part(r#""ping""#, Data::Continue, false)).await;
    socket.send_message(part(&format!("}}{padding}"), Data::Continue, true)).await;
    socket.next("pong").await;
    socket.send_message(Message::text("x".repeat(1001))).await;
    assert_eq!(socket.closed().await, (1009, "frame_too_large".to_owned()));
    let mut socket = site.socket(1).await;
    socket.send_message(part(&"x".repeat(600), Data::Text, false)).await;
    socket.send_message(part(&"x".repeat(401), Data::Continue, false)).await;
    assert_eq!(socket.closed().await, (1009, "frame_too_large".to_owned()));
}

/// A user has a limited number of connections, over all ways, and one that ends makes room.
#[both_databases]
async fn connections_per_user(test: &Test) {
    let site = Site::start(test, Options { connections_per_user: 2, ..options() }).await;
    let (one, two) = (site.socket(1).await, site.socket(1).await);
    let client = site.client(1);
    let mut three = client.socket("/api/v1/ws").await;
    assert_eq!(refused(&mut three).await, "too_many_connections");
    assert_eq!(three.closed().await, (4429, "too_many_connections".to_owned()));
    client.get("/api/v1/events").await.refused(429, "too_many_connections");
    let cursor = one.cursor().to_owned();
    let sync = format!("/api/v1/sync?since={cursor}");
    client.get(&format!("{sync}&wait=1")).await.refused(429, "too_many_connections");
    client.get(&sync).await.expect(200);
    site.socket(2).await;
    drop(two);
    until("one is free", async || site.realtime.stats().connections == 1).await;
    site.socket(1).await;
}

/// Who does not authenticate in time is disconnected, and few may wait.
#[both_databases]
async fn without_authentication(test: &Test) {
    let short = Options { auth_timeout: Duration::from_millis(200), unauthenticated: 1, ..options() };
    let site = Site::start(test, short).await;
    let anonymous = site.server.client();
    let mut socket = anonymous.socket("/api/v1/ws").await;
    assert!(anonymous.try_socket("/api/v1/ws").await.is_err(), "one is waiting already");
    assert_eq!(socket.closed().await, (4401, "unauthenticated".to_owned()));
    for (frame, code) in [
        (json!({"type": "ping"}), "unauthenticated"),
        (json!({"type": "auth", "token": "no.such.token"}), "invalid_token"),
        (json!({"type": "auth", "token": ""}), "invalid"),
        (json!({"type": "auth", "token": site.token(1), "cursor": "?"}), "invalid"),
        (json!({"type": "auth", "token": site.token_for(1, Duration::ZERO)}), "token_expired"),
    ] {
        until("a place is free", async || match anonymous.try_socket("/api/v1/ws").await {
            Ok(opened) => {
                socket = opened;
                true
            }
            Err(_) => false,
        })
        .await;
        socket.send(&frame).await;
        assert_eq!(refused(&mut socket).await, code);
        assert_eq!(socket.closed().await.0, 4401);
    }
    let stranger = anonymous.with_token("no.such.token");
    assert!(stranger.try_socket("/api/v1/ws").await.is_err());
    assert_eq!(site.realtime.stats().connections, 0);
}

/// The first frame authenticates, and may resume.
#[both_databases]
async fn authenticating_by_frame(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let cursor = site.socket(1).await.cursor().to_owned();
    site.boards.post(1).await;
    let mut socket = site.server.client().socket("/api/v1/ws").await;
    socket.send(&json!({"type": "auth", "token": site.token(1), "cursor": cursor})).await;
    let ready = socket.next("ready").await;
    assert_eq!(ready["data"]["total"], 7);
    assert_eq!(version(&mut socket).await, 2);
    // The same user goes on with a fresh token, another user does not.
    socket.send(&json!({"type": "auth", "token": site.token_for(1, Duration::from_hours(9))})).await;
    assert_ne!(socket.next("ready").await["data"]["expires_at"], ready["data"]["expires_at"]);
    site.boards.post(1).await;
    assert_eq!(version(&mut socket).await, 3);
    socket.send(&json!({"type": "auth", "token": site.token(2)})).await;
    assert_eq!(refused(&mut socket).await, "forbidden");
    assert_eq!(socket.closed().await, (4403, "other_user".to_owned()));
}

/// The connection ends with its token, unless the client sends a fresh one before.
#[both_databases]
async fn tokens_expire(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let (mut fresh, mut stale) = (site.socket(1).await, site.socket(1).await);
    fresh.send(&json!({"type": "auth", "token": site.token_for(1, Duration::from_hours(9))})).await;
    fresh.next("ready").await;
    test.clock.advance(Duration::from_hours(2));
    stale.send(&json!({"type": "ping"})).await;
    assert_eq!(refused(&mut stale).await, "token_expired");
    assert_eq!(stale.closed().await, (4401, "token_expired".to_owned()));
    site.boards.post(1).await;
    assert_eq!(version(&mut fresh).await, 2);
    fresh.send(&json!({"type": "auth", "token": site.token(1)})).await;
    assert_eq!(refused(&mut fresh).await, "token_expired");
    assert_eq!(fresh.closed().await.0, 4401);
}

/// What is not a frame is refused each time, and too much of it ends the connection.
#[both_databases]
async fn invalid_frames(test: &Test) {
    let site = Site::start(test, Options { invalid_frames: 9, ..options() }).await;
    let mut socket = site.socket(1).await;
    let deep = format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let id = "x".repeat(60_000);
    for (frame, code) in [
        ("", "malformed"),
        ("null", "malformed"),
        ("[]", "malformed"),
        (r#"{"type":"ping"}{}"#, "malformed"),
        (&deep, "malformed"),
        ("{}", "invalid"),
        (r#"{"type":7}"#, "invalid"),
        (r#"{"type":"ping","more":1}"#, "invalid"),
    ] {
        socket.send_message(Message::text(frame)).await;
        assert_eq!(refused(&mut socket).await, code, "{frame:.40}");
    }
    // A refusal by the rules is not an invalid frame.
    for _ in 0..3 {
        socket.send(&json!({"type": "refuse", "client_id": "a"})).await;
        let error = socket.next("error").await;
        assert_eq!((&error["client_id"], &error["data"]["code"]), (&json!("a"), &json!("forbidden")));
    }
    socket.send(&json!({"type": "no_such_type", "client_id": id})).await;
    assert_eq!(socket.next("error").await["data"]["code"], "unknown_type");
    socket.send_message(Message::Binary("x".into())).await;
    assert_eq!(refused(&mut socket).await, "malformed");
    assert_eq!(socket.closed().await, (4400, "invalid_frames".to_owned()));
    assert_eq!(site.realtime.stats().invalid, 10);
    let mut stream = raw_socket(&site, 1).await;
    // A frame without a mask, which RFC 6455 forbids to clients.
    stream.write_all(&[0x81, 1, b'x']).await.unwrap();
    assert_eq!(close_of(&mut stream).await, 4400);
}

/// Reads until the server closes, and returns the close code.
async fn close_of(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
    read.expect("the server closes the connection").unwrap();
    let close = bytes.windows(4).rev().find(|window| window[0] == 0x88).expect("a close frame");
    u16::from_be_bytes([close[2], close[3]])
}

/// Who answers no ping is gone; who does stays, though silent otherwise.
#[both_databases]
async fn no_sign_of_life(test: &Test) {
    let site = Site::start(test, Options { heartbeat: Duration::from_millis(150), ..options() }).await;
    site.boards.create(1, &[1]).await;
    let mut alive = site.socket(1).await;
    let mut dead = raw_socket(&site, 2).await;
    let answering = actix_web::rt::spawn(async move {
        let version = version(&mut alive).await;
        (alive, version)
    });
    assert_eq!(close_of(&mut dead).await, 4408);
    until("pongs", async || site.realtime.stats().received >= 5).await;
    site.boards.post(1).await;
    assert_eq!(answering.await.unwrap().1, 2);
}

/// Who reads nothing is given up, though the network takes no more, and its pings wait for answers that nobody reads.
#[both_databases]
async fn never_reads(test: &Test) {
    let site = Site::start(test, Options { queue_frames: 4, frames_per_second: 10_000, ..options() }).await;
    site.boards.create(1, &[1, 2]).await;
    let stream = raw_socket(&site, 2).await;
    until("it is connected", async || site.realtime.stats().connections == 1).await;
    let mut ada = site.socket(1).await;
    let padding = "x".repeat(500_000);
    let mut rounds = 0;
    while site.realtime.stats().overflows == 0 {
        site.boards
            .0
            .write(async |tx| {
                let (version, place) = Boards::next(tx, 1, 1).await?;
                let event = Boards::event("board.posted", 1).at_version(version);
                let payload = json!({"place": place, "padding": padding});
                events::append(tx, event.with(payload)).await
            })
            .await
            .unwrap();
        let masked_ping = [0x89, 0x81, 0, 0, 0, 0, b'x'];
        let _ = stream.try_write(&masked_ping.repeat(100));
        version(&mut ada).await;
        rounds += 1;
        assert!(rounds < 200, "what waits for a client is bounded");
    }
    until("only the other one is left", async || site.realtime.stats().connections == 1).await;
    nothing_more(&mut ada).await;
}

/// A cursor that is no cursor is refused; one that is no longer valid says so, and the stream goes on from the present.
#[both_databases]
async fn cursors(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let mut socket = site.socket(1).await;
    let old = socket.cursor().to_owned();
    let client = site.client(1);
    for garbage in ["x", &"A".repeat(64), &"A".repeat(33)] {
        for path in ["sync", "events"] {
            let answer = client.get(&format!("/api/v1/{path}?since={garbage}")).await;
            assert_eq!(answer.field_errors(), ["since: bad_cursor"], "{garbage}");
        }
        assert!(client.try_socket(&format!("/api/v1/ws?since={garbage}")).await.is_err());
        socket.send(&json!({"type": "resume", "cursor": garbage})).await;
        assert_eq!(refused(&mut socket).await, "invalid");
    }
    let mut epoch = old.clone().into_bytes();
    epoch[0] = if epoch[0] == b'A' { b'B' } else { b'A' };
    let foreign = String::from_utf8(epoch).unwrap();
    let beyond = format!("{}{}", &old[..10], "B_________________________".get(..22).unwrap());
    site.boards.post(1).await;
    assert_eq!(version(&mut socket).await, 2);
    test.clock.advance(Duration::from_mins(1));
    site.boards.settled().await;
    assert!(events::prune(&site.db, site.db.now()).await.unwrap() > 0);
    for expired in [&foreign, &beyond, &old] {
        client.get(&format!("/api/v1/sync?since={expired}")).await.refused(410, "cursor_expired");
        client.get(&format!("/api/v1/events?since={expired}")).await.refused(410, "cursor_expired");
        socket.send(&json!({"type": "resume", "cursor": expired})).await;
        assert_eq!(refused(&mut socket).await, "cursor_expired", "{expired}");
        let present = socket.next("ready").await["data"]["cursor"].as_str().unwrap().to_owned();
        client.get(&format!("/api/v1/sync?since={present}")).await.expect(200);
        let mut other = site.client(1).socket(&format!("/api/v1/ws?since={expired}")).await;
        assert_eq!(refused(&mut other).await, "cursor_expired");
        other.next("ready").await;
    }
    // What was pruned was delivered, and live events go on.
    let next = site.boards.post(1).await;
    versions(&mut socket, [next]).await;
}

/// Requests to `/ws` that are no handshake are refused as requests.
#[both_databases]
async fn no_handshake(test: &Test) {
    let site = Site::start(test, options()).await;
    site.client(1).get("/api/v1/ws").await.refused(400, "malformed");
    let head = site.client(1).request(Method::HEAD, "/api/v1/ws").send().await.unwrap();
    assert!(head.status().is_client_error(), "{head:?}");
    let post = site.client(1).request(Method::POST, "/api/v1/ws").send().await.unwrap();
    assert_eq!(post.status(), 405);
    let old = "GET /api/v1/ws HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut stream = raw(&site, old).await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!(answer, "HTTP/1.0 400");
    let head = send(site.client(1).request(Method::HEAD, "/api/v1/events")).await;
    assert_eq!((head.status, &head.body), (200, &Value::Null));
}

/// Two thousand connections that are opened and dropped, in all states, leave nothing behind.
#[both_databases]
async fn many_that_come_and_go(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    for round in 0..20 {
        let opened = (0..100).map(|number| raw_socket(&site, round * 10 + number % 10));
        for (number, mut stream) in futures::future::join_all(opened).await.into_iter().enumerate() {
            match number % 3 {
                0 => drop(stream),
                // Half open: the client sends no more, and may still read.
                1 => {
                    let stream = stream.into_std().unwrap();
                    let _ = stream.shutdown(Shutdown::Write);
                }
                _ => {
                    let _ = stream.read(&mut [0; 64]).await;
                }
            }
        }
    }
    until("nothing is left", async || {
        let stats = site.realtime.stats();
        (stats.connections, stats.users, stats.subjects) == (0, 0, 0)
    })
    .await;
    let mut ada = site.socket(1).await;
    site.boards.post(1).await;
    versions(&mut ada, [2]).await;
}

/// One user's flood of frames does not hold up what another one gets.
#[both_databases]
async fn a_flood_holds_up_nobody_else(test: &Test) {
    let site = Site::start(test, Options { frames_per_second: 1_000_000, ..options() }).await;
    site.boards.create(1, &[1]).await;
    let mut ada = site.socket(1).await;
    let mut flooder = site.socket(2).await;
    let flood = actix_web::rt::spawn(async move {
        for _ in 0..5000 {
            flooder.send_message(Message::Pong("x".into())).await;
        }
        flooder
    });
    for expected in 2..=20 {
        site.boards.post(1).await;
        assert_eq!(version(&mut ada).await, expected);
    }
    let mut flooder = flood.await.unwrap();
    nothing_more(&mut flooder).await;
    drop(open_again(test).await);
}
