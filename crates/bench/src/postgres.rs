//! A PostgreSQL server of its own, which syncs as one in production does.

use std::{
    fs::{self, File},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, direct::wire::Wire, service::free_port};

/// What differs from the defaults of PostgreSQL.
pub const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "max_connections=400",
    "shared_buffers=1GB",
    "maintenance_work_mem=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "log_min_messages=fatal",
    "log_min_error_statement=panic",
];

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    process: Child,
    port: u16,
    /// The version of the server.
    pub version: String,
}

impl Cluster {
    /// Starts a server with its data below `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let binaries =
            binaries().ok_or("PostgreSQL is not installed: no initdb (apt-get install postgresql)")?;
        let data = folder.join("postgres");
        fs::create_dir(&data)?;
        let user = unprivileged()?;
        if let Some((uid, gid)) = user {
            chown(&data, Some(uid), Some(gid))?;
        }
        let command = |program: &str| {
            let mut command = Command::new(binaries.join(program));
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir("/").stdin(Stdio::null());
            command
        };
        let initdb = command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .output()?;
        if !initdb.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&initdb.stderr)).into());
        }
        let version = command("postgres").arg("--version").output()?;
        let version =
            String::from_utf8_lossy(&version.stdout).trim().replace("postgres (PostgreSQL)", "PostgreSQL");
        let port = free_port()?;
        let log = File::create(folder.join("postgres.log"))?;
        let mut server = command("postgres");
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let process = server.stdout(log.try_clone()?).stderr(log).spawn()?;
        let cluster = Self { process, port, version };
        cluster.answers().await?;
        Ok(cluster)
    }

    async fn answers(&self) -> Result<()> {
        let mut error = None;
        for _ in 0..300 {
            match Wire::open(self.port, "postgres").await {
                Ok(_) => return Ok(()),
                Err(failure) => error = Some(failure),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("the PostgreSQL server does not answer: {error:?}").into())
    }

    /// Creates a database.
    pub async fn create(&self, name: &str) -> Result<()> {
        Wire::open(self.port, "postgres").await?.run(&format!("CREATE DATABASE {name}")).await?;
        Ok(())
    }

    /// Connects to a database.
    pub async fn connect(&self, name: &str) -> Result<Wire> {
        Wire::open(self.port, name).await
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of its first process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // The signal for a fast shutdown. If it is gone already, there is nothing to do.
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.process.wait();
    }
}

/// Returns the folder of the newest binaries: on the path, or where Debian installs them.
fn binaries() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "looking for a program, not for a setting")]
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    let version = |folder: &PathBuf| -> u32 {
        let name = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        name.and_then(|name| name.parse().ok()).unwrap_or(0)
    };
    let debian = || {
        let folders =
            fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
        folders.filter(|folder| folder.join("initdb").exists()).max_by_key(version)
    };
    on_path.or_else(debian)
}

/// PostgreSQL does not run as root: then the ids of the user `postgres`.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    if rustix::process::getuid().is_root() { ids_of("postgres").map(Some) } else { Ok(None) }
}

/// Returns the ids of a user of this machine, and of the user's group.
pub fn ids_of(name: &str) -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let mut of_user =
        users.lines().map(|line| line.split(':')).filter(|line| line.clone().next() == Some(name));
    let mut ids = of_user.next().ok_or_else(|| format!("there is no user {name}"))?.skip(2).map(str::parse);
    match (ids.next(), ids.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok((uid, gid)),
        _ => Err(format!("/etc/passwd has no ids for the user {name}").into()),
    }
}
