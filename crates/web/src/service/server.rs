//! Runs a server until it receives a signal to stop, and drains it.
//!
//! ```
//! use std::time::Duration;
//!
//! use groundwork_web::service::server::ServerOptions;
//!
//! let options = ServerOptions { shutdown_timeout: Duration::from_secs(10), ..ServerOptions::default() };
//! assert_eq!(options.workers, None);
//! ```

use std::{future::pending, io, net::TcpListener, time::Duration};

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{App, Error, dev::AppConfig};
use tokio::sync::mpsc;

use crate::{
    AppEntry,
    service::{connection, health::Probe, upgrade},
};

/// How long a client may take to close a connection that the server closes.
const DISCONNECT: Duration = Duration::from_secs(1);

/// How a server runs.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// The number of threads that handle requests; `None` for the number of cores.
    pub workers: Option<usize>,
    /// The maximum number of connections of each thread. Further connections wait until one is closed.
    pub max_connections: usize,
    /// How long a connection may be idle between two requests.
    pub keep_alive: Duration,
    /// How long a client may take to send the head of a request, and to accept more of a response.
    pub client_timeout: Duration,
    /// How long requests are still accepted after the signal to stop, while `/health/ready` returns 503.
    pub shutdown_delay: Duration,
    /// How long requests in progress have to finish after that, in whole seconds.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            workers: None,
            max_connections: 4096,
            keep_alive: Duration::from_secs(75),
            client_timeout: Duration::from_secs(15),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves `app` on `listener` until `stop` receives a message. Then `/health/ready` returns 503, and requests are still
/// accepted for [`ServerOptions::shutdown_delay`]. After that no connection is accepted, and requests in progress have
/// [`ServerOptions::shutdown_timeout`] to finish. A second message ends the wait.
///
/// # Errors
/// `Interrupted` after a second message: requests may still be in progress, and end with the process.
pub async fn serve<F, S>(
    listener: TcpListener,
    options: ServerOptions,
    probe: Probe,
    app: F,
    mut stop: mpsc::Receiver<()>,
) -> io::Result<()>
where
    F: Fn() -> App<S> + Clone + Send + 'static,
    S: AppEntry,
{
    let server = listen(listener, options, app)?;
    let handle = server.handle();
    let mut running = std::pin::pin!(server);
    tokio::select! {
        ended = &mut running => return ended,
        () = received(&mut stop) => {}
    }
    probe.drain();
    let drained = async {
        tokio::select! {
            ended = &mut running => return ended,
            () = tokio::time::sleep(options.shutdown_delay) => {}
        }
        let ((), (), ended) = tokio::join!(probe.shut_down(), handle.stop(true), running);
        ended
    };
    tokio::select! {
        ended = drained => ended,
        () = received(&mut stop) => {
            let message = "stopped by a second signal, without waiting for requests in progress";
            Err(io::Error::new(io::ErrorKind::Interrupted, message))
        }
    }
}

/// Listens on `listener` and serves `app`, until the returned server is stopped. As actix's `HttpServer`, which has no
/// place for the [upgrade] of connections.
///
/// # Errors
/// If the listener can't be used.
pub fn listen<F, S>(listener: TcpListener, options: ServerOptions, app: F) -> io::Result<Server>
where
    F: Fn() -> App<S> + Clone + Send + 'static,
    S: AppEntry,
{
    // actix closes what is idle for `keep_alive`; the watch closes what has sent a part of a head in that time.
    let (idle, write) = (options.keep_alive + options.client_timeout, options.client_timeout);
    let address = listener.local_addr()?;
    let mut server = Server::build()
        .disable_signals()
        .max_concurrent_connections(options.max_connections)
        .shutdown_timeout(options.shutdown_timeout.as_secs());
    if let Some(workers) = options.workers {
        server = server.workers(workers);
    }
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let stopping = stopping.clone();
        let app = map_config(app().into_factory(), |()| AppConfig::default())
            .map_err(|error: Error| error.error_response());
        let (app, upgrades) = upgrade::split(app, options.client_timeout);
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(options.keep_alive)
            .client_request_timeout(options.client_timeout)
            .client_disconnect_timeout(DISCONNECT)
            .local_addr(address)
            .on_connect_ext(move |io: &_, extensions: &mut _| connection::watch(io, extensions, idle, write))
            .upgrade(upgrades)
            .finish(app)
            .tcp()
    })?;
    Ok(server.run())
}

/// Waits for a message, indefinitely if there is no sender.
async fn received(stop: &mut mpsc::Receiver<()>) {
    if stop.recv().await.is_none() {
        pending::<()>().await;
    }
}

/// Returns a receiver that gets a message for each SIGTERM and each SIGINT (Ctrl-C) of this process.
///
/// # Errors
/// If the process cannot listen for signals.
pub fn stop_signals() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "received a signal to stop");
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(
        async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {} },
    );
    Ok(receiver)
}
