//! Presence and typing, on one server and between servers.

use std::time::Duration;

use groundwork_realtime::{
    Options, Status,
    bus::{Bus, BusState, NatsOptions},
};
use groundwork_testkit::{NatsServer, Socket, both_databases};
use serde_json::json;

use super::boards::{Site, Test, id, open_again, options, until};

/// Waits until the client is told that status of a user.
async fn told(socket: &mut Socket, user: u128, status: &str) {
    loop {
        let frame = socket.next("presence").await;
        if frame["data"]["user_id"] == json!(id(user)) && frame["data"]["status"] == status {
            return;
        }
    }
}

async fn bus(nats: &NatsServer) -> Bus {
    let bus = Bus::nats(&NatsOptions { url: nats.url().try_into().unwrap(), prefix: "boards".to_owned() });
    until("the bus is connected", async || bus.status().state == BusState::Connected).await;
    bus
}

/// Members see who is online, away and gone; connecting again in time goes unnoticed; and nothing is written.
#[both_databases]
async fn members_see_each_other(test: &Test) {
    let site = Site::start(test, Options { presence_grace: Duration::from_secs(1), ..options() }).await;
    site.boards.create(1, &[1, 2]).await;
    site.boards.create(2, &[3]).await;
    let before = test.dump().await;
    let mut ada = site.socket(1).await;
    let mut stranger = site.socket(3).await;
    let mut bea = site.socket(2).await;
    told(&mut ada, 2, "online").await;
    told(&mut bea, 1, "online").await;
    // The most present connection counts.
    let mut second = site.socket(2).await;
    bea.send(&json!({"type": "presence", "status": "away"})).await;
    second.send(&json!({"type": "presence", "status": "away"})).await;
    told(&mut ada, 2, "away").await;
    second.send(&json!({"type": "presence", "status": "online"})).await;
    told(&mut ada, 2, "online").await;
    // Loading a page again is no change, and neither is being away while doing so.
    second.send(&json!({"type": "presence", "status": "away"})).await;
    told(&mut ada, 2, "away").await;
    drop((bea, second));
    until("both are gone", async || site.realtime.stats().connections == 2).await;
    assert_eq!(site.realtime.statuses(&[id(2)]), [Status::Away]);
    let frame = ada.next("presence").await;
    assert_eq!(frame["data"]["status"], "offline", "{frame}");
    assert!(frame["data"]["last_seen_at"].is_string());
    assert_eq!(site.realtime.statuses(&[id(1), id(2)]), [Status::Online, Status::Offline]);
    stranger.send(&json!({"type": "ping"})).await;
    assert_eq!(stranger.frame().await["type"], "pong", "a stranger sees nothing of it");
    assert_eq!(test.dump().await, before, "nothing is written");
}

/// Who joins is seen by the others, and sees them, at once.
#[both_databases]
async fn who_joins_is_seen(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    site.boards.join(1, 2).await;
    told(&mut ada, 2, "online").await;
    told(&mut bea, 1, "online").await;
}

/// Typing shows to the others, and ends by itself; repeats are not sent on.
#[both_databases]
async fn typing_ends_by_itself(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    for _ in 0..5 {
        ada.send(&json!({"type": "typing", "board_id": id(1)})).await;
    }
    let frame = bea.next("typing").await;
    assert_eq!(frame["board_id"], json!(id(1)));
    assert_eq!((&frame["data"]["user_id"], &frame["data"]["active"]), (&json!(id(1)), &json!(true)));
    assert_eq!(frame["data"]["expires_in_ms"], 400);
    assert_eq!(bea.next("typing").await["data"]["active"], false, "once, and then its end");
}

/// Servers tell each other who is online and types; one that starts later learns it, also where it shows; and one that
/// stops is believed no longer.
#[both_databases]
async fn servers_tell_each_other(test: &Test) {
    let Some(nats) = NatsServer::new().await else { return };
    let here = Site::start_on(test.db.clone(), options(), bus(&nats).await).await;
    here.boards.create(1, &[1, 2]).await;
    let mut ada = here.socket(1).await;
    // The second server has missed that Ada came.
    let there = Site::start_on(open_again(test).await, options(), bus(&nats).await).await;
    let mut bea = there.socket(2).await;
    told(&mut bea, 1, "online").await;
    told(&mut ada, 2, "online").await;
    ada.send(&json!({"type": "presence", "status": "away"})).await;
    told(&mut bea, 1, "away").await;
    let mut again = there.socket(2).await;
    told(&mut again, 1, "away").await;
    bea.send(&json!({"type": "typing", "board_id": id(1)})).await;
    assert_eq!(ada.next("typing").await["data"]["active"], true);
    assert_eq!(ada.next("typing").await["data"]["active"], false);
    // On both servers, and then on none: the last one counts at once.
    let mut both = here.socket(2).await;
    told(&mut both, 1, "away").await;
    until("both know", async || here.realtime.statuses(&[id(2)]) == [Status::Online]).await;
    drop((bea, again));
    until("they are gone there", async || there.realtime.stats().connections == 0).await;
    drop(both);
    told(&mut ada, 2, "offline").await;
    let mut bea = there.socket(2).await;
    told(&mut ada, 2, "online").await;
    told(&mut bea, 1, "away").await;
    tokio::join!(there.shut_down(), async { bea.closed().await });
    told(&mut ada, 2, "offline").await;
    assert_eq!(here.realtime.statuses(&[id(2)]), [Status::Offline]);
}

/// The users of a server that was killed are gone after a while.
#[both_databases]
async fn a_server_that_was_killed_is_forgotten(test: &Test) {
    let Some(nats) = NatsServer::new().await else { return };
    let here = Site::start_on(test.db.clone(), options(), bus(&nats).await).await;
    here.boards.create(1, &[1, 2]).await;
    let mut ada = here.socket(1).await;
    let killed = bus(&nats).await;
    let there = Site::start_on(open_again(test).await, options(), killed.clone()).await;
    let bea = there.socket(2).await;
    told(&mut ada, 2, "online").await;
    // From now on nothing comes from there.
    killed.close().await;
    told(&mut ada, 2, "offline").await;
    drop(bea);
}
