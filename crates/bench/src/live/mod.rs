//! Live delivery: how fast one message reaches many, beside brokers on the same machine, and what an idle socket takes.

pub mod broker;
pub mod limit;
pub mod mqtt;
mod run;
pub mod socket;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::LocalSet};

use self::{broker::Broker, mqtt::Mqtt, run::Run, socket::Socket};
use crate::{
    Result,
    drive::{http::Http, per_second},
    measure::mib,
    process,
    scenario::Ground,
    stage::Stage,
};

/// How long all subscribers may take to get a message.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that are opened at the same time.
const AT_ONCE: usize = 100;
/// How often a connection is tried, as a client would.
const TRIES: u32 = 50;

/// What was measured of a message to many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fan {
    /// Who delivers.
    pub server: String,
    /// The number of sockets.
    pub sockets: usize,
    /// The bytes of a message.
    pub bytes: usize,
    /// The messages that were sent, one after the other.
    pub messages: usize,
    /// The median time until the last has it, in milliseconds.
    pub last_p50: f64,
    /// The longest time until the last has it.
    pub last_worst: f64,
    /// Deliveries in a second.
    pub rate: f64,
    /// CPU time of the server for each delivery, in microseconds.
    pub cpu: f64,
    /// The resident memory of the server, in MiB.
    pub mib: f64,
}

/// What idle sockets take.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Idle {
    /// The number of sockets.
    pub sockets: usize,
    /// The memory of the service without them, in MiB.
    pub before: f64,
    /// With them.
    pub after: f64,
    /// The memory for each, in KiB, that of the kernel aside.
    pub each_kib: f64,
    /// How long they took to connect, in seconds.
    pub seconds: f64,
}

/// Deliveries of a message that are still to come.
#[derive(Debug, Default)]
struct Awaited {
    left: Cell<usize>,
    bytes: Cell<usize>,
    all: Notify,
    failure: RefCell<Option<String>>,
}

impl Awaited {
    fn came(&self, bytes: usize) {
        self.bytes.set(bytes);
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.all.notify_one();
        }
    }

    fn failed(&self, error: &crate::Failure) {
        *self.failure.borrow_mut() = Some(error.to_string());
        self.all.notify_one();
    }

    async fn done(&self) -> Result<()> {
        let waited = tokio::time::timeout(PATIENCE, self.all.notified()).await;
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        waited.map_err(|_| format!("{} deliveries did not come in {PATIENCE:?}", self.left.get()).into())
    }
}

