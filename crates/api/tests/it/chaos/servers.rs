//! Servers that are killed and started again.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use groundwork_testkit::port;
use reqwest::Method;
use serde_json::Value;
use tokio::time::sleep;

/// Numbers that are random enough, and the same in each run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// A time from half of `mean` to one and a half.
    pub fn around(&mut self, mean: Duration) -> Duration {
        mean / 2 + mean * u32::try_from(self.next() % 1000).unwrap() / 1000
    }
}

/// A server: its address, and its process while it runs.
struct Server {
    port: u16,
    child: Mutex<Option<Child>>,
}

/// The servers of a test.
pub struct Servers {
    all: Vec<Server>,
    environment: Vec<(String, String)>,
    http: reqwest::Client,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for index in 0..self.all.len() {
            self.kill(index);
        }
    }
}

impl Servers {
    pub async fn start(count: usize, folder: &Path, database: &str, nats: Option<&str>) -> Self {
        let variables = [
            ("DATABASE_URL", database),
            ("DATA_DIR", folder.to_str().unwrap()),
            ("JWT_SECRET", "a secret for tests, long enough to sign with"),
            ("BCRYPT_COST", "4"),
            ("LOG", "error"),
            ("NATS_URL", nats.unwrap_or_default()),
        ];
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let free = |_| Server { port: port::free(), child: Mutex::new(None) };
        let servers = Self { all: (0..count).map(free).collect(), environment: environment.collect(), http };
        for index in 0..count {
            servers.start_again(index).await;
        }
        servers
    }

    pub fn any(&self, random: &mut Random) -> u16 {
        self.all[random.below(self.all.len())].port
    }

    /// Ends a server as a power failure would.
    pub fn kill(&self, index: usize) {
        if let Some(mut child) = self.all[index].child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts a server, as often as it takes while the database is away, and waits until it answers.
    pub async fn start_again(&self, index: usize) {
        let server = &self.all[index];
        let url = format!("http://127.0.0.1:{}/health/live", server.port);
        loop {
            if self.is_gone(index) {
                let child = Command::new(env!("CARGO_BIN_EXE_api"))
                    .arg("serve")
                    .env_clear()
                    .envs(self.environment.iter().cloned())
                    .env("PORT", server.port.to_string())
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::inherit())
                    .spawn()
                    .unwrap();
                *server.child.lock().unwrap() = Some(child);
            }
            if self.http.get(&url).send().await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn is_gone(&self, index: usize) -> bool {
        let mut child = self.all[index].child.lock().unwrap();
        child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Sends a request to a server; an error for no answer and for a refusal.
    pub async fn request(
        &self,
        (method, port): (Method, u16),
        token: Option<&str>,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Value, String> {
        let mut request = self.http.request(method, format!("http://127.0.0.1:{port}{path}"));
        if !body.is_null() {
            request = request.json(body);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Sends a GET to the first server.
    pub async fn get(&self, token: Option<&str>, path: &str) -> Result<Value, String> {
        self.request((Method::GET, self.all[0].port), token, path, None, &Value::Null).await
    }

    /// Sends a POST to the first server.
    pub async fn post(
        &self,
        token: Option<&str>,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Value, String> {
        self.request((Method::POST, self.all[0].port), token, path, key, body).await
    }
}
