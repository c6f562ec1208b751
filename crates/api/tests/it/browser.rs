//! The page in a browser: people talk to each other, through a crash of the server.

use std::process::{Child, Command, Stdio};

use groundwork_testkit::{Backend, Client, Fixture, TestDb, both_databases, port};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chromium::{Chromium, Page, installed};

/// No migrations: the binary creates the schema itself.
struct Nothing;

impl MigratorTrait for Nothing {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![]
    }
}

/// A place for a server that always has the same address and data.
struct Site {
    folder: TempDir,
    port: u16,
    db: TestDb<Nothing>,
}

impl Fixture for Site {
    async fn set_up(backend: Backend) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: port::free(), db: TestDb::new(backend).await }
    }

    async fn tear_down(self) {
        self.db.tear_down().await;
    }
}

/// A running server. Dropping it kills it, without a signal that it could notice.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    fn serve(&self) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_api"))
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.db.url)
            .env("BCRYPT_COST", "4")
            .env("LOG", "warn")
            .env("PORT", self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Server(child.unwrap())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns a client, once the server answers.
    async fn client(&self) -> Client {
        let url = self.url();
        while reqwest::get(format!("{url}/health/live")).await.is_err() {
            tokio::task::yield_now().await;
        }
        Client::new(&url)
    }

    /// Opens the page, and signs up.
    async fn sign_up(&self, page: &mut Page, username: &str) {
        page.open(&self.url()).await;
        page.click("form .link").await;
        page.until("document.querySelector('#first_name')").await;
        page.write("#username", username).await;
        page.write("#password", "Correct-Horse-1").await;
        page.press("Enter").await;
        page.until("document.querySelector('.messenger')").await;
    }

    /// Opens the page, and signs in.
    async fn sign_in(&self, page: &mut Page, username: &str) {
        page.open(&self.url()).await;
        page.write("#username", username).await;
        page.write("#password", "Correct-Horse-1").await;
        page.press("Enter").await;
        page.until("document.querySelector('.messenger')").await;
    }
}

async fn say(page: &mut Page, text: &str) {
    page.write(".composer textarea", text).await;
    page.press("Enter").await;
}

/// Waits until a message with this text is shown.
async fn sees(page: &mut Page, text: &str) {
    page.until(&format!(
        "[...document.querySelectorAll('.msg[data-seq] .text')].some((e) => e.textContent === {})",
        json!(text)
    ))
    .await;
}

/// The texts of the messages on the screen, without those in the outbox and those taken back.
const TEXTS: &str =
    "[...document.querySelectorAll('.msg[data-seq]:not(.gone) .text')].map((element) => element.textContent)";

/// Opens the direct thread with somebody who is found by name.
async fn find(page: &mut Page, username: &str) {
    page.write(".pane.list input[type=search]", username).await;
    let row = format!(
        "[...document.querySelectorAll('button.thread')].find((row) => row.textContent.includes({}))",
        json!(format!("@{username}"))
    );
    page.until(&row).await;
    page.eval(&format!("{row}.click()")).await;
    page.until("document.querySelector('.composer textarea')").await;
}

async fn open_first(page: &mut Page) {
    page.click("a.thread").await;
    page.until("document.querySelector('.msg[data-seq]')").await;
}

/// Two people find each other, write, edit and take back, see each other typing and how far messages have come. The server
/// is killed while both write, one of them leaves the page and comes back, and nothing is lost or doubled.
#[both_databases]
async fn two_people_talk_through_a_crash(site: &Site) {
    let Some(program) = installed() else { return };
    let server = site.serve();
    site.client().await;
    let mut chromium = Chromium::start(program).await;
    let (mut ada, mut charles) = (chromium.person().await, chromium.person().await);
    site.sign_up(&mut ada, "ada").await;
    site.sign_up(&mut charles, "charles").await;

    find(&mut ada, "charles").await;
    ada.until("document.querySelector('.banner').hidden").await;
    say(&mut ada, "Good morning!").await;
    charles.until("document.querySelector('a.thread .badge')?.textContent.startsWith('1')").await;
    charles.until("document.title === '(1) Messenger'").await;
    ada.until("document.querySelector('.msg.own .ticks.delivered')").await;
    say(&mut ada, "A mistake").await;
    charles.until("document.querySelector('a.thread .badge')?.textContent.startsWith('2')").await;
    sees(&mut ada, "A mistake").await;
    ada.click(".msg.own:last-child [aria-label='Take back']").await;
    ada.click("dialog .danger").await;
    ada.until("document.querySelector('.msg.gone')").await;
    charles.until("document.querySelector('a.thread .badge')?.textContent.startsWith('1')").await;
    open_first(&mut charles).await;
    sees(&mut charles, "Good morning!").await;
    ada.until("document.querySelector('.msg.own .ticks.read')").await;
    charles.until("!document.querySelector('a.thread .badge')").await;

    charles.write(".composer textarea", "Good mor").await;
    ada.until("document.querySelector('.typing-row')").await;
    say(&mut charles, "Good evening!").await;
    sees(&mut ada, "Good evening!").await;
    ada.until("!document.querySelector('.typing-row')").await;
    charles.press("ArrowUp").await;
    charles.until("!document.querySelector('.edit-note').hidden").await;
    say(&mut charles, "Good morning, Ada!").await;
    sees(&mut ada, "Good morning, Ada!").await;

    let mut server = Some(server);
    for number in 1..=5 {
        say(&mut ada, &format!("ada {number}")).await;
        say(&mut charles, &format!("charles {number}")).await;
        // The first ones may have arrived, with or without their answer.
        if number == 2 {
            server = None;
        }
    }
    assert!(server.is_none());
    ada.until("document.querySelectorAll('.msg.pending').length >= 3").await;
    ada.until("!document.querySelector('.banner').hidden").await;
    // Only what the browser has stored survives this.
    ada.open("about:blank").await;
    ada.until("location.href === 'about:blank'").await;

    let _server = site.serve();
    let client = site.client().await.login("ada").await;
    ada.open(&site.url()).await;
    open_first(&mut ada).await;
    for page in [&mut ada, &mut charles] {
        page.until(&format!("{TEXTS}.length === 12 && !document.querySelector('.pending')")).await;
        page.until("document.querySelector('.banner').hidden").await;
    }
    let thread =
        client.get("/api/v1/threads").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let stored = client.get(&format!("/api/v1/threads/{thread}/messages?order=asc")).await.expect(200);
    let stored: Vec<Value> =
        stored["items"].as_array().unwrap().iter().map(|item| item["text"].clone()).collect();
    for page in [&mut ada, &mut charles] {
        assert_eq!(page.eval(TEXTS).await, json!(stored));
    }
    for name in ["ada", "charles"] {
        let of_name: Vec<_> = stored
            .iter()
            .filter_map(Value::as_str)
            .filter(|text| text.starts_with(&format!("{name} ")))
            .collect();
        assert_eq!(of_name, (1..=5).map(|number| format!("{name} {number}")).collect::<Vec<_>>());
    }
    ada.until("document.querySelector('.status').textContent === 'online'").await;
    ada.until(
        "[...document.querySelectorAll('.msg.own:not(.gone) .ticks')].every((tick) => tick.matches('.read'))",
    )
    .await;
    for page in [&ada, &charles] {
        assert_eq!(page.faults(), [""; 0]);
    }
}

