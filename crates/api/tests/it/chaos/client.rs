//! A client that sends, reads, edits and deletes, and comes back with its last cursor whenever its connection is cut.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{SinkExt, StreamExt};
use groundwork_core::{Clock, Timestamp, clock::SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use super::{Stage, servers::Random, view::View};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How often a client asks whether it has seen everything, and sends again what was not acknowledged, at the end.
const CHECK: Duration = Duration::from_secs(3);

/// What all clients counted.
#[derive(Default)]
pub struct Totals {
    pub acknowledged: u64,
    pub live: u64,
    pub replayed: u64,
    pub doubled: u64,
    delays: Vec<u64>,
}

impl Totals {
    /// A percentile of the delays, in milliseconds.
    pub fn percentile(&mut self, percent: usize) -> u64 {
        self.delays.sort_unstable();
        let place = (self.delays.len() * percent / 100).min(self.delays.len().saturating_sub(1));
        self.delays.get(place).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &mut Self) {
        self.acknowledged += other.acknowledged;
        self.live += other.live;
        self.replayed += other.replayed;
        self.doubled += other.doubled;
        self.delays.append(&mut other.delays);
    }
}

/// A message on its way: sent again with the same id until somebody acknowledges it.
struct Pending {
    client_id: String,
    thread: String,
    text: String,
}

/// A client.
pub struct Talker {
    index: usize,
    token: String,
    threads: Vec<String>,
    random: Random,
    cursor: Option<String>,
    pending: Option<Pending>,
    sent: usize,
    own: Vec<String>,
    view: View,
    totals: Totals,
    is_quiet: bool,
    check_at: Instant,
}

/// Why a connection ended.
struct Cut;

impl Talker {
    pub fn new(index: usize, token: String, threads: Vec<String>, cursor: String) -> Self {
        Self {
            index,
            token,
            random: Random::new(index as u64 + 1),
            cursor: Some(cursor),
            pending: None,
            sent: 0,
            own: Vec::new(),
            view: View::new(&threads),
            totals: Totals::default(),
            is_quiet: false,
            check_at: Instant::now(),
            threads,
        }
    }

    /// Talks until the time is over, and then waits until the view is complete.
    pub async fn run(mut self, stage: &Stage) -> View {
        loop {
            if let Ok(mut socket) = self.connect(stage).await
                && self.talk(stage, &mut socket).await.is_ok()
            {
                stage.totals.lock().unwrap().add(&mut self.totals);
                return self.view;
            }
            sleep(self.random.around(Duration::from_millis(100))).await;
        }
    }

    async fn connect(&mut self, stage: &Stage) -> Result<Socket, Cut> {
        let url = format!("ws://127.0.0.1:{}/api/v1/ws", stage.servers.any(&mut self.random));
        let connecting = timeout(Duration::from_secs(10), tokio_tungstenite::connect_async(url));
        let (mut socket, _) = connecting.await.map_err(|_| Cut)?.map_err(|_| Cut)?;
        let mut auth = json!({"type": "auth", "token": self.token});
        if let Some(cursor) = &self.cursor {
            auth["cursor"] = json!(cursor);
        }
        send(&mut socket, &auth).await?;
        Ok(socket)
    }

    /// Talks until the connection is cut, which is an error, or until there is nothing more to do.
    async fn talk(&mut self, stage: &Stage, socket: &mut Socket) -> Result<(), Cut> {
        let since = SystemClock.now();
        let mut act_at = Instant::now() + self.random.around(stage.plan.pause);
        let cut_at = Instant::now() + self.random.around(stage.plan.time / 3);
        if let Some(pending) = &self.pending {
            send(socket, &pending.frame()).await?;
        }
        loop {
            let is_over = stage.is_over.load(Ordering::SeqCst);
            if is_over && self.pending.is_none() {
                if !std::mem::replace(&mut self.is_quiet, true) {
                    stage.sending.fetch_sub(1, Ordering::SeqCst);
                }
                let all_sent = stage.sending.load(Ordering::SeqCst) == 0;
                if all_sent && self.check_at <= Instant::now() {
                    self.check_at = Instant::now() + CHECK;
                    if self.is_complete(stage).await {
                        return Ok(());
                    }
                }
            }
            if !is_over && cut_at <= Instant::now() {
                stage.cuts.fetch_add(1, Ordering::SeqCst);
                return Err(Cut);
            }
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(&text, since)?,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Cut),
                    Some(Ok(_)) => {}
                },
                () = sleep_until(act_at) => {
                    let pause = if is_over { CHECK.min(stage.plan.pause) } else { stage.plan.pause };
                    act_at = Instant::now() + self.random.around(pause);
                    match &self.pending {
                        // Refused for a moment, or lost.
                        Some(pending) => send(socket, &pending.frame()).await?,
                        None if !is_over => self.act(stage, socket).await?,
                        None => {}
                    }
                }
            }
        }
    }

    /// Whether everything that the database has was seen. Asked from time to time.
    async fn is_complete(&mut self, stage: &Stage) -> bool {
        let mut versions = Vec::new();
        for thread in &self.threads {
            let to = (Method::GET, stage.servers.any(&mut self.random));
            let path = format!("/api/v1/threads/{thread}");
            let found = stage.servers.request(to, Some(&self.token), &path, None, &Value::Null).await;
            let Some(version) = found.ok().and_then(|thread| thread["version"].as_i64()) else {
                return false;
            };
            versions.push((thread.clone(), version));
        }
        let missing = self.view.missing(&versions);
        stage.missing.lock().unwrap().insert(self.index, missing.clone());
        missing.is_empty()
    }

    async fn act(&mut self, stage: &Stage, socket: &mut Socket) -> Result<(), Cut> {
        let thread = self.threads[self.random.below(self.threads.len())].clone();
        match self.random.below(10) {
            0 => {
                let seq = self.view.last_seq(&thread);
                send(socket, &json!({"type": "read", "thread_id": thread, "seq": seq})).await
            }
            kind @ (1 | 2) if !self.own.is_empty() => {
                let message = self.own.swap_remove(self.random.below(self.own.len()));
                let path = format!("/api/v1/messages/{message}");
                let port = stage.servers.any(&mut self.random);
                let (method, body) = if kind == 1 {
                    (Method::DELETE, Value::Null)
                } else {
                    (Method::PATCH, json!({"text": format!("edited by {}", self.index)}))
                };
                // Whether it took effect or not: the view has to equal the database.
                let _ = stage.servers.request((method, port), Some(&self.token), &path, None, &body).await;
                Ok(())
            }
            way => {
                self.sent += 1;
                let pending = Pending {
                    client_id: format!("{}-{}", self.index, self.sent),
                    thread,
                    text: format!("message {} of {}", self.sent, self.index),
                };
                let frame = pending.frame();
                let by_rest = way % 2 == 0;
                let path = format!("/api/v1/threads/{}/messages", pending.thread);
                let (key, body) = (pending.client_id.clone(), json!({"text": pending.text}));
                self.pending = Some(pending);
                if !by_rest {
                    return send(socket, &frame).await;
                }
                let to = (Method::POST, stage.servers.any(&mut self.random));
                let sent = stage.servers.request(to, Some(&self.token), &path, Some(&key), &body).await;
                if let Ok(message) = sent {
                    self.acknowledge(&key, &message);
                }
                Ok(())
            }
        }
    }

    fn acknowledge(&mut self, client_id: &str, message: &Value) {
        if self.pending.as_ref().is_some_and(|pending| pending.client_id == client_id) {
            self.pending = None;
            self.totals.acknowledged += 1;
            self.own.push(message["id"].as_str().unwrap().to_owned());
            self.view.was_acknowledged(message);
        }
    }

    fn take(&mut self, text: &str, since: Timestamp) -> Result<(), Cut> {
        let frame: Value = serde_json::from_str(text).unwrap();
        match frame["type"].as_str().unwrap() {
            "ack" => {
                let client_id = frame["client_id"].as_str().unwrap().to_owned();
                self.acknowledge(&client_id, &frame["data"]);
            }
            "error" => {
                let code = frame["data"]["code"].as_str().unwrap();
                let passes = ["unavailable", "busy", "query_timeout"].contains(&code);
                assert!(passes, "{frame:#}");
            }
            "resync_required" | "reconnect" => return Err(Cut),
            _ => {
                let Some(id) = frame["id"].as_str() else { return Ok(()) };
                self.cursor = Some(id.to_owned());
                let at: Timestamp = frame["at"].as_str().unwrap().parse().unwrap();
                if at >= since {
                    self.totals.live += 1;
                    let delay = SystemClock.now().since(at).as_millis();
                    self.totals.delays.push(u64::try_from(delay).unwrap());
                } else {
                    self.totals.replayed += 1;
                }
                self.totals.doubled += u64::from(!self.view.add(frame));
            }
        }
        Ok(())
    }
}

impl Pending {
    fn frame(&self) -> Value {
        let Self { client_id, thread, text } = self;
        json!({"type": "message.send", "client_id": client_id, "thread_id": thread, "text": text})
    }
}

async fn send(socket: &mut Socket, frame: &Value) -> Result<(), Cut> {
    let sent = timeout(Duration::from_secs(10), socket.send(Message::text(frame.to_string()))).await;
    sent.map_err(|_| Cut)?.map_err(|_| Cut)
}
