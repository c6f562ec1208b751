//! Drives headless Chromium over the protocol of its developer tools.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// The longest time that a page may take for anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// Returns the browser, or `None` with a line that says so. With `REQUIRE_BROWSER=1` it has to be there.
pub fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(env::var_os("REQUIRE_BROWSER").is_none(), "chromium is not installed");
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: chromium is not installed");
        }
    }
    found
}

/// One connection of the protocol.
struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
    /// What went wrong in the page: exceptions, and what its policy blocked.
    faults: Vec<String>,
}

impl Wire {
    async fn open(url: &str) -> Self {
        Self { socket: connect_async(url).await.unwrap().0, last: 0, faults: Vec::new() }
    }

    /// Calls a method, and returns its result or its error.
    async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last += 1;
        let request = json!({"id": self.last, "method": method, "params": params}).to_string();
        self.socket.send(Message::text(request)).await.unwrap();
        let answer = async {
            loop {
                let message = self.socket.next().await.unwrap().unwrap();
                let Ok(text) = message.to_text() else { continue };
                let Ok(mut body) = serde_json::from_str::<Value>(text) else { continue };
                if body["id"] != self.last {
                    self.faults.extend(fault(&body));
                    continue;
                }
                let error = body["error"].take();
                return if error.is_null() { Ok(body["result"].take()) } else { Err(error) };
            }
        };
        timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("no answer to {method}: {params}"))
    }
}

fn fault(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Log.entryAdded" if params["entry"]["text"].as_str()?.contains("Security Policy") => {
            Some(params["entry"]["text"].to_string())
        }
        _ => None,
    }
}

/// A running browser.
pub struct Chromium {
    child: Child,
    wire: Wire,
    address: String,
    _profile: TempDir,
}

impl Chromium {
    pub async fn start(program: PathBuf) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--no-proxy-server", "--remote-debugging-port=0"])
            .args(["--disable-background-networking", "--lang=en-US"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.to_owned();
            }
        };
        // A full pipe would stop the browser.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.split('/').nth(2).unwrap().to_owned();
        Self { child, wire: Wire::open(&url).await, address, _profile: profile }
    }

    /// Opens a page with a storage of its own, as another browser has.
    pub async fn person(&mut self) -> Page {
        let context = self.wire.call("Target.createBrowserContext", json!({})).await.unwrap();
        self.tab(context["browserContextId"].as_str().unwrap()).await
    }

    /// Opens another page that shares the storage of `page`.
    pub async fn second_tab(&mut self, page: &Page) -> Page {
        self.tab(&page.context.clone()).await
    }

    async fn tab(&mut self, context: &str) -> Page {
        let wanted = json!({"url": "about:blank", "browserContextId": context, "newWindow": true, "width": 1280, "height": 800});
        let target = self.wire.call("Target.createTarget", wanted).await.unwrap();
        let url = format!("ws://{}/devtools/page/{}", self.address, target["targetId"].as_str().unwrap());
        let mut wire = Wire::open(&url).await;
        for domain in ["Page", "Runtime", "Log"] {
            wire.call(&format!("{domain}.enable"), json!({})).await.unwrap();
        }
        Page { wire, context: context.to_owned() }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of the browser.
pub struct Page {
    wire: Wire,
    context: String,
}

impl Page {
    pub async fn open(&mut self, url: &str) {
        self.wire.call("Page.navigate", json!({"url": url})).await.unwrap();
    }

    /// Returns the value of a JavaScript expression; a promise is awaited.
    pub async fn eval(&mut self, expression: &str) -> Value {
        self.evaluate(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    async fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let wanted = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut answer = self.wire.call("Runtime.evaluate", wanted).await?;
        match answer["exceptionDetails"].take() {
            Value::Null => Ok(answer["result"]["value"].take()),
            exception => Err(exception["exception"]["description"].clone()),
        }
    }

    /// Waits until an expression is true. The page may be loaded again meanwhile.
    pub async fn until(&mut self, condition: &str) {
        let millis = PATIENCE.as_millis() / 2;
        let wait = format!(
            "new Promise((resolve) => {{ \
               const ends = Date.now() + {millis}; \
               const check = () => {{ \
                 let is = false; \
                 try {{ is = Boolean({condition}); }} catch {{ is = false; }} \
                 if (is || Date.now() > ends) resolve(is); else setTimeout(check, 20); \
               }}; \
               check(); \
             }})"
        );
        let came = async {
            loop {
                if let Ok(value) = self.evaluate(&wait).await {
                    return value;
                }
            }
        };
        let came = timeout(PATIENCE, came).await.ok();
        if came != Some(json!(true)) {
            let seen = self.evaluate("document.body.innerText").await;
            panic!("never: {condition}\nThe page: {seen:?}\nFaults: {:?}", self.wire.faults);
        }
    }

    /// Clicks on the first element of a selector, once it is there.
    pub async fn click(&mut self, selector: &str) {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        self.eval(&format!("document.querySelector({}).click()", json!(selector))).await;
    }

    /// Writes into a field, in place of what is there.
    pub async fn write(&mut self, selector: &str, text: &str) {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        let focus = format!(
            "{{ const field = document.querySelector({}); field.focus(); field.select(); }}",
            json!(selector)
        );
        self.eval(&focus).await;
        self.wire.call("Input.insertText", json!({"text": text})).await.unwrap();
    }

    /// Presses a key.
    pub async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            _ => panic!("{key}"),
        };
        let event = |kind: &str, text: &str| json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        self.wire.call("Input.dispatchKeyEvent", event("keyDown", text)).await.unwrap();
        self.wire.call("Input.dispatchKeyEvent", event("keyUp", "")).await.unwrap();
    }

    /// Exceptions of the page, and what its policy has blocked.
    pub fn faults(&self) -> &[String] {
        &self.wire.faults
    }
}
