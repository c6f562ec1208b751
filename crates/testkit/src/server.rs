//! A server that a test can call as any client would.
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

use actix_web::{
    App, Error, HttpServer,
    body::BoxBody,
    dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse},
    rt,
};

use crate::{Client, contract};

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    /// Where it is: `http://127.0.0.1:12345`.
    pub url: String,
    handle: ServerHandle,
}

impl TestServer {
    /// Serves `app` on a port that is free.
    pub fn start<F, S>(app: F) -> Self
    where
        F: Fn() -> App<S> + Clone + Send + 'static,
        S: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<BoxBody>,
                Error = Error,
                InitError = (),
            > + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server =
            HttpServer::new(app).workers(1).disable_signals().listen(listener).expect("listening").run();
        let handle = server.handle();
        rt::spawn(server);
        let url = format!("http://{address}");
        contract::forget(&url);
        Self { url, handle }
    }

    /// A client that isn't signed in.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Stops it at once.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}
