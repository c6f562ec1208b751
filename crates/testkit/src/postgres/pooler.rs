//! A pooler of a test.

use std::process::{Child, Command, Stdio};

use groundwork_core::{Db, DbOptions};

use super::OwnServer;
use crate::{port, program};

/// PgBouncer in the mode `transaction` in front of an [`OwnServer`], with two connections to it. It ends when it is dropped,
/// or with the process.
#[derive(Debug)]
pub struct Pooler {
    /// The URL of the server's database through the pooler.
    pub url: String,
    _folder: tempfile::TempDir,
    /// The shell that runs it while its standard input is open.
    shell: Child,
}

impl Pooler {
    /// Starts a pooler; `None` if PgBouncer is not installed, which is said once.
    ///
    /// # Panics
    /// If `REQUIRE_PGBOUNCER=1` is set and PgBouncer is not installed; if it does not start.
    pub async fn of(server: &OwnServer) -> Option<Self> {
        // The shell's standard input is closed at the end of this process, even if it is killed. PgBouncer does not run as
        // root, and has to read its settings.
        const SCRIPT: &str = r#"
            chmod 755 "$(dirname "$1")"
            if [ "$(id -u)" = 0 ]; then user='-u postgres'; fi
            "$0" -q $user "$1" & pid=$!
            cat >/dev/null; kill $pid; wait $pid"#;
        let program = program::find("pgbouncer", "REQUIRE_PGBOUNCER")?;
        let port = port::free();
        let (address, name) = server.url.rsplit_once('/').expect("a database in the URL");
        let (_, login) = address.split_once("//").expect("a scheme in the URL");
        let (user, location) = login.split_once('@').expect("a user in the URL");
        let (user, password) = user.split_once(':').expect("a password in the URL");
        let (_, server_port) = location.rsplit_once(':').expect("a port in the URL");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n{name} = host=127.0.0.1 port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n"
        );
        std::fs::write(&file, settings).expect("writing the settings");
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .args([&program, &file])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let pooler = Self {
            url: format!("postgres://{user}:{password}@127.0.0.1:{port}/{name}"),
            _folder: folder,
            shell: shell.expect("starting sh"),
        };
        pooler.answers(server).await;
        Some(pooler)
    }

    /// Waits until it lets connections through to the server.
    async fn answers(&self, server: &OwnServer) {
        let pooler = Some(self.url.parse().expect("a URL"));
        let options = DbOptions { pooler, ..DbOptions::new(&server.url).expect("a URL") };
        for _ in 0..500 {
            if let Ok(db) = Db::open(&options).await {
                return db.close().await.expect("closing");
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("PgBouncer does not answer");
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
