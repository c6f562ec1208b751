//! The database from an operator's view: its files, its backup, its password.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use groundwork_testkit::Client;
use tempfile::TempDir;

/// A folder to run the binary in.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
        command.args(arguments).current_dir(self.0.path()).env_clear();
        command.env("PORT", "0").env("BCRYPT_COST", "4").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

/// A running server, which is killed when dropped.
struct Server(Child, Client);

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let client = Client::new(url);
        Self(child, client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A backup of a database in use contains everything that was acknowledged, only its owner may read it, it overwrites
/// nothing, and a server starts with it.
#[tokio::test]
async fn a_running_sqlite_database_is_backed_up_and_restored() {
    let desk = Desk::new();
    let server = Server::start(&mut desk.command(&[]));
    server.1.register("ada").await;
    let backup = desk.run(&["backup", "copy.db"]);
    assert!(backup.status.success(), "{}", text(&backup));
    #[cfg(unix)]
    assert_eq!(mode(&desk.path("copy.db")), 0o600);
    let before = std::fs::read(desk.path("copy.db")).unwrap();
    let again = desk.run(&["backup", "copy.db"]);
    assert!(!again.status.success() && text(&again).contains("copy.db"), "{}", text(&again));
    assert_eq!(std::fs::read(desk.path("copy.db")).unwrap(), before);
    server.1.register("bob").await;
    drop(server);

    std::fs::create_dir(desk.path("restored")).unwrap();
    std::fs::copy(desk.path("copy.db"), desk.path("restored/messenger.db")).unwrap();
    let server = Server::start(desk.command(&[]).env("DATA_DIR", "restored"));
    server.1.login("ada").await;
    server.1.register("bob").await;
}

#[tokio::test]
async fn a_backup_says_what_is_wrong() {
    let desk = Desk::new();
    let none = desk.run(&["backup", "copy.db"]);
    assert!(!none.status.success(), "{}", text(&none));
    assert!(!desk.path("copy.db").exists() && !desk.path("data").exists());
    let postgres = "postgres://ada@127.0.0.1:1/x";
    let refused = desk.command(&["backup", "copy.db"]).env("DATABASE_URL", postgres).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("pg_dump"), "{}", text(&refused));
    assert!(!desk.path("copy.db").exists());
}

/// Only the owner may read the files of a database and enter the data folder, also if others could before.
#[cfg(unix)]
#[tokio::test]
async fn files_that_existed_are_closed_to_others() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("data")).unwrap();
    set_mode(&desk.path("data"), 0o755);
    std::fs::write(desk.path("data/messenger.db"), []).unwrap();
    set_mode(&desk.path("data/messenger.db"), 0o644);
    let server = Server::start(&mut desk.command(&[]));
    server.1.register("ada").await;
    assert_eq!(mode(&desk.path("data")), 0o700);
    let files = ["messenger.db", "messenger.db-wal", "messenger.db-shm"];
    for file in files {
        assert_eq!(mode(&desk.path("data").join(file)), 0o600, "{file}");
    }
    drop(server);
    for file in files {
        set_mode(&desk.path("data").join(file), 0o666);
    }
    let _server = Server::start(&mut desk.command(&[]));
    for file in files {
        assert_eq!(mode(&desk.path("data").join(file)), 0o600, "{file}");
    }
}

/// No part of a password is printed if the URL is not valid or the database cannot be reached.
#[test]
fn a_password_in_the_url_is_never_printed() {
    let desk = Desk::new();
    for url in [
        "postgres://ada:hunter2@127.0.0.1:99999/x",
        "postgres://ada:hunt#er2@127.0.0.1/x",
        "postgres://ada:hunt/er2@127.0.0.1/x",
        "postgres://ada:hunt?er2@127.0.0.1/x",
        "postgres://ada:123/hunter2@127.0.0.1/x",
        "postgres://ada:123?hunter2@127.0.0.1/x",
        "postgres://ada:123?hunter2",
        "postgres://ada:hunter2 @127.0.0.1/x",
        "postgres://ada:hunter2@[::1/x",
        "postgres://ada:hunter2@127.0.0.1/x?sslmode=hunter2",
        "postgres://ada:hunter2@127.0.0.1/x?secret=hunter2",
        "postgres://ada:hunter2@127.0.0.1:1/x",
        "mysql://ada:hunter2@127.0.0.1/x",
        "hunter2",
    ] {
        let mut command = desk.command(&["migrate", "status"]);
        command.env("DATABASE_URL", url).env("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1").env("LOG", "trace");
        let output = command.output().unwrap();
        let text = text(&output);
        assert!(!output.status.success() && text.contains("DATABASE_URL"), "{url}: {text}");
        assert!(!text.contains("er2"), "{url}: {text}");
    }
}
