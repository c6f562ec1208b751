//! The paged feed: for a client that has everything, and for one that was away.

use std::time::Duration;

use serde_json::Value as Json;

use super::{Ground, Scenario, mix, one_of};
use crate::{
    Result,
    drive::{http::Http, work::Request},
    load::world::FIRST_ORDINARY,
};

/// What happened while the client was away: events of its threads, and of all.
const MISSED: (u64, u64) = (50, 2_000);
/// The client.
const USER: u64 = FIRST_ORDINARY;

/// Takes a cursor, lets things happen, and takes another one.
pub async fn scenarios(ground: &Ground, address: std::net::SocketAddr) -> Result<Vec<Scenario>> {
    let mut http = Http::connect(address).await?;
    let before = cursor(ground, &mut http).await?;
    let send = sends(ground);
    let mut request = Vec::new();
    for number in 0..MISSED.1 {
        request.clear();
        send(number, &mut request);
        if http.send(&request).await? != 201 {
            return Err(format!("a message was refused: {}", String::from_utf8_lossy(http.body())).into());
        }
    }
    // Events are settled when the transactions before them have ended.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let now = cursor(ground, &mut http).await?;
    let of = |name, cursor: String| Scenario {
        name,
        request: ground.get(move |_, _| (USER, format!("/sync?limit=100&since={cursor}"))),
        connections: None,
        direct: None,
    };
    Ok(vec![of("sync, caught up", now), of("sync, 2,000 events behind", before)])
}

/// Messages of which some are in the first direct thread, which the client is in.
fn sends(ground: &Ground) -> Request {
    ground.post(|world, number| {
        let block = &world.directs;
        let thread = if number % MISSED.1 < MISSED.0 { 0 } else { one_of(block, number) };
        let sender = world.sender(block, thread, mix(number) >> 8);
        (
            sender,
            format!("/threads/{}/messages", world.thread(block, thread)),
            r#"{"text":"While you were away"}"#.into(),
        )
    })
}

/// Waits until the service delivers events: one that has just started has not read the log yet.
pub async fn delivers(ground: &Ground, address: std::net::SocketAddr) -> Result<()> {
    cursor(ground, &mut Http::connect(address).await?).await.map(|_| ())
}

/// Returns the present cursor.
async fn cursor(ground: &Ground, http: &mut Http) -> Result<String> {
    let mut request = Vec::new();
    ground.get(|_, _| (USER, "/sync".into()))(0, &mut request);
    for _ in 0..200 {
        if http.send(&request).await? == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let page: Json = serde_json::from_slice(http.body())?;
    let cursor = page.get("cursor").and_then(Json::as_str);
    Ok(cursor.ok_or_else(|| format!("no cursor: {page}"))?.to_owned())
}
