//! Handing a connection over to a handler that speaks another protocol on it, such as WebSocket.
//!
//! actix keeps two buffers of 8 KiB for each HTTP connection, and passes what a handler writes through several queues. A
//! connection that stays open for hours, one of tens of thousands, needs neither. The handler answers 101, and gets the socket
//! when that is sent. The buffers are gone then, and the connection still counts as one of the server.
//!
//! ```
//! use actix_web::HttpResponse;
//! use groundwork_web::service::upgrade;
//!
//! let mut response = HttpResponse::SwitchingProtocols().finish();
//! upgrade::hand_over(&mut response, async |upgraded| drop(upgraded.io));
//! ```

use std::{
    cell::RefCell, future::Future, future::poll_fn, io, pin::Pin, rc::Rc, task::Context, task::Poll,
    time::Duration,
};

use actix_http::{
    Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    h1::{Codec, Message},
};
use actix_web::{
    Error, HttpResponse,
    dev::{Service, ServiceFactory},
    error::ErrorInternalServerError,
    http::StatusCode,
    rt::net::TcpStream,
    web::BytesMut,
};

/// A connection that is no longer HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket.
    pub io: TcpStream,
    /// What the client has sent after the request.
    pub read: BytesMut,
}

/// Who gets the connection.
struct HandOver(Box<dyn FnOnce(Upgraded) -> Local<()>>);

/// Hands the connection over to `serve` when the response was sent, which has to have the status 101. The connection is
/// closed at the end of `serve`. If the client is gone before, `serve` is dropped.
pub fn hand_over<F, T>(response: &mut HttpResponse, serve: F)
where
    F: FnOnce(Upgraded) -> T + 'static,
    T: Future<Output = ()> + 'static,
{
    let serve = |upgraded| -> Local<()> { Box::pin(serve(upgraded)) };
    response.extensions_mut().insert(HandOver(Box::new(serve)));
}

type Framed = actix_codec::Framed<TcpStream, Codec>;
type Head = Message<(Response<()>, BodySize)>;
type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// The app of a worker, once it is built: it serves plain requests and those to upgrade.
type Slot<S> = Rc<RefCell<Option<Rc<S>>>>;

/// Builds the app of a worker, and keeps it for [`Upgrades`].
pub(super) struct Kept<F, S> {
    factory: F,
    slot: Slot<S>,
}

/// Serves the requests to upgrade a connection.
pub(super) struct Upgrades<S> {
    slot: Slot<S>,
    limit: Duration,
}

/// Splits the app of a worker. A client has the time `limit` to accept a response to a request to upgrade.
pub(super) fn split<F: ServiceFactory<Request>>(
    factory: F,
    limit: Duration,
) -> (Kept<F, F::Service>, Upgrades<F::Service>) {
    let slot = Slot::default();
    (Kept { factory, slot: Rc::clone(&slot) }, Upgrades { slot, limit })
}

impl<F> ServiceFactory<Request> for Kept<F, F::Service>
where
    F: ServiceFactory<Request, Config = ()>,
    F::Future: 'static,
    F::Service: 'static,
    F::InitError: 'static,
{
    type Response = F::Response;
    type Error = F::Error;
    type Config = ();
    type Service = Rc<F::Service>;
    type InitError = F::InitError;
    type Future = Local<Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (app, slot) = (self.factory.new_service(()), Rc::clone(&self.slot));
        Box::pin(async move {
            let app = Rc::new(app.await?);
            slot.replace(Some(Rc::clone(&app)));
            Ok(app)
        })
    }
}

impl<S> ServiceFactory<(Request, Framed)> for Upgrades<S>
where
    S: Service<Request> + 'static,
    S::Response: Into<Response<BoxBody>>,
    S::Error: Into<Response<BoxBody>>,
    S::Future: 'static,
{
    type Response = ();
    type Error = Error;
    type Config = ();
    type Service = Self;
    type InitError = ();
    type Future = std::future::Ready<Result<Self, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        std::future::ready(Ok(Self { slot: Rc::clone(&self.slot), limit: self.limit }))
    }
}

impl<S> Service<(Request, Framed)> for Upgrades<S>
where
    S: Service<Request> + 'static,
    S::Response: Into<Response<BoxBody>>,
    S::Error: Into<Response<BoxBody>>,
    S::Future: 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Local<Result<(), Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, (request, framed): (Request, Framed)) -> Self::Future {
        let (app, limit) = (self.slot.borrow().clone(), self.limit);
        Box::pin(async move {
            let Some(app) = app else { return Err(ErrorInternalServerError("the app is not built")) };
            let response: Response<BoxBody> = match Box::pin(app.call(request)).await {
                Ok(response) => response.into(),
                Err(error) => error.into(),
            };
            // A client that goes away before it has its answer is nothing to report.
            let answered = Box::pin(tokio::time::timeout(limit, answer(framed, response))).await;
            if let Ok(Ok(Some(serving))) = answered {
                serving.await;
            }
            Ok(())
        })
    }
}

/// Sends the response. Returns what serves the connection from then on.
async fn answer(mut framed: Framed, mut response: Response<BoxBody>) -> io::Result<Option<Local<()>>> {
    let taker = response.extensions_mut().remove::<HandOver>();
    let Some(HandOver(serve)) = taker.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) else {
        return refuse(framed, response).await.map(|()| None);
    };
    Pin::new(&mut framed).write(Head::Item((response.drop_body(), BodySize::None)))?;
    poll_fn(|cx| Pin::new(&mut framed).flush::<Head>(cx)).await?;
    let parts = framed.into_parts();
    // A copy is as long as what was read, or empty, and the buffer is given back.
    Ok(Some(serve(Upgraded { io: parts.io, read: BytesMut::from(&*parts.read_buf) })))
}

/// Sends a response that upgrades nothing, and closes the connection: what follows on it is of no known protocol.
async fn refuse(mut framed: Framed, response: Response<BoxBody>) -> io::Result<()> {
    let (head, mut body) = response.into_parts();
    Pin::new(&mut framed).write(Head::Item((head, body.size())))?;
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
        let chunk = chunk.map_err(|error| io::Error::other(error.to_string()))?;
        Pin::new(&mut framed).write(Head::Chunk(Some(chunk)))?;
        poll_fn(|cx| Pin::new(&mut framed).flush::<Head>(cx)).await?;
    }
    Pin::new(&mut framed).write(Head::Chunk(None))?;
    poll_fn(|cx| Pin::new(&mut framed).close::<Head>(cx)).await
}
