//! The binary, run as an operator runs it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};

use groundwork_testkit::{
    Backend, Client, Fixture, TestDb, both_databases, client::PASSWORD, database::is_available,
};
use messenger_domain::demo;
use sea_orm::ConnectionTrait;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No migrations: the binary creates the schema itself.
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

    /// Returns the output of a command, which must succeed.
    fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A running server, and its address.
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

    /// Sends SIGTERM, and returns whether the process exits successfully.
    fn stop(mut self) -> bool {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().success()
    }
}

/// An operator migrates, seeds, creates a superuser, serves, and stops.
#[both_databases]
async fn an_operator_runs_it(desk: &Desk) {
    let all = api::migrations::Migrator::migrations().len();
    let status = desk.says(&["migrate", "status"], "");
    assert!(
        status.lines().count() == all && status.lines().all(|line| line.ends_with("pending")),
        "{status}"
    );
    assert_eq!(desk.says(&["migrate", "up"], ""), format!("{all} applied\n"));
    assert_eq!(desk.says(&["migrate", "up"], ""), "0 applied\n");
    // All but the tables of the libraries.
    let most = (all - 1).to_string();
    let unconfirmed = desk.run(&["migrate", "down", &most], "yes\n");
    assert!(!unconfirmed.status.success() && String::from_utf8_lossy(&unconfirmed.stderr).contains("--yes"));
    assert!(String::from_utf8_lossy(&unconfirmed.stdout).contains("Drops the table messages (0 rows)"));
    assert_eq!(desk.says(&["migrate", "up"], ""), "0 applied\n");
    assert!(desk.says(&["migrate", "down", &most, "--yes"], "").ends_with(&format!("{most} reverted\n")));
    assert_eq!(desk.says(&["migrate", "up"], ""), format!("{most} applied\n"));
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

    for (user, password, told) in [
        ("nobody", "battery staple 2", "there is no user nobody"),
        ("root", "short", "password: must have at least 8 characters"),
        ("root", "Password1", "password: must not be one of the most common passwords"),
    ] {
        let refused = desk.run(&["set-password", user], &format!("{password}\n"));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(told), "{text}");
    }

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

    // The secret is stored: a token of the previous run is still valid.
    let served = Served::start(desk.command(&["serve"]));
    let again = served.1.with_token(ada.token.as_ref().unwrap());
    again.get("/api/v1/users/me").await.expect(200);
    assert!(served.stop());
}

/// An operator gives a user another password: the old one and every session of the user stop working, while the server runs.
#[both_databases]
async fn an_operator_sets_a_password(desk: &Desk) {
    let served = Served::start(desk.command(&[]));
    let ada = served.1.register("ada").await;
    let charles = served.1.register("charles").await;
    let told = desk.says(&["set-password", "ADA"], "battery staple 2\n");
    assert!(told.starts_with(&format!("Changed the password of ada (id {})", ada.id())), "{told}");
    let login = |password: &str| json!({"username": "ada", "password": password});
    served.1.post("/api/v1/auth/login", &login(PASSWORD)).await.refused(401, "bad_credentials");
    let again = served.1.post("/api/v1/auth/login", &login("battery staple 2")).await.expect(200);
    let refresh = json!({"refresh_token": ada.refresh_token});
    served.1.post("/api/v1/auth/refresh", &refresh).await.refused(401, "session_ended");
    // The server learns of it from the log.
    while ada.get("/api/v1/users/me").await.status == 200 {}
    ada.get("/api/v1/users/me").await.refused(401, "session_ended");
    ada.signed_in(&again).get("/api/v1/users/me").await.expect(200);
    charles.get("/api/v1/users/me").await.expect(200);
    assert!(served.stop());
}

/// `serve --no-page` leaves out the page, whatever the settings say.
#[both_databases]
async fn the_page_can_be_left_out(desk: &Desk) {
    for (arguments, status) in [(&["serve", "--no-page"][..], 404), (&["serve"], 200), (&[], 200)] {
        let mut command = desk.command(arguments);
        command.env("PAGE", "true");
        let served = Served::start(command);
        assert_eq!(served.1.get("/app/app.js").await.status, status, "{arguments:?}");
        assert!(served.stop());
    }
}

/// Two servers that start at the same time on an empty database both start.
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

/// Invalid settings stop the start with an error that names the variable.
#[both_databases]
async fn wrong_settings_are_named(desk: &Desk) {
    for (name, value, word) in [
        ("PORT", "http", "PORT"),
        ("BCRYPT_COST", "99", "BCRYPT_COST"),
        ("APP_ENV", "production", "JWT_SECRET"),
        ("LOG", "a=b=c", "LOG must be off, error, warn, info, debug or trace"),
        ("LOG", "verbose", "LOG must be off, error, warn, info, debug or trace"),
        ("LOG", "info,api=loud", "LOG must be off, error, warn, info, debug or trace"),
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

/// The error for a folder that is not writable names its setting.
#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_data_folder_is_named() {
    for folder in ["/dev/null/data", "/proc/self"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
        let output = command.env_clear().env("DATA_DIR", folder).env("PORT", "0").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(&format!("DATA_DIR {folder}")), "{told}");
    }
}