/// Names and texts are shown as they are, and a page never holds more messages than it needs.
#[both_databases]
async fn text_stays_text_and_long_threads_stay_small(site: &Site) {
    let Some(program) = installed() else { return };
    let _server = site.serve();
    let client = site.client().await;
    let payload = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";
    let (ada, evil) = (client.register("ada").await, client.register("evil").await);
    let name = json!({"first_name": &payload[..60], "last_name": "\u{202e}evil", "bio": payload});
    evil.patch("/api/v1/users/me", &name).await.expect(200);
    let group = json!({"type": "group", "name": payload, "participant_ids": [ada.id()]});
    let thread = evil.post("/api/v1/threads", &group).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/threads/{thread}/messages");
    for number in 1..=300 {
        evil.post(&path, &json!({"text": format!("{number} {payload}\n\u{1f600} שלום {}", "x".repeat(200))}))
            .await
            .expect(201);
    }
    let mut chromium = Chromium::start(program).await;
    let mut page = chromium.person().await;
    site.sign_in(&mut page, "ada").await;
    page.until("document.querySelector('a.thread .badge')?.textContent.startsWith('99+')").await;
    open_first(&mut page).await;
    page.click(".who").await;
    page.until("document.querySelector('dialog .person')").await;
    page.press("Escape").await;
    page.until("!document.querySelector('dialog')").await;
    let to_top = "(() => { \
        const log = document.querySelector('.log'); \
        window.most = Math.max(window.most ?? 0, document.querySelectorAll('.msg').length); \
        log.scrollTop -= 400; \
        return document.querySelector('.msg[data-seq=\"1\"]') && log.scrollTop === 0; \
    })()";
    page.until(to_top).await;
    assert!(page.eval("window.most").await.as_u64().unwrap() <= 180);
    page.click(".jump").await;
    page.until(
        "document.querySelector('.msg[data-seq=\"300\"]') && !document.querySelector('a.thread .badge')",
    )
    .await;
    assert_eq!(page.eval("document.querySelectorAll('img, #app script, iframe').length").await, 0);
    assert_eq!(page.eval("typeof window.hacked").await, "undefined");
    assert_eq!(page.eval("document.documentElement.scrollWidth <= innerWidth").await, true);
    assert_eq!(page.faults(), [""; 0]);
}

/// Two tabs that refresh their tokens at the same time stay signed in, and signing out in one signs out the other.
#[both_databases]
async fn tabs_share_one_session(site: &Site) {
    let Some(program) = installed() else { return };
    let _server = site.serve();
    site.client().await;
    let mut chromium = Chromium::start(program).await;
    let mut first = chromium.person().await;
    site.sign_up(&mut first, "ada").await;
    let mut second = chromium.second_tab(&first).await;
    second.open(&site.url()).await;
    second.until("document.querySelector('.messenger')").await;
    let renew = "import('/app/session.js').then((all) => all.renew(all.session().access))";
    for _ in 0..10 {
        let (one, other) = tokio::join!(first.eval(renew), second.eval(renew));
        assert!(one.is_string() && other.is_string(), "{one} {other}");
    }
    let me = "import('/app/api.js').then((api) => api.call('GET', '/users/me')).then((me) => me.username)";
    assert_eq!((first.eval(me).await, second.eval(me).await), (json!("ada"), json!("ada")));
    first.click("[aria-label='Settings and profile']").await;
    first.click("dialog .danger-text").await;
    for page in [&mut first, &mut second] {
        page.until("document.querySelector('form #password')").await;
        assert_eq!(
            page.eval("Object.keys(localStorage).filter((key) => key !== 'messenger.theme').length").await,
            0
        );
    }
}
