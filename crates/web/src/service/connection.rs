//! Closes connections whose client has stopped sending or reading.
//!
//! actix bounds the time for the head of the first request on a connection, and the time that a connection is idle. It
//! bounds neither the head of a further request, of which a client can send single bytes indefinitely, nor the time
//! that a client takes to read a response.

use std::{
    any::Any,
    cell::Cell,
    net::{Shutdown, TcpStream},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    middleware::Next,
    rt,
    web::Bytes,
};
use tokio::{task::JoinHandle, time::Instant};

/// Watches over one connection, until it is dropped with the connection.
struct Watch {
    /// Since when no request is in progress; `None` while one is.
    idle_since: Rc<Cell<Option<Instant>>>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches over a new connection: closes it when no request was complete for the time `idle`, or when the client has not
/// accepted data for the time `write`.
pub(crate) fn watch(io: &dyn Any, connection: &mut Extensions, idle: Duration, write: Duration) {
    let Some(io) = io.downcast_ref::<rt::net::TcpStream>() else { return };
    let socket = socket2::SockRef::from(io);
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_user_timeout(Some(write)) {
        tracing::debug!(%error, "the write timeout of a connection was not set");
    }
    let idle_since = Rc::new(Cell::new(Some(Instant::now())));
    match socket.try_clone() {
        Ok(socket) => {
            let task = rt::spawn(close_when_idle(socket.into(), Rc::clone(&idle_since), idle));
            connection.insert(Watch { idle_since, task });
        }
        Err(error) => tracing::debug!(%error, "a connection is not watched"),
    }
}

async fn close_when_idle(socket: TcpStream, idle_since: Rc<Cell<Option<Instant>>>, limit: Duration) {
    loop {
        let deadline = idle_since.get().unwrap_or_else(Instant::now) + limit;
        tokio::time::sleep_until(deadline).await;
        if idle_since.get().is_some_and(|since| since.elapsed() >= limit) {
            // An error says that the connection is closed already.
            let _ = socket.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Middleware that tells the watch of a connection that a request is in progress, until its response is sent.
pub(crate) async fn in_progress<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let busy = request.conn_data::<Watch>().map(|watch| Busy::new(&watch.idle_since));
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(match busy {
        Some(busy) => response.map_body(|_, body| BoxBody::new(Sending { body, _busy: busy })),
        None => response,
    })
}

/// A request in progress.
struct Busy(Rc<Cell<Option<Instant>>>);

impl Busy {
    fn new(idle_since: &Rc<Cell<Option<Instant>>>) -> Self {
        idle_since.set(None);
        Self(Rc::clone(idle_since))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
    }
}

/// The body of a response, which is in progress until it is dropped.
struct Sending {
    body: BoxBody,
    _busy: Busy,
}

impl MessageBody for Sending {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