/// A version that does not know all migrations of the schema refuses to change it.
#[both_databases]
async fn a_newer_schema_is_refused(desk: &Desk) {
    desk.says(&["migrate", "up"], "");
    let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)";
    desk.db.db.schema().execute_unprepared(sql).await.unwrap();
    for arguments in
        [&["serve"][..], &["migrate", "up"], &["migrate", "down", "--yes"], &["migrate", "status"]]
    {
        for on_start in ["true", "false"] {
            let output = desk.command(arguments).env("MIGRATE_ON_START", on_start).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let named =
                told.contains("error: the schema is newer than this version") && told.contains("m9999_later");
            assert!(!output.status.success() && named, "{arguments:?}: {told}");
        }
    }
}

const PRODUCTION: [(&str, &str); 2] =
    [("APP_ENV", "production"), ("JWT_SECRET", "marker-secret-0123456789abcdef0123456789")];

/// In production the log is JSON, with one event for each request, and nothing else is printed.
#[both_databases]
async fn each_request_is_one_event(desk: &Desk) {
    let mut child = desk.command(&[]).envs(PRODUCTION).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut events: Vec<Value> = Vec::new();
    let address = loop {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let address = event["address"].as_str().map(str::to_owned);
        events.push(event);
        if let Some(address) = address {
            break address;
        }
    };
    let client = Client::new(&format!("http://{address}"));
    let ada = client.register("ada").await;
    let id = ada.id();
    ada.get("/api/v1/threads/0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11?q=marker-query")
        .await
        .refused(404, "not_found");
    let answer = client.get("/api/v1/users/me").await;
    let request_id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    answer.refused(401, "unauthenticated");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    for line in lines {
        let line = line.unwrap();
        assert_eq!(line.matches("request_id").count(), usize::from(line.contains("duration_ms")), "{line}");
        events.push(serde_json::from_str(&line).unwrap());
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());

    let requests: Vec<_> = events.iter().filter(|event| event["message"] == "request").collect();
    let shown = |route: &str, status: u16| {
        let found = requests.iter().find(|event| event["route"] == route && event["status"] == status);
        (*found.unwrap_or_else(|| panic!("{route} {status} in {requests:#?}"))).clone()
    };
    let thread = shown("/api/v1/threads/{id}", 404);
    assert_eq!(
        json!([thread["method"], thread["user_id"], thread["client"], thread["code"]]),
        json!(["GET", id, "127.0.0.1", "not_found"])
    );
    assert!(thread["duration_ms"].is_f64() && thread["level"] == "INFO");
    let me = shown("/api/v1/users/me", 401);
    assert_eq!(
        json!([me["user_id"], me["code"], me["request_id"]]),
        json!([null, "unauthenticated", request_id])
    );
    shown("/api/v1/auth/register", 201);
    let text = format!("{events:?}");
    assert!(!text.contains("marker-query") && !text.contains("marker-secret"), "{text}");
    let warned = text.contains("the database is SQLite");
    assert_eq!(warned, desk.url.starts_with("sqlite"), "{text}");
}

/// No secret of the settings is printed, whether it is valid or not.
#[both_databases]
async fn secrets_are_not_printed(desk: &Desk) {
    let urls = [
        "postgres://marker-user:marker-password@127.0.0.1:99999/x",
        "postgres://marker-user:marker#password@127.0.0.1:1/x",
        "postgres://marker-user:marker/password@127.0.0.1:1/x",
        "postgres://marker-user:marker-password@127.0.0.1:1/x",
        "postgres://marker-user:marker-password@127.0.0.1:1/x?sslmode=marker-mode",
        "marker-url",
    ];
    let mut cases: Vec<Vec<(&str, &str)>> = urls.iter().map(|url| vec![("DATABASE_URL", *url)]).collect();
    cases.push(vec![("JWT_SECRET", "marker-short")]);
    cases.push(vec![("JWT_SECRET", PRODUCTION[1].1), ("PORT", "marker-port")]);
    for case in cases {
        for arguments in [&["serve"][..], &["migrate", "status"]] {
            let command = &mut desk.command(arguments);
            let output =
                command.env("LOG", "trace").env("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1").envs(case.clone());
            let output = output.output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let is_good_secret = case.iter().any(|(name, _)| *name == "PORT");
            assert!(!text.contains("marker"), "{case:?}: {text}");
            assert!(!output.status.success() || is_good_secret, "{case:?}: {text}");
        }
    }
    let output = desk.command(&["migrate", "up"]).env("LOG", "trace").envs(PRODUCTION).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !text.contains("marker"), "{text}");
}

/// A second signal stops the server without waiting.
#[cfg(unix)]
#[both_databases]
async fn a_second_signal_ends_it_at_once(desk: &Desk) {
    let mut command = desk.command(&[]);
    command.env("SHUTDOWN_DELAY_SECONDS", "3600");
    let mut served = Served::start(command);
    let pid = served.0.id().to_string();
    let kill = || assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    kill();
    while served.1.get("/health/ready").await.status == 200 {}
    assert_eq!(served.1.get("/health/live").await.status, 200);
    kill();
    assert!(!served.0.wait().unwrap().success());
}
