//! Who follows what changes in the order of the log, also while clients connect.

use std::sync::atomic::Ordering;

use groundwork_core::events;
use groundwork_testkit::both_databases;
use serde_json::json;

use super::boards::{Boards, Site, Test, id, nothing_more, options, until, version, versions};

/// Joining and leaving between the events of one transaction shows exactly those in between.
#[both_databases]
async fn members_see_what_lies_between_joining_and_leaving(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    site.boards
        .0
        .write(async |tx| {
            Boards::post_in(tx, 1, "board.posted").await?;
            Boards::join_in(tx, 1, 2).await?;
            Boards::post_in(tx, 1, "board.posted").await?;
            Boards::leave_in(tx, 1, 2).await?;
            Boards::post_in(tx, 1, "board.posted").await?;
            Boards::join_in(tx, 1, 2).await?;
            Boards::post_in(tx, 1, "board.posted").await
        })
        .await
        .unwrap();
    versions(&mut ada, 2..=8).await;
    versions(&mut bea, [3, 4, 5, 7, 8]).await;
    nothing_more(&mut bea).await;
}

/// A user who joins, leaves and joins while what they follow is being read, follows what the log says last.
#[both_databases]
async fn changes_while_connecting_are_not_lost(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    site.boards.create(2, &[]).await;
    site.boards.create(3, &[1]).await;
    site.knobs.gate.close();
    let client = site.client(1);
    let opening = actix_web::rt::spawn(async move {
        let mut socket = client.socket("/api/v1/ws").await;
        socket.next("ready").await;
        socket
    });
    until("what the user follows was read", async || site.knobs.gate.waiting() == 1).await;
    site.boards.leave(1, 1).await;
    site.boards.join(2, 1).await;
    site.boards.leave(3, 1).await;
    site.boards.join(3, 1).await;
    until("the tail has read it", async || site.realtime.stats().read >= 6).await;
    site.boards.settled().await;
    site.knobs.gate.open();
    let mut ada = opening.await.unwrap();
    for board in [1, 2, 3] {
        site.boards.post(board).await;
    }
    for board in [2, 3] {
        assert_eq!(ada.event().await["board_id"], json!(id(board)));
    }
    nothing_more(&mut ada).await;
}

/// A client that goes away while what its user follows is being read leaves nothing behind, and the next one gets all.
#[both_databases]
async fn a_client_that_goes_while_connecting_leaves_nothing(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    site.knobs.gate.close();
    let request = site.client(1).request(reqwest::Method::GET, "/api/v1/events");
    let stream = actix_web::rt::spawn(async move { request.send().await });
    until("the stream waits", async || site.knobs.gate.waiting() == 1).await;
    stream.abort();
    let client = site.client(1);
    let opening = actix_web::rt::spawn(async move { client.socket("/api/v1/ws").await });
    until("the socket waits", async || site.knobs.gate.waiting() == 2).await;
    site.boards.leave(1, 1).await;
    until("the tail has read it", async || site.realtime.stats().read >= 2).await;
    site.boards.settled().await;
    site.knobs.gate.open();
    let mut ada = opening.await.unwrap();
    ada.next("ready").await;
    site.boards.post(1).await;
    nothing_more(&mut ada).await;
    until("one connection is left", async || site.realtime.stats().connections == 1).await;
    drop(ada);
    until("nothing is left", async || {
        let stats = site.realtime.stats();
        (stats.connections, stats.users, stats.subjects) == (0, 0, 0)
    })
    .await;
}

/// All connections of a user get their events; one more or less changes nothing for the others.
#[both_databases]
async fn a_user_has_several_connections(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let (mut one, two) = (site.socket(1).await, site.socket(1).await);
    let page = site.client(1).get("/api/v1/sync").await.expect(200);
    site.boards.post(1).await;
    versions(&mut one, [2]).await;
    two.close().await;
    let mut three = site.socket(1).await;
    site.boards.post(1).await;
    versions(&mut one, [3]).await;
    versions(&mut three, [3]).await;
    let since = page["cursor"].as_str().unwrap();
    let page = site.client(1).get(&format!("/api/v1/sync?since={since}&limit=1")).await.expect(200);
    assert_eq!((&page["items"][0]["version"], &page["has_more"]), (&json!(2), &json!(true)));
    let since = page["cursor"].as_str().unwrap();
    let page = site.client(1).get(&format!("/api/v1/sync?since={since}&wait=1")).await.expect(200);
    assert_eq!((&page["items"][0]["version"], &page["has_more"]), (&json!(3), &json!(false)));
}

/// Who joined later sees nothing about what was there before, though the event itself is new.
#[both_databases]
async fn what_was_before_joining_stays_unseen(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let old = site.boards.post(1).await;
    site.boards.join(1, 2).await;
    site.boards.settled().await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    site.boards
        .0
        .write(async |tx| {
            let (version, _) = Boards::next(tx, 1, 0).await?;
            let event = Boards::event("board.edited", 1).at_version(version);
            // An edit of the first post, whose place is 1.
            events::append(tx, event.with(json!({"place": 1}))).await
        })
        .await
        .unwrap();
    site.boards.post(1).await;
    versions(&mut ada, [old + 2, old + 3]).await;
    versions(&mut bea, [old + 3]).await;
}

