//! Clients that talk while clients, servers, NATS and the database are killed at random: afterwards each client's view equals
//! the database, event for event.
//!
//! The suite runs a short version. The long one, with 1,000 clients in 100 threads for a minute:
//! `cargo test -p api --test it -- --ignored --nocapture --test-threads 1 chaos`.

mod client;
mod servers;
mod view;

use std::{
    collections::HashMap,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use groundwork_core::{Db, DbOptions, sea_orm::ConnectionTrait};
use groundwork_testkit::{Client, NatsServer, client::PASSWORD, postgres::OwnServer};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use self::{
    client::{Talker, Totals},
    servers::{Random, Servers},
};

/// How long everybody has to see everything after the last fault.
const SETTLE: Duration = Duration::from_mins(3);

/// The size of a run.
#[derive(Clone, Copy)]
struct Plan {
    clients: usize,
    threads: usize,
    time: Duration,
    /// The mean time between two messages of a client.
    pause: Duration,
    /// The mean time between two faults.
    faults: Duration,
}

const SHORT: Plan = Plan {
    clients: 24,
    threads: 6,
    time: Duration::from_secs(8),
    pause: Duration::from_millis(600),
    faults: Duration::from_millis(900),
};

const LONG: Plan = Plan {
    clients: 1000,
    threads: 100,
    time: Duration::from_mins(1),
    pause: Duration::from_secs(10),
    faults: Duration::from_secs(4),
};

/// What the talkers share.
struct Stage {
    servers: Servers,
    plan: Plan,
    /// Nobody begins anything new.
    is_over: AtomicBool,
    /// How many talkers still have a message on its way after that. The others may not have seen it yet.
    sending: AtomicUsize,
    /// How many connections the talkers cut themselves.
    cuts: AtomicU64,
    totals: Mutex<Totals>,
    /// What each talker has not seen yet, as of its last look: threads and versions.
    missing: Mutex<HashMap<usize, Vec<(String, i64)>>>,
}

impl Stage {
    fn late(&self) -> ! {
        let sending = self.sending.load(Ordering::SeqCst);
        let mut missing = self.missing.lock().unwrap().clone();
        missing.retain(|_, versions| !versions.is_empty());
        panic!("{sending} still have a message on its way; not seen in time: {missing:?}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_on_sqlite() {
    run(SHORT, &World::sqlite(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_on_postgres_with_three_servers() {
    let Some(world) = World::postgres(3).await else { return };
    run(SHORT, &world).await;
}

#[ignore = "takes some minutes"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_chaos_on_sqlite() {
    // Each of its faults cuts everybody off.
    run(Plan { faults: Duration::from_secs(12), ..LONG }, &World::sqlite(1)).await;
}

#[ignore = "takes some minutes"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_chaos_on_postgres_with_three_servers() {
    let Some(world) = World::postgres(3).await else { return };
    run(LONG, &world).await;
}

/// The database, the bus, and what the servers need to know of them.
struct World {
    folder: tempfile::TempDir,
    postgres: Option<OwnServer>,
    nats: Option<NatsServer>,
    url: String,
    servers: usize,
}

impl World {
    fn sqlite(servers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("messenger.db").display());
        Self { folder, postgres: None, nats: None, url, servers }
    }

    async fn postgres(servers: usize) -> Option<Self> {
        let postgres = OwnServer::start().await?;
        let url = postgres.url.clone();
        // The servers of tests do not wait for the disk, so a crash could take back what others have seen.
        let db = Db::open(&DbOptions::new(&url).unwrap()).await.unwrap();
        db.schema().execute_unprepared("ALTER DATABASE postgres SET synchronous_commit = on").await.unwrap();
        db.close().await.unwrap();
        let nats = NatsServer::new().await;
        Some(Self { folder: tempfile::tempdir().unwrap(), postgres: Some(postgres), nats, url, servers })
    }
}

async fn run(plan: Plan, world: &World) {
    let nats = world.nats.as_ref().map(NatsServer::url);
    let servers = Servers::start(world.servers, world.folder.path(), &world.url, nats.as_deref()).await;
    let mut talkers = set_up(plan, &servers).await;
    let stage = Arc::new(Stage {
        servers,
        plan,
        is_over: AtomicBool::new(false),
        sending: AtomicUsize::new(plan.clients),
        cuts: AtomicU64::new(0),
        totals: Mutex::default(),
        missing: Mutex::default(),
    });
    let talking: Vec<_> = talkers
        .drain(..)
        .map(|talker| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { talker.run(&stage).await })
        })
        .collect();
    let faults = break_things(&stage, world).await;
    stage.is_over.store(true, Ordering::SeqCst);
    let all = timeout(SETTLE, join_all(talking)).await;
    let views: Vec<view::View> =
        all.unwrap_or_else(|_| stage.late()).into_iter().map(Result::unwrap).collect();
    let checked = view::check(&views, &world.url).await;
    let mut totals = stage.totals.lock().unwrap();
    let (median, slowest) = (totals.percentile(50), totals.percentile(99));
    let report = format!(
        "{} clients, {} threads, {} servers, {faults} faults, {} connections cut\n\
         {} messages acknowledged; {checked} events in the log\n\
         {} events delivered live, {} through the log, {} of them twice\n\
         delay of live events: p50 {} ms, p99 {} ms",
        plan.clients,
        plan.threads,
        world.servers,
        stage.cuts.load(Ordering::SeqCst),
        totals.acknowledged,
        totals.live,
        totals.replayed,
        totals.doubled,
        median,
        slowest,
    );
    std::io::stderr().write_all(format!("{report}\n").as_bytes()).unwrap();
    assert!(checked > 0 && totals.live > 0 && totals.replayed > 0, "the test has to test something");
}

/// Signs everybody up, and puts each into two groups.
async fn set_up(plan: Plan, servers: &Servers) -> Vec<Talker> {
    let mut clients = Vec::new();
    for index in 0..plan.clients {
        let body = json!({"username": format!("user-{index}"), "password": PASSWORD});
        let answer = servers.post(None, "/api/v1/auth/register", None, &body).await.unwrap();
        clients.push(Client::new("http://127.0.0.1").signed_in(&answer));
    }
    let mut groups = vec![Vec::new(); plan.threads];
    for (index, client) in clients.iter().enumerate() {
        groups[index % plan.threads].push(client.clone());
        let other = (index * 7 + 3) % plan.threads;
        if other != index % plan.threads {
            groups[other].push(client.clone());
        }
    }
    let mut threads: Vec<Vec<String>> = vec![Vec::new(); plan.clients];
    for (index, members) in groups.iter().enumerate() {
        let ids: Vec<String> = members.iter().map(Client::id).collect();
        let body = json!({"type": "group", "name": format!("Group {index}"), "participant_ids": ids[1..]});
        let token = members[0].token.as_deref();
        let thread = servers.post(token, "/api/v1/threads", None, &body).await.unwrap();
        let id = thread["id"].as_str().unwrap();
        for (place, client) in clients.iter().enumerate() {
            if ids.contains(&client.id()) {
                threads[place].push(id.to_owned());
            }
        }
    }
    // Everybody begins at the same place of the log: after this.
    let now = servers.get(clients[0].token.as_deref(), "/api/v1/sync").await.unwrap();
    let cursor = now["cursor"].as_str().unwrap();
    clients
        .iter()
        .zip(threads)
        .enumerate()
        .map(|(index, (client, threads))| {
            Talker::new(index, client.token.clone().unwrap(), threads, cursor.to_owned())
        })
        .collect()
}

/// Kills servers, NATS and the database, and brings them back, until the time is over. Returns how many times.
async fn break_things(stage: &Stage, world: &World) -> usize {
    let mut random = Random::new(4711);
    let end = Instant::now() + stage.plan.time;
    let mut faults = 0;
    while Instant::now() < end {
        sleep(random.around(stage.plan.faults)).await;
        faults += 1;
        match (random.below(4), &world.nats, &world.postgres) {
            (0, Some(nats), _) => {
                nats.stop().await;
                sleep(random.around(stage.plan.faults / 2)).await;
                nats.start().await;
            }
            (1, _, Some(postgres)) => postgres.crash(),
            _ => {
                let index = random.below(world.servers);
                stage.servers.kill(index);
                sleep(random.around(stage.plan.faults / 4)).await;
                stage.servers.start_again(index).await;
            }
        }
    }
    faults
}