/// Opens connections, some at once.
async fn open_all<F>(count: usize, open: impl Fn(usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    for from in (0..count).step_by(AT_ONCE) {
        let to = (from + AT_ONCE).min(count);
        let tasks: Vec<_> = (from..to).map(|number| tokio::task::spawn_local(open(number))).collect();
        for task in tasks {
            task.await??;
        }
    }
    Ok(())
}

/// Opens sockets of the first users, which count the messages that come. A client that does not read is disconnected.
async fn open_sockets(
    ground: &Ground,
    address: SocketAddr,
    count: usize,
    awaited: &Rc<Awaited>,
) -> Result<()> {
    let (ground, awaited) = (ground.clone(), Rc::clone(awaited));
    let open = move |number: usize| {
        let token = ground.token(number as u64 % ground.world.users).to_owned();
        let awaited = Rc::clone(&awaited);
        async move {
            let mut socket = open_socket(address, number, &token).await?;
            tokio::task::spawn_local(async move {
                loop {
                    match socket.text().await {
                        Ok(frame) if socket::is_of(&frame, "message.created") => awaited.came(frame.len()),
                        Ok(_) => {}
                        Err(error) => return awaited.failed(&format!("socket {number}: {error}").into()),
                    }
                }
            });
            Ok(())
        }
    };
    open_all(count, open).await
}

async fn open_socket(address: SocketAddr, number: usize, token: &str) -> Result<Socket> {
    let mut tries = 1;
    loop {
        match tokio::time::timeout(PATIENCE / 3, Socket::open(address, token)).await {
            Ok(Ok(socket)) => return Ok(socket),
            _ if tries < TRIES => tries += 1,
            last => return Err(format!("socket {number}: {last:?}").into()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Measures a message to so many sockets of the service.
pub async fn service(stage: &Stage, sockets: usize, messages: usize) -> Result<Fan> {
    let tasks = LocalSet::new();
    let (address, ground) = (stage.service.address, stage.ground.clone());
    let measured = tasks.run_until(async {
        let world = Rc::clone(&ground.world);
        let awaited = Rc::new(Awaited::default());
        open_sockets(&ground, address, sockets, &awaited).await?;
        let thread = world.thread(&world.large, 0);
        let body = r#"{"text":"A text that has thirty bytes.."}"#;
        let request = format!(
            "POST /api/v1/threads/{thread}/messages HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            ground.token(0),
            body.len()
        );
        let mut http = Http::connect(address).await?;
        let used = || {
            let database = stage.subject.postgres.as_ref().map(|(pid, ..)| process::cpu_with_children(*pid));
            process::cpu(stage.service.pid()) + database.unwrap_or_default()
        };
        let mut run = Run::new("Actix Messenger", sockets, messages);
        for round in 0..=messages {
            run.begin(round, &awaited, used());
            if http.send(request.as_bytes()).await? != 201 {
                return Err("the service refused a message".into());
            }
            awaited.done().await?;
            run.end(round);
        }
        Ok(run.result(&awaited, used(), process::memory(stage.service.pid()).now))
    });
    measured.await
}

/// Measures a message of the same size to so many subscribers of a broker.
pub async fn broker(broker: &Broker, sockets: usize, messages: usize, bytes: usize) -> Result<Fan> {
    let tasks = LocalSet::new();
    let (address, login) = (broker.address, broker.login());
    let measured = tasks.run_until(async {
        let awaited = Rc::new(Awaited::default());
        let counted = Rc::clone(&awaited);
        let open = move |number: usize| {
            let awaited = Rc::clone(&counted);
            async move {
                let mut mqtt = Mqtt::open(address, number, login).await?;
                mqtt.subscribe().await?;
                tokio::task::spawn_local(async move {
                    loop {
                        match mqtt.message().await {
                            Ok(message) => awaited.came(message.len()),
                            Err(error) => return awaited.failed(&error),
                        }
                    }
                });
                Ok(())
            }
        };
        open_all(sockets, open).await?;
        let mut publisher = Mqtt::open(address, sockets, login).await?;
        let payload = vec![b'x'; bytes];
        let used = || process::cpu_with_children(broker.pid());
        let mut run = Run::new(broker.name, sockets, messages);
        for round in 0..=messages {
            run.begin(round, &awaited, used());
            publisher.publish(&payload).await?;
            awaited.done().await?;
            run.end(round);
        }
        Ok(run.result(&awaited, used(), process::memory_of_all(broker.pid())))
    });
    measured.await
}

/// Measures the memory of idle sockets.
pub async fn idle(stage: &Stage, sockets: usize) -> Result<Idle> {
    let before = process::memory(stage.service.pid()).now;
    let begun = Instant::now();
    let tasks = LocalSet::new();
    let address: SocketAddr = stage.service.address;
    let ground = stage.ground.clone();
    let measured = tasks.run_until(async {
        let awaited = Rc::new(Awaited::default());
        open_sockets(&ground, address, sockets, &awaited).await?;
        let seconds = begun.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = process::memory(stage.service.pid()).now;
        if let Some(failure) = awaited.failure.take() {
            return Err(failure.into());
        }
        Ok(Idle {
            sockets,
            before: mib(before),
            after: mib(after),
            each_kib: mib(after.saturating_sub(before)) * 1024.0
                / per_second(sockets as u64, Duration::from_secs(1)),
            seconds,
        })
    });
    measured.await
}
