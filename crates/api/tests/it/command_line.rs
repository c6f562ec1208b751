//! The binary, used from outside as its operator does.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};

use groundwork_testkit::{Backend, Client, Fixture, TestDb, both_databases, database::is_available};
use messenger_domain::demo;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No migrations: the binary is to make the schema itself.
struct Nothing;

impl MigratorTrait for Nothing {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![]
    }
}

/// A folder to run in, and an empty database.
struct Desk {
    folder: TempDir,
    url: String,
    db: TestDb<Nothing>,
}

impl Fixture for Desk {
    async fn set_up(backend: Backend) -> Self {
        assert!(is_available(backend));
        let db = TestDb::new(backend).await;
        Self { folder: tempfile::tempdir().unwrap(), url: db.url.clone(), db }
    }

    async fn tear_down(self) {
        self.db.tear_down().await;
    }
}

impl Desk {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.url)
            .env("BCRYPT_COST", "4")
            .env("PORT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What a command that succeeds prints.
    fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A server that was started, and where it listens.
struct Served(Child, Client);

impl Served {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let client = Client::new(url);
        Self(child, client)
    }

    /// Tells it to stop, and whether it ended well.
    fn stop(mut self) -> bool {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().success()
    }
}

/// A new operator migrates, seeds, makes a superuser, serves, and stops.
#[both_databases]
async fn an_operator_runs_it(desk: &Desk) {
    let status = desk.says(&["migrate", "status"], "");
    assert!(status.lines().count() == 2 && status.lines().all(|line| line.ends_with("pending")), "{status}");
    assert_eq!(desk.says(&["migrate", "up"], ""), "2 applied\n");
    assert_eq!(desk.says(&["migrate", "up"], ""), "0 applied\n");
    assert_eq!(desk.says(&["migrate", "down"], ""), "1 taken back\n");
    assert_eq!(desk.says(&["migrate", "up"], ""), "1 applied\n");
    assert!(desk.says(&["seed"], "").starts_with("Created 5 users"));
    assert!(desk.says(&["seed"], "").contains("Nothing was changed"));
    assert!(
        desk.says(&["create-superuser", "Root"], "Correct-Horse-1\n")
            .starts_with("Created the superuser root")
    );
    let taken = desk.run(&["create-superuser", "root"], "Correct-Horse-1\n");
    assert!(!taken.status.success() && String::from_utf8_lossy(&taken.stderr).contains("username: is taken"));
    let weak = desk.run(&["create-superuser", "other"], "weak\n");
    assert!(String::from_utf8_lossy(&weak.stderr).contains("password: must have at least 8 characters"));

    let served = Served::start(desk.command(&[]));
    let root = served.1.login("root").await;
    assert_eq!(root.get("/api/v1/users").await.expect(200)["total"], 6);
    let ada = served.1.login("ada").await;
    let threads = ada.get("/api/v1/threads").await.expect(200);
    assert_eq!(threads["items"].as_array().unwrap().len(), 2);
    let inbox = ada.get("/api/v1/messages/inbox").await.expect(200);
    assert_eq!(inbox["items"][0]["is_read"], true);
    for path in [
        format!("users/{}", demo::EMMY),
        format!("threads/{}/participants/{}", demo::ENGINES, demo::CHARLES),
        format!("messages/{}/receipts", demo::SENT),
        format!("messages/{}", demo::RECEIVED),
    ] {
        ada.get(&format!("/api/v1/{path}")).await.expect(200);
    }
    let sent = ada.get(&format!("/api/v1/messages/{}", demo::SENT)).await.expect(200);
    assert_eq!((&sent["sender_id"], &sent["is_read"]), (&json!(demo::ADA), &json!(false)));
    let invited = json!({"add": [demo::EMMY], "remove": []});
    ada.patch(&format!("/api/v1/threads/{}/participants", demo::ENGINES), &invited).await.expect(200);
    assert!(served.stop());

    // The secret was kept: a token of the last run is good in the next.
    let served = Served::start(desk.command(&["serve"]));
    let again = served.1.with_token(ada.token.as_ref().unwrap());
    again.get("/api/v1/users/me").await.expect(200);
    assert!(served.stop());
}

/// Two servers that start at once on an empty database both come up.
#[both_databases]
async fn two_servers_start_at_once(desk: &Desk) {
    let commands = [desk.command(&[]), desk.command(&[])];
    let servers = commands.map(|command| std::thread::spawn(|| Served::start(command)));
    let servers = servers.map(|thread| thread.join().unwrap());
    let ada = servers[0].1.register("ada").await;
    let there = servers[1].1.with_token(ada.token.as_ref().unwrap());
    assert_eq!(there.get("/api/v1/users/me").await.expect(200)["username"], "ada");
    assert!(servers.into_iter().all(Served::stop));
}

/// What is wrong with the settings stops it with a sentence that names the variable.
#[both_databases]
async fn wrong_settings_are_named(desk: &Desk) {
    for (name, value, word) in [
        ("PORT", "http", "PORT"),
        ("BCRYPT_COST", "99", "BCRYPT_COST"),
        ("APP_ENV", "production", "JWT_SECRET"),
        ("LOG", "a=b=c", "LOG"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
        ("DATABASE_URL", "sqlite:///no/such/folder/x.db", "DATABASE_URL"),
    ] {
        let output = desk.command(&[]).env(name, value).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(word), "{name}={value}: {told}");
    }
    let production = [("APP_ENV", "production"), ("JWT_SECRET", "0123456789abcdef0123456789abcdef")];
    let seeded = desk.command(&["seed"]).envs(production).output().unwrap();
    assert!(
        !seeded.status.success()
            && String::from_utf8_lossy(&seeded.stderr).contains("not available in production")
    );
    let unready = desk.command(&[]).env("MIGRATE_ON_START", "false").output().unwrap();
    assert!(!unready.status.success() && String::from_utf8_lossy(&unready.stderr).contains("migrate up"));
}

#[tokio::test]
async fn with_nothing_set_it_keeps_its_data_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
    command
        .current_dir(folder.path())
        .env_clear()
        .env("PORT", "0")
        .env("BCRYPT_COST", "4")
        .stdout(Stdio::piped());
    let served = Served::start(command);
    served.1.register("ada").await;
    assert!(served.stop());
    let data = folder.path().join("data");
    assert!(data.join("messenger.db").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(data.clone()), mode(data.join("jwt-secret"))), (0o700, 0o600));
    }
}

#[test]
fn documents_are_printed() {
    let run = |what: &str| Command::new(env!("CARGO_BIN_EXE_api")).arg(what).env_clear().output().unwrap();
    let document: Value = serde_json::from_slice(&run("openapi").stdout).unwrap();
    assert_eq!(document["openapi"], json!("3.1.0"));
    assert!(String::from_utf8_lossy(&run("settings").stdout).contains("`DATABASE_URL`"));
}
