//! The service under test.

use bookmarks::{
    app::{self, Bookmarks, create_app},
    migrations::Migrator,
};
use groundwork_realtime::Running;
use groundwork_testkit::{Backend, Client, Fixture, TestDb, TestServer};
use groundwork_web::{
    ServiceSettings,
    service::settings::{Environment, Secret},
};

/// The service under test.
pub struct App {
    pub db: TestDb<Migrator>,
    server: TestServer,
    _delivery: Running,
}

impl Fixture for App {
    async fn set_up(backend: Backend) -> Self {
        let db = TestDb::new(backend).await;
        let settings: ServiceSettings = Environment::new([("BCRYPT_COST", "4")]).read().unwrap();
        let secret = Secret::new("a secret for tests, long enough to sign with");
        let bookmarks = Bookmarks::new(&app::service(&settings), db.db.clone(), &secret).unwrap();
        let delivery = bookmarks.realtime.start();
        let app = Self { db, server: TestServer::start(move || create_app(&bookmarks)), _delivery: delivery };
        // Live delivery begins when the log has been read for the first time.
        while app.client().get("/api/v1/ws").await.status == 503 {}
        app
    }

    async fn tear_down(self) {
        self.server.stop().await;
        self.db.tear_down().await;
    }
}

impl App {
    /// Returns a client that is not signed in.
    pub fn client(&self) -> Client {
        self.server.client()
    }
}