/// Data for one user reaches that user alone; an event that nobody may see moves nothing but the cursor.
#[both_databases]
async fn personal_data_is_personal(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let mut sockets = [(1, site.socket(1).await), (2, site.socket(2).await)];
    site.boards.post_as(1, "board.hidden").await;
    site.boards.post_as(1, "board.secret").await;
    site.boards.post_as(1, "board.counted").await;
    let told = Boards::event("board.told", 1).of_user(id(2));
    site.db.write(async |tx| events::append(tx, told.clone()).await).await.unwrap();
    for (user, socket) in &mut sockets {
        let event = socket.event().await;
        assert_eq!(event["version"], 5, "the scope of the secret one is missing");
        assert_eq!(event["data"]["own"], format!("board.counted {}", id(*user)));
    }
    assert_eq!(sockets[1].1.event().await["type"], "board.told");
    nothing_more(&mut sockets[0].1).await;
}

/// A burst of events that replace each other becomes few frames, and no cursor passes what waits: a client that goes at any
/// of them, and resumes, gets all.
#[both_databases]
async fn a_burst_is_merged_and_no_cursor_passes_it(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let mut ada = site.socket(1).await;
    let first = ada.cursor().to_owned();
    let before = site.realtime.stats().queued;
    site.boards.seen(1, 100..2100).await;
    site.boards.seen(1, 100..2100).await;
    let last = site.boards.post(1).await;
    let (mut users, mut frames, mut is_posted) = (std::collections::HashSet::new(), 0, false);
    let mut cursors = vec![first];
    while users.len() < 2000 || !is_posted {
        let event = ada.event().await;
        frames += 1;
        is_posted |= event["version"] == last;
        for item in event["data"]["seen"].as_array().into_iter().flatten() {
            users.insert(item["user"].as_str().unwrap().to_owned());
        }
        if users.len() < 2000 {
            cursors.push(ada.cursor().to_owned());
        }
    }
    assert!(frames < 40, "{frames} frames");
    assert!(site.realtime.stats().queued - before < 50);
    for cursor in [&cursors[0], cursors.last().unwrap()] {
        let mut again = site.resume(1, cursor).await;
        let mut missing = users.clone();
        while !missing.is_empty() {
            for item in again.event().await["data"]["seen"].as_array().into_iter().flatten() {
                missing.remove(item["user"].as_str().unwrap());
            }
        }
    }
}

/// The user's own event of that kind comes at once, with their data.
#[both_databases]
async fn ones_own_is_not_held_back(test: &Test) {
    let slow = groundwork_realtime::Options { merge: std::time::Duration::from_hours(1), ..options() };
    let site = Site::start(test, slow).await;
    site.boards.create(1, &[1, 2]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    site.boards.seen(1, [1].into_iter()).await;
    assert_eq!(ada.event().await["data"]["own"], format!("board.seen {}", id(1)));
    // It still waits for the others, so their cursors stay before it.
    let before = bea.cursor().to_owned();
    site.boards.post(1).await;
    assert_eq!(version(&mut bea).await, 3);
    let mut again = site.resume(2, bea.cursor()).await;
    assert_eq!(again.event().await["type"], "board.posted");
    assert_eq!(again.event().await["data"]["seen"][0]["user"], json!(id(1)));
    drop(before);
}

/// A feed that fails at one event, or panics, holds up the others for a moment only, live and in a catch-up.
#[both_databases]
async fn one_bad_event_holds_nothing_up(test: &Test) {
    let quick = groundwork_realtime::Options { poll: std::time::Duration::from_millis(30), ..options() };
    let site = Site::start(test, quick).await;
    site.boards.create(1, &[1]).await;
    let mut ada = site.socket(1).await;
    let cursor = ada.cursor().to_owned();
    site.knobs.is_broken.store(true, Ordering::SeqCst);
    for kind in ["board.posted", "board.broken", "board.posted", "board.panics", "board.posted"] {
        site.boards.post_as(1, kind).await;
    }
    versions(&mut ada, [2, 4, 6]).await;
    let mut again = site.resume(1, &cursor).await;
    versions(&mut again, [2, 4, 6]).await;
    // A failure that passes loses nothing.
    site.boards.post_as(1, "board.broken").await;
    site.knobs.is_broken.store(false, Ordering::SeqCst);
    site.boards.post(1).await;
    until("the last one", async || matches!(ada.event().await["version"].as_i64(), Some(8))).await;
}

/// A board that is gone tells its members, and forgets them.
#[both_databases]
async fn a_subject_that_is_gone_is_forgotten(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let mut ada = site.socket(1).await;
    assert_eq!(site.realtime.stats().subjects, 1);
    site.boards.post_as(1, "board.closed").await;
    versions(&mut ada, [3]).await;
    site.boards.post(1).await;
    nothing_more(&mut ada).await;
    until("nobody follows it", async || site.realtime.stats().subjects == 0).await;
}

/// A storm of changes of what a user follows makes few reads of it.
#[both_databases]
async fn reloads_are_few(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let mut ada = site.socket(1).await;
    site.knobs.gate.close();
    for _ in 0..20 {
        site.db
            .write(async |tx| {
                let event = Boards::event("board.reloads", 1).of_user(id(1));
                events::append(tx, event).await
            })
            .await
            .unwrap();
    }
    for _ in 0..20 {
        assert_eq!(ada.event().await["type"], "board.reloads");
    }
    until("one read waits", async || site.knobs.gate.waiting() >= 1).await;
    assert_eq!(site.knobs.gate.waiting(), 1);
    site.knobs.gate.open();
    site.boards.post(1).await;
    versions(&mut ada, [2]).await;
}
