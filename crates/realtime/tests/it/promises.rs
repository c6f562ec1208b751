//! The seven promises of live delivery.

use std::{sync::atomic::Ordering, time::Duration};

use groundwork_realtime::{Options, bus::Bus};
use groundwork_testkit::both_databases;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::boards::{Boards, Site, Test, id, nothing_more, open_again, options, until, version, versions};

/// 1. Events reach each member in version order, though many write at once.
#[both_databases]
async fn versions_come_in_order(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    let writers = (0..8).map(|_| {
        let boards = site.boards.clone();
        actix_web::rt::spawn(async move {
            for _ in 0..10 {
                boards.post(1).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    versions(&mut ada, 3..=82).await;
    versions(&mut bea, 3..=82).await;
    for writer in writers {
        writer.await.unwrap();
    }
    nothing_more(&mut ada).await;
}

/// 2. A client that resumes gets everything after its cursor, once and in order, while others write.
#[both_databases]
async fn a_resume_joins_the_log_and_what_is_live(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let first = site.socket(1).await;
    let cursor = first.cursor().to_owned();
    drop(first);
    for _ in 0..450 {
        site.boards.post(1).await;
    }
    let writer = {
        let boards = site.boards.clone();
        actix_web::rt::spawn(async move {
            for _ in 0..100 {
                boards.post(1).await;
            }
        })
    };
    let mut ada = site.resume(1, &cursor).await;
    versions(&mut ada, 2..=551).await;
    writer.await.unwrap();
    nothing_more(&mut ada).await;
    // The cursor of each event is a place to resume at.
    ada.send(&json!({"type": "resume", "cursor": cursor})).await;
    versions(&mut ada, 2..=551).await;
    let mut other = site.resume(1, ada.cursor()).await;
    nothing_more(&mut other).await;
}

/// 2. Each cursor on the way is a place to resume at: nothing is missing after any of them.
#[both_databases]
async fn every_cursor_resumes(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let mut ada = site.socket(1).await;
    let mut cursors = vec![(ada.cursor().to_owned(), 2)];
    for _ in 0..10 {
        site.boards.post(1).await;
        site.boards.seen(1, [2].into_iter()).await;
    }
    while cursors.last().unwrap().1 < 12 {
        let event = ada.event().await;
        if let Some(version) = event["version"].as_i64() {
            cursors.push((ada.cursor().to_owned(), version));
        }
    }
    for (cursor, version) in cursors {
        let mut again = site.resume(1, &cursor).await;
        let mut versions = Vec::new();
        while versions.last() != Some(&12) && version < 12 {
            versions.extend(again.event().await["version"].as_i64());
        }
        let missing: Vec<_> = (version + 1..=12).filter(|version| !versions.contains(version)).collect();
        assert!(missing.is_empty(), "after {version}: {missing:?}");
    }
}

/// 3. A client that does not read is told to resume, and then has everything; the others notice nothing.
#[both_databases]
async fn a_slow_client_is_disconnected_alone(test: &Test) {
    let site = Site::start(test, Options { queue_frames: 8, ..options() }).await;
    site.boards.create(1, &[1, 2]).await;
    let mut fast = site.socket(1).await;
    let mut slow = site.socket(2).await;
    let padding = "x".repeat(200_000);
    let mut posted = 2;
    // The slow client reads nothing until the server has given it up.
    while site.realtime.stats().overflows == 0 {
        site.boards
            .0
            .write(async |tx| {
                let (version, place) = Boards::next(tx, 1, 1).await?;
                let event = Boards::event("board.posted", 1).at_version(version);
                let payload = json!({"place": place, "padding": padding});
                groundwork_core::events::append(tx, event.with(payload)).await
            })
            .await
            .unwrap();
        posted += 1;
        assert_eq!(version(&mut fast).await, posted);
        assert!(posted < 500, "the queue is bounded");
    }
    let (mut last, mut is_told) = (2, false);
    let close = loop {
        match slow.frame_or_close().await {
            Ok(frame) if frame["id"].is_string() => {
                last += 1;
                assert_eq!(frame["version"], last);
            }
            Ok(frame) => is_told |= frame["type"] == "resync_required",
            Err(close) => break close,
        }
    };
    assert!(is_told);
    assert_eq!(close, (4409, "too_slow".to_owned()));
    let mut again = site.resume(2, slow.cursor()).await;
    versions(&mut again, last + 1..=posted).await;
    nothing_more(&mut again).await;
    nothing_more(&mut fast).await;
}

/// 3. A client that resumes with a long log and a short queue is not too slow: it reads on.
#[both_databases]
async fn catching_up_does_not_overflow(test: &Test) {
    let site = Site::start(test, Options { queue_frames: 1, ..options() }).await;
    site.boards.create(1, &[1]).await;
    let cursor = site.socket(1).await.cursor().to_owned();
    for _ in 0..600 {
        site.boards.post(1).await;
    }
    let mut ada = site.client(1).socket(&format!("/api/v1/ws?since={cursor}")).await;
    ada.next("ready").await;
    let boards = site.boards.clone();
    let writer = actix_web::rt::spawn(async move {
        for _ in 0..20 {
            boards.post(1).await;
        }
    });
    versions(&mut ada, 2..=601).await;
    writer.await.unwrap();
    // It may overflow after it has caught up; then it resumes.
    let mut last = 601;
    while last < 621 {
        match ada.frame_or_close().await {
            Ok(frame) if frame["id"].is_string() => {
                last += 1;
                assert_eq!(frame["version"], last);
            }
            Ok(_) => {}
            Err((4409, _)) => ada = site.resume(1, ada.cursor()).await,
            Err(close) => panic!("{close:?}"),
        }
    }
}

/// 4. Without the bus, each server still finds what others have written, when it reads the log the next time.
#[both_databases]
async fn without_the_bus_the_log_is_read_from_time_to_time(test: &Test) {
    let here = Site::start(test, options()).await;
    let there = Site::start_on(open_again(test).await, options(), Bus::local()).await;
    here.boards.create(1, &[1]).await;
    let mut ada = there.socket(1).await;
    for expected in 2..=4 {
        here.boards.post(1).await;
        assert_eq!(version(&mut ada).await, expected);
    }
}

/// A busy log is read once for many commits, and nothing is lost or out of order by that. An event after a quiet time does
/// not wait, however long the pace.
#[both_databases]
async fn a_busy_log_is_read_at_a_pace(test: &Test) {
    let pace = Duration::from_millis(100);
    let site = Site::start(test, Options { pace, poll: Duration::from_mins(10), ..options() }).await;
    site.boards.create(1, &[1]).await;
    let mut ada = site.socket(1).await;
    let (reads, since) = (site.realtime.stats().reads, std::time::Instant::now());
    for _ in 0..400 {
        site.boards.post(1).await;
    }
    versions(&mut ada, 2..=401).await;
    let paced = since.elapsed().as_millis() / pace.as_millis();
    // After a pace one read finds events, and the next may find none.
    let most = u64::try_from(2 * paced + 4).unwrap();
    let reads = site.realtime.stats().reads - reads;
    // Others in the same PostgreSQL may hold the log back, which has it read again.
    let is_alone = site.db.reader().get_database_backend() == sea_orm::DbBackend::Sqlite;
    assert!(reads <= most || !is_alone, "{reads} reads in {paced} paces");
    nothing_more(&mut ada).await;
    // The log is not read by time here, and a pace is much longer than the test.
    let calm = Site::start(
        test,
        Options { pace: Duration::from_hours(1), poll: Duration::from_hours(1), ..options() },
    );
    let calm = calm.await;
    let mut bea = calm.socket(1).await;
    calm.boards.settled().await;
    calm.boards.post(1).await;
    assert_eq!(version(&mut bea).await, 402);
}

/// While nobody is connected, the feed is asked nothing. Who connects then gets what comes, also what others joined before.
#[both_databases]
async fn without_connections_events_only_pass(test: &Test) {
    let site = Site::start(test, options()).await;
    let read = site.realtime.stats().read;
    site.boards.create(1, &[1]).await;
    for _ in 0..20 {
        site.boards.post(1).await;
    }
    site.boards.join(1, 2).await;
    until("the tail has passed the events", async || site.realtime.stats().read >= read + 22).await;
    assert_eq!(site.knobs.shows.load(Ordering::SeqCst), 0);
    let mut bea = site.socket(2).await;
    site.boards.post(1).await;
    assert_eq!(version(&mut bea).await, 23);
}

/// 5. Who is removed gets that event as the last one, on every server, and by a catch-up either.
#[both_databases]
async fn who_is_removed_gets_nothing_more(test: &Test) {
    let here = Site::start(test, options()).await;
    let there = Site::start_on(open_again(test).await, options(), Bus::local()).await;
    here.boards.create(1, &[1, 2]).await;
    let mut of_bea = [here.socket(2).await, there.socket(2).await];
    let mut ada = there.socket(1).await;
    let cursor = of_bea[0].cursor().to_owned();
    // In one batch of the tail, in the order of the log.
    here.boards
        .0
        .write(async |tx| {
            Boards::post_in(tx, 1, "board.posted").await?;
            Boards::leave_in(tx, 1, 2).await?;
            Boards::post_in(tx, 1, "board.posted").await
        })
        .await
        .unwrap();
    versions(&mut ada, 3..=5).await;
    for bea in &mut of_bea {
        versions(bea, 3..=4).await;
        // Its own server has the last one as well, when it reads the log the next time.
        until("everything is read", async || {
            there.realtime.stats().read >= 3 && here.realtime.stats().read >= 3
        })
        .await;
        nothing_more(bea).await;
    }
    let mut again = here.resume(2, &cursor).await;
    versions(&mut again, 4..=4).await;
    nothing_more(&mut again).await;
}

/// 5. Who is signed out is disconnected, on every server, by every way out; a further session of theirs is not.
#[both_databases]
async fn who_is_signed_out_is_disconnected(test: &Test) {
    let here = Site::start(test, options()).await;
    let there = Site::start_on(open_again(test).await, options(), Bus::local()).await;
    here.boards.create(1, &[1]).await;
    let mut sockets = [here.socket(1).await, there.socket(1).await];
    let other = here.client(1).with_token(&here.token(1).replacen("1000001", "77", 1));
    let mut other = other.socket("/api/v1/ws").await;
    other.next("ready").await;
    let stream = here.client(1).request(reqwest::Method::GET, "/api/v1/events").send().await.unwrap();
    let cursor = sockets[0].cursor().to_owned();
    let waiting = {
        let client = there.client(1);
        actix_web::rt::spawn(async move { client.get(&format!("/api/v1/sync?since={cursor}&wait=30")).await })
    };
    until("the request waits", async || there.realtime.stats().connections == 2).await;
    here.boards.end_session(1).await;
    for socket in &mut sockets {
        assert_eq!(socket.next("error").await["data"]["code"], "session_ended");
        assert_eq!(socket.closed().await, (4401, "session_ended".to_owned()));
    }
    here.boards.post(1).await;
    assert_eq!(version(&mut other).await, 2);
    let body = stream.text().await.unwrap();
    assert!(body.contains("session_ended") && !body.contains("board.posted"), "{body}");
    waiting.await.unwrap().refused(401, "session_ended");
    here.client(1).get("/api/v1/events").await.refused(401, "session_ended");
}

/// 5. Who is signed out while connecting is disconnected as well: after the token was checked and before the connection is
/// known, and while what they follow is read.
#[both_databases]
async fn who_is_signed_out_while_connecting_is_disconnected(test: &Test) {
    let site = Site::start(test, options()).await;
    for (user, gate) in [(1, &site.knobs.admission), (2, &site.knobs.gate)] {
        site.boards.create(user, &[user]).await;
        // Each round has two events: of the board, and of the session.
        let events = u64::try_from(2 * user).unwrap();
        gate.close();
        let mut socket = site.server.client().socket("/api/v1/ws").await;
        socket.send(&json!({"type": "auth", "token": site.token(user)})).await;
        let waiting = {
            let client = site.client(user);
            actix_web::rt::spawn(async move { client.get("/api/v1/events").await })
        };
        until("both wait", async || gate.waiting() == 2).await;
        site.boards.end_session(user).await;
        until("the tail has read it", async || site.realtime.stats().read == events).await;
        gate.open();
        assert_eq!(socket.closed().await.0, 4401);
        waiting.await.unwrap().refused(401, "session_ended");
        until("no connection is left", async || site.realtime.stats().connections == 0).await;
    }
}

/// 6. On shutdown clients are told to come back after a random time, also those that have not authenticated, and the server
/// waits for them. Nobody is let in any more.
#[both_databases]
async fn a_server_that_stops_sends_its_clients_away(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(site.socket(1).await);
    }
    let mut unknown = site.server.client().socket("/api/v1/ws").await;
    let stream = site.client(1).request(reqwest::Method::GET, "/api/v1/events").send().await.unwrap();
    let started = std::time::Instant::now();
    let clients = async {
        let mut times = Vec::new();
        for socket in sockets.iter_mut().chain([&mut unknown]) {
            times.push(socket.next("reconnect").await["data"]["after_ms"].as_u64().unwrap());
            assert_eq!(socket.closed().await, (1012, "server_restarts".to_owned()));
        }
        assert!(stream.text().await.unwrap().contains("event: reconnect"));
        times
    };
    let (times, ()) = tokio::join!(clients, site.shut_down());
    assert!(times.iter().any(|time| *time != times[0]) && times.iter().all(|time| *time < 5000), "{times:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "nobody was left to wait for");
    site.client(1).get("/api/v1/events").await.refused(503, "unavailable");
    assert!(site.client(1).try_socket("/api/v1/ws").await.is_err());
}

/// 7. Catching up takes a fixed number of questions to the feed for each page.
#[both_databases]
async fn catching_up_costs_what_was_missed(test: &Test) {
    let site = Site::start(test, options()).await;
    for board in 1..=20 {
        site.boards.create(board, &[1]).await;
    }
    let mut ada = site.socket(1).await;
    let cursor = ada.cursor().to_owned();
    for _ in 0..30 {
        site.boards.post(20).await;
    }
    versions(&mut ada, 2..=31).await;
    let before = site.knobs.shows.load(Ordering::SeqCst);
    let mut again = site.resume(1, &cursor).await;
    versions(&mut again, 2..=31).await;
    let page = site.client(1).get(&format!("/api/v1/sync?since={cursor}&limit=500")).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 30);
    assert_eq!(site.knobs.shows.load(Ordering::SeqCst) - before, 2);
    assert_eq!(page["items"][0]["board_id"], json!(id(20)));
}
