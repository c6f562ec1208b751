//! The private PostgreSQL server of a test binary.

mod pooler;
mod standby;

pub use self::{pooler::Pooler, standby::Standby};

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use pgtemp::{PgTempDB, PgTempDBBuilder};
use sea_orm::{ConnectionTrait, Database};

/// A running server.
pub(crate) struct Server {
    temp: PgTempDB,
    version: String,
}

/// Returns the server of this process, started at first use; `None` if PostgreSQL is not installed.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| binaries().map(|folder| Server::start(&folder, &[]))).as_ref()
}

/// Returns the folder of the newest server binaries: on the path, or where Debian installs them.
fn binaries() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "looking for a program, not for a setting")]
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    let version = |folder: &PathBuf| -> u32 {
        let name = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        name.and_then(|name| name.parse().ok()).unwrap_or(0)
    };
    let debian = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.flatten().map(|entry| entry.path().join("bin"));
        folders.filter(|folder| folder.join("initdb").exists()).max_by_key(version)
    };
    on_path.or_else(debian)
}

impl Server {
    fn start(binaries: &Path, parameters: &[(&str, &str)]) -> Self {
        let builder = PgTempDBBuilder::new()
            .with_bin_path(binaries)
            .with_dbname("postgres")
            .with_initdb_arg("--encoding", "UTF8")
            .with_initdb_arg("--locale", "C.UTF-8")
            .with_config_param("max_connections", "300")
            // Its output goes into a pipe that nobody reads; a full pipe would block it.
            .with_config_param("log_min_messages", "panic");
        let set =
            |builder: PgTempDBBuilder, (name, value): &(&str, &str)| builder.with_config_param(name, value);
        let temp = parameters.iter().fold(builder, set).start();
        end_with_this_process(&temp.data_dir());
        let version = Command::new(binaries.join("postgres")).arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self { temp, version: version.unwrap_or_default().replace("postgres (PostgreSQL)", "PostgreSQL") }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Creates a database, optionally as a copy of `template`, and returns its URL.
    pub(crate) async fn create_database(&self, name: &str, template: Option<&str>) -> String {
        let root = self.temp.connection_uri();
        let server = connect(&root).await;
        let template = template.map(|template| format!(" TEMPLATE {template}")).unwrap_or_default();
        server
            .execute_unprepared(&format!("CREATE DATABASE {name}{template}"))
            .await
            .expect("CREATE DATABASE");
        server.close().await.expect("closing");
        let base = root.strip_suffix("/postgres").expect("the URL ends with the database");
        format!("{base}/{name}")
    }
}

/// A PostgreSQL server of its own, for a test that stops it or changes how it works. It ends when it is dropped, or with
/// the process.
#[derive(Debug)]
pub struct OwnServer {
    _temp: PgTempDB,
    /// The URL of its database.
    pub url: String,
    /// The folder of its data.
    pub data: PathBuf,
}

impl OwnServer {
    /// Starts a server; `None` if PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with parameters of the configuration.
    pub async fn start_with(parameters: &[(&str, &str)]) -> Option<Self> {
        let Server { temp, .. } = Server::start(&binaries()?, parameters);
        let (url, data) = (temp.connection_uri(), temp.data_dir());
        connect(&url).await.close().await.expect("closing");
        Some(Self { _temp: temp, url, data })
    }

    /// Stops the server with all its connections, and waits until it is gone.
    pub async fn stop(&self) {
        stop(&self.data).await;
    }
}

async fn stop(data: &Path) {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).expect("postmaster.pid");
    let pid = file.lines().next().unwrap_or_default();
    let sent = Command::new("kill").args(["-INT", pid]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -INT {pid}");
    while data.join("postmaster.pid").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

impl OwnServer {
    /// Kills one of the server's processes. The server then ends all connections, recovers as after a power failure, and goes
    /// on by itself.
    pub fn crash(&self) {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let pid = file.lines().next().unwrap_or_default();
        let children = Command::new("pgrep").args(["-P", pid]).output().expect("pgrep");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        if let Some(child) = children.lines().last() {
            // It may be gone by now.
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
    }
}

/// Connects, with retries while the server is starting.
async fn connect(url: &str) -> sea_orm::DatabaseConnection {
    let mut tries = 0;
    loop {
        match Database::connect(url).await {
            Ok(connection) => return connection,
            Err(error) if tries >= 100 => panic!("the PostgreSQL server does not answer: {error}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Statics are not dropped when a process ends, but its end of a pipe is closed, even if it is killed. The script waits for
/// that and stops the server.
fn end_with_this_process(data: &Path) {
    const SCRIPT: &str = r#"
        cat >/dev/null
        pid=$(head -n 1 "$0/postmaster.pid") && kill -INT "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        rm -rf "$(dirname "$0")""#;
    let watcher = Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting sh");
    // Kept open until the process ends.
    std::mem::forget(watcher);
}
