//! The messenger under test.

use std::sync::Arc;

use api::{
    app::{Messenger, create_app},
    migrations::Migrator,
    settings::{Secret, Settings},
};
use groundwork_core::{Db, DbOptions, Uuid};
use groundwork_realtime::Running;
use groundwork_testkit::{Answer, Backend, Client, Fixture, TestDb, TestServer};
use messenger_domain::{messages::Message, threads::audit, users};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, prelude::Expr};
use serde_json::{Value, json};

pub const SECRET: &str = "a secret for tests, long enough to sign with";

/// A running messenger with a database of its own.
pub struct App {
    pub db: TestDb<Migrator>,
    server: TestServer,
    /// Ends with it.
    #[expect(dead_code, reason = "kept")]
    delivery: Running,
}

impl Fixture for App {
    async fn set_up(backend: Backend) -> Self {
        Self::with_settings(backend, &[]).await
    }

    async fn tear_down(self) {
        self.server.stop().await;
        // Whatever a test did, what is stored for a fast answer has to be right. Some tests break the database.
        if let Ok(differences) = audit::differences(self.db.db.reader()).await {
            assert_eq!(differences, Vec::<String>::new());
        }
        self.db.tear_down().await;
    }
}

impl App {
    pub async fn with_settings(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let db = TestDb::new(backend).await;
        let messenger = messenger(db.db.clone(), settings);
        let delivery = messenger.realtime().start();
        let app = Self { db, server: TestServer::start(move || create_app(&messenger)), delivery };
        live(&app.server).await;
        app
    }

    /// Starts another server on the same connections, some of which end with it: it has to be stopped last.
    pub fn another_server(&self, settings: &[(&str, &str)]) -> TestServer {
        let messenger = messenger(self.db.db.clone(), settings);
        TestServer::start(move || create_app(&messenger))
    }

    /// Starts another server on the same database that delivers events as well. As a process of its own would, it learns of the
    /// others' events by the bus or by the log alone.
    pub async fn another_live_server(&self, settings: &[(&str, &str)]) -> (TestServer, Running) {
        let db = Db::open(&DbOptions::new(&self.db.url).unwrap()).await.unwrap();
        let messenger = messenger(db.with_clock(Arc::new(self.db.clock.clone())), settings);
        let delivery = messenger.realtime().start();
        let server = TestServer::start(move || create_app(&messenger));
        live(&server).await;
        (server, delivery)
    }

    /// Starts another server on the same database, as a process of its own, that does not read the log.
    pub async fn deaf_server(&self, settings: &[(&str, &str)]) -> TestServer {
        let db = Db::open(&DbOptions::new(&self.db.url).unwrap()).await.unwrap();
        let messenger = messenger(db.with_clock(Arc::new(self.db.clock.clone())), settings);
        TestServer::start(move || create_app(&messenger))
    }

    /// Returns a client that is not signed in.
    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// Registers a user, and returns a signed-in client.
    pub async fn user(&self, username: &str) -> Client {
        self.client().register(username).await
    }

    /// Registers a user in a permission group, and returns a signed-in client.
    pub async fn user_in(&self, group: &str, username: &str) -> Client {
        let user = self.user(username).await;
        let tx = self.db.db.begin().await.unwrap();
        users::entity::Entity::update_many()
            .col_expr(users::entity::Column::Group, Expr::value(group))
            .filter(users::entity::Column::Id.eq(user.id().parse::<Uuid>().unwrap()))
            .exec(&tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        user.login(username).await
    }
}

/// Waits until the server has read the log for the first time: then live delivery begins.
pub async fn live(server: &TestServer) {
    while server.client().get("/api/v1/ws").await.status == 503 {}
}

pub fn messenger(db: Db, settings: &[(&str, &str)]) -> Messenger {
    let given = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let cost = ("BCRYPT_COST".to_owned(), "4".to_owned());
    let settings = Settings::from_pairs([cost].into_iter().chain(given)).unwrap();
    Messenger::new(&settings, db, &Secret::new(SECRET)).unwrap()
}

/// Shorthands for common requests.
pub trait Talks {
    /// Sends a direct message.
    async fn writes_to(&self, other: &Client, text: &str) -> Message;
    /// Starts a group with these users, and returns its id.
    async fn starts_group(&self, name: &str, others: &[&Client]) -> String;
    /// Sends a message into a thread.
    async fn says(&self, thread: &str, text: &str) -> Message;
    /// Adds a user to a group.
    async fn adds(&self, thread: &str, other: &Client) -> Answer;
    /// Removes a user from a group, or leaves it.
    async fn removes(&self, thread: &str, other: &Client) -> Answer;
    /// Reads one of the user's threads.
    async fn thread(&self, id: &str) -> Value;
}

impl Talks for Client {
    async fn writes_to(&self, other: &Client, text: &str) -> Message {
        let body = json!({"receiver_id": other.id(), "text": text});
        self.post("/api/v1/messages", &body).await.read(201)
    }

    async fn starts_group(&self, name: &str, others: &[&Client]) -> String {
        let ids: Vec<_> = others.iter().map(|other| other.id()).collect();
        let body = json!({"type": "group", "name": name, "participant_ids": ids});
        let thread = self.post("/api/v1/threads", &body).await.expect(201);
        thread["id"].as_str().unwrap().to_owned()
    }

    async fn says(&self, thread: &str, text: &str) -> Message {
        self.post(&format!("/api/v1/threads/{thread}/messages"), &json!({"text": text})).await.read(201)
    }

    async fn adds(&self, thread: &str, other: &Client) -> Answer {
        self.patch(&format!("/api/v1/threads/{thread}/participants"), &json!({"add": [other.id()]})).await
    }

    async fn removes(&self, thread: &str, other: &Client) -> Answer {
        self.patch(&format!("/api/v1/threads/{thread}/participants"), &json!({"remove": [other.id()]})).await
    }

    async fn thread(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/threads/{id}")).await.expect(200)
    }
}
