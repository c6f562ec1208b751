//! A server that a test can call over HTTP.
//!
//! ```no_run
//! # async fn example(shell: groundwork_web::WebApp) {
//! use groundwork_testkit::TestServer;
//!
//! let server = TestServer::start(move || shell.app());
//! server.client().get("/health").await.expect(200);
//! server.stop().await;
//! # }
//! ```

use std::net::TcpListener;

use actix_web::{App, dev::ServerHandle, rt};
use groundwork_web::{
    AppEntry,
    service::server::{ServerOptions, listen},
};

use crate::{Client, contract, frames};

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    /// The base URL: `http://127.0.0.1:12345`.
    pub url: String,
    handle: ServerHandle,
}

impl TestServer {
    /// Serves `app` on a free port of 127.0.0.1.
    pub fn start<F, S>(app: F) -> Self
    where
        F: Fn() -> App<S> + Clone + Send + 'static,
        S: AppEntry,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let options = ServerOptions { workers: Some(1), ..ServerOptions::default() };
        let server = listen(listener, options, app).expect("listening");
        let handle = server.handle();
        rt::spawn(server);
        let url = format!("http://{address}");
        contract::forget(&url);
        frames::forget(&url);
        Self { url, handle }
    }

    /// Returns a client that is not signed in.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Stops the server immediately.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}
