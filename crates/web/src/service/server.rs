//! Running a server until it is told to stop, and then draining it.
//!
//! ```
//! use std::time::Duration;
//!
//! use groundwork_web::service::server::ServerOptions;
//!
//! let options = ServerOptions { shutdown_timeout: Duration::from_secs(10), ..ServerOptions::default() };
//! assert_eq!(options.workers, None);
//! ```

use std::{future::Future, io, net::TcpListener, time::Duration};

use actix_web::{
    App, Error, HttpServer,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
};

use crate::service::health::Probe;

/// How a server runs.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Threads that handle requests; as many as there are cores where it is `None`.
    pub workers: Option<usize>,
    /// How long requests under way may take to finish after a signal, in whole seconds.
    pub shutdown_timeout: Duration,
    /// How long a connection may stay idle.
    pub keep_alive: Duration,
    /// How long a client may take to send the head of a request.
    pub request_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            workers: None,
            shutdown_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves `app` on `listener` until `stop` is done, then lets the requests under way finish: `/health/ready` fails
/// from that moment, no new connection is taken, and after [`ServerOptions::shutdown_timeout`] what is left is cut
/// off.
pub async fn serve<F, S>(
    listener: TcpListener,
    options: ServerOptions,
    probe: Probe,
    app: F,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
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
    let mut server = HttpServer::new(app)
        .disable_signals()
        .shutdown_timeout(options.shutdown_timeout.as_secs())
        .keep_alive(options.keep_alive)
        .client_request_timeout(options.request_timeout);
    if let Some(workers) = options.workers {
        server = server.workers(workers);
    }
    let server = server.listen(listener)?.run();
    let handle = server.handle();
    let mut running = std::pin::pin!(server);
    tokio::select! {
        ended = &mut running => return ended,
        () = stop => {}
    }
    probe.drain();
    let ((), ended) = tokio::join!(handle.stop(true), running);
    ended
}

/// Done when the process is told to stop, by SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "can't listen for Ctrl-C");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "can't listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
    tracing::info!("told to stop; finishing what is under way");
}
