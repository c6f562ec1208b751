//! A standby server of a test.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{OwnServer, binaries, connect, end_with_this_process, stop};
use crate::port;

/// A server that follows an [`OwnServer`] by streaming replication. It ends with the process.
#[derive(Debug)]
pub struct Standby {
    data: PathBuf,
    port: u16,
    /// The URL of its database, which is that of the primary.
    pub url: String,
}

impl Standby {
    /// Starts a standby server of a server.
    pub async fn of(primary: &OwnServer) -> Self {
        let folder = tempfile::Builder::new().prefix("pgtemp-").tempdir().expect("a folder").keep();
        // PostgreSQL does not run as root.
        let owner = format!("--reference={}", primary.data.display());
        run(Command::new("chown").arg(owner).arg(&folder));
        let data = folder.join("standby");
        run(program(primary, "pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname", &primary.url])
            .arg("--pgdata")
            .arg(&data));
        let port = port::free();
        let (address, name) = primary.url.rsplit_once('/').expect("a database in the URL");
        let (host, _) = address.rsplit_once(':').expect("a port in the URL");
        let standby = Self { url: format!("{host}:{port}/{name}"), data, port };
        standby.start(primary).await;
        end_with_this_process(&standby.data);
        standby
    }

    /// Starts the server again.
    pub async fn start(&self, primary: &OwnServer) {
        let folder = self.data.display();
        // It has to allow as many connections as its primary.
        let options = format!(
            "-p {} -c unix_socket_directories={folder} -c max_connections=300 -c fsync=off",
            self.port
        );
        let log = self.data.with_extension("log");
        run(program(primary, "pg_ctl")
            .args(["--wait", "start", "--options", &options, "--pgdata"])
            .arg(&self.data)
            .arg("--log")
            .arg(log));
        connect(&self.url).await.close().await.expect("closing");
    }

    /// Stops the server with all its connections, and waits until it is gone.
    pub async fn stop(&self) {
        stop(&self.data).await;
    }
}

/// A program of PostgreSQL, as the user whom the servers run as.
fn program(primary: &OwnServer, name: &str) -> Command {
    // What is on the path may be a link to one of the programs.
    let server = binaries().and_then(|folder| folder.join("initdb").canonicalize().ok());
    let path = server.expect("it is installed, as the primary runs").with_file_name(name);
    let output = Command::new("stat").args(["--format", "%U"]).arg(&primary.data).output().expect("stat");
    let owner = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let me = Command::new("id").arg("-un").output().expect("id");
    if String::from_utf8_lossy(&me.stdout).trim() == owner {
        return Command::new(path);
    }
    let mut command = Command::new("sudo");
    command.args(["-u", &owner]).arg(path);
    command
}

fn run(command: &mut Command) {
    // The server inherits what is open, and a pipe would be read to its end.
    let log = tempfile::NamedTempFile::new().expect("a file");
    let copy = || Stdio::from(log.reopen().expect("the file"));
    let status = command.stdout(copy()).stderr(copy()).status();
    let said = || std::fs::read_to_string(log.path()).unwrap_or_default();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}: {}", said());
}
