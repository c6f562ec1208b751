//! A private NATS server of a test.
//!
//! ```no_run
//! # async fn example() {
//! use groundwork_testkit::NatsServer;
//!
//! let Some(nats) = NatsServer::new().await else { return }; // not installed
//! println!("{}", nats.url());
//! nats.stop().await;
//! nats.start().await; // at the same address
//! # }
//! ```

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::program;

/// A NATS server on a port of 127.0.0.1. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    /// The shell that runs the server while its standard input is open.
    shell: Mutex<Option<Child>>,
}

impl NatsServer {
    /// Starts a server. Returns `None` if NATS is not installed, and says so once.
    ///
    /// # Panics
    /// If `REQUIRE_NATS=1` is set and NATS is not installed.
    pub async fn new() -> Option<Self> {
        Self::with_arguments(&[]).await
    }

    /// Starts a server with arguments of `nats-server`, as in `["--user", "ada", "--pass", "secret"]`.
    ///
    /// # Panics
    /// If `REQUIRE_NATS=1` is set and NATS is not installed; if the server does not start.
    pub async fn with_arguments(arguments: &[&str]) -> Option<Self> {
        let program = program::find("nats-server", "REQUIRE_NATS")?;
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..3 {
            let port = crate::port::free();
            let (program, arguments) = (program.clone(), arguments.clone());
            let server = Self { program, arguments, port, shell: Mutex::new(None) };
            // Another process may have taken the port.
            if server.try_start().await {
                return Some(server);
            }
        }
        panic!("nats-server does not start with {arguments:?}");
    }

    /// Returns the URL, without credentials: `nats://127.0.0.1:12345`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Returns the address: `127.0.0.1:12345`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts the server again, at the same address, and waits until it answers.
    pub async fn start(&self) {
        assert!(self.try_start().await, "nats-server does not start again on port {}", self.port);
    }

    /// Kills the server, and waits until it is gone.
    pub async fn stop(&self) {
        let shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(shell) = shell {
            tokio::task::spawn_blocking(|| end(shell)).await.expect("waiting for the shell");
        }
    }

    async fn try_start(&self) -> bool {
        // The shell's standard input is closed at the end of this process, even if it is killed.
        const SCRIPT: &str = r#""$@" & cat >/dev/null; kill -KILL $!"#;
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&self.program)
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--name", &self.name()])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting sh");
        for _ in 0..500 {
            if self.answers().await {
                *self.shell.lock().unwrap_or_else(PoisonError::into_inner) = Some(shell);
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(shell.stdin.take());
        let _ = shell.wait();
        false
    }

    /// Returns whether this server, and no other one that took the port, greets a new connection.
    async fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(self.address()).await else { return false };
        let mut greeting = String::new();
        let read = BufReader::new(stream).read_line(&mut greeting).await;
        read.is_ok() && greeting.starts_with("INFO ") && greeting.contains(&self.name())
    }

    fn name(&self) -> String {
        format!("test-{}-{}", std::process::id(), self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(shell) = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            end(shell);
        }
    }
}

/// Makes the shell kill the server, and waits for both.
fn end(mut shell: Child) {
    drop(shell.stdin.take());
    let _ = shell.wait();
}
