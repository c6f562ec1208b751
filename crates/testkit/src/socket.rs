//! A WebSocket client of a server under test.
//!
//! ```no_run
//! # async fn example(ada: groundwork_testkit::Client) {
//! use serde_json::json;
//!
//! let mut socket = ada.socket("/api/v1/ws").await;
//! socket.next("ready").await;
//! socket.send(&json!({"type": "ping"})).await;
//! assert_eq!(socket.frame().await["type"], "pong");
//! # }
//! ```

use std::{future::Future, sync::Arc, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::AUTHORIZATION},
    },
};

use crate::{Client, frames::Frames};

/// How long to wait for a frame. What is promised comes much sooner, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open WebSocket. It answers pings while it waits for a frame.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    cursor: Option<String>,
    /// What the server declares. Each frame is checked against it.
    frames: Option<Arc<Frames>>,
}

impl Client {
    /// Opens a WebSocket with the client's access token in the `Authorization` header, if it has one.
    pub async fn socket(&self, path: &str) -> Socket {
        let opened = self.try_socket(path).await;
        opened.unwrap_or_else(|error| panic!("{path}: the WebSocket was refused: {error}"))
    }

    /// As [`socket`](Self::socket), for a handshake that may be refused. The status and the body of the response are in
    /// `Error::Http`.
    pub async fn try_socket(&self, path: &str) -> Result<Socket, Error> {
        let url = format!("{}{path}", self.base().replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header value");
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let (stream, _) = patiently("the handshake", connect_async(request)).await?;
        Ok(Socket { stream, cursor: None, frames: Frames::of(self.base()).await })
    }
}

impl Socket {
    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.send_message(Message::text(frame.to_string())).await;
    }

    /// Sends any WebSocket message, such as text that is not JSON.
    pub async fn send_message(&mut self, message: Message) {
        let sent = patiently("sending", self.stream.send(message)).await;
        sent.expect("an open connection");
    }

    /// Waits for the next frame. Panics if the server closes the connection instead.
    pub async fn frame(&mut self) -> Value {
        let frame = self.frame_or_close().await;
        frame.unwrap_or_else(|(code, reason)| panic!("closed with {code} {reason} instead of a frame"))
    }

    /// Waits for the next frame of that type, and skips the others.
    pub async fn next(&mut self, kind: &str) -> Value {
        let mut skipped = Vec::new();
        let wanted = async {
            loop {
                match self.read().await {
                    Ok(frame) if frame["type"] == kind => return Ok(frame),
                    Ok(frame) => skipped.push(frame),
                    Err(close) => return Err(close),
                }
            }
        };
        match timeout(PATIENCE, wanted).await {
            Ok(Ok(frame)) => frame,
            Ok(Err((code, reason))) => {
                panic!("closed with {code} {reason} instead of a frame {kind}, after {skipped:#?}")
            }
            Err(tokio::time::error::Elapsed { .. }) => {
                panic!("no frame {kind} came in {PATIENCE:?}, only {skipped:#?}")
            }
        }
    }

    /// Waits for the next frame that is an event of the log, and skips the others.
    pub async fn event(&mut self) -> Value {
        let event = async {
            loop {
                match self.read().await {
                    Ok(frame) if frame["id"].is_string() => return frame,
                    Ok(_) => {}
                    Err((code, reason)) => panic!("closed with {code} {reason} instead of an event"),
                }
            }
        };
        patiently("an event", event).await
    }

    /// Waits until the server closes the connection. Returns the code and the reason; 1006 if there was no close frame.
    pub async fn closed(&mut self) -> (u16, String) {
        let close = async {
            loop {
                if let Err(close) = self.read().await {
                    return close;
                }
            }
        };
        patiently("the end of the connection", close).await
    }

    /// Closes the connection, and waits until the server has closed it as well.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        self.closed().await;
    }

    /// Returns the last cursor: of the last event, or else of `ready`.
    pub fn cursor(&self) -> &str {
        self.cursor.as_deref().expect("a frame with a cursor before")
    }

    /// Waits for the next frame, or for the end of the connection: its close code and reason.
    pub async fn frame_or_close(&mut self) -> Result<Value, (u16, String)> {
        patiently("a frame", self.read()).await
    }

    /// Reads the next frame, however long it takes. The server's pings are not frames.
    async fn read(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let text = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err((close.code.into(), close.reason.to_string()));
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err((1006, String::new())),
                Some(Ok(_)) => continue,
            };
            let frame: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            if let Some(frames) = &self.frames {
                frames.check(&frame);
            }
            for cursor in [&frame["id"], &frame["data"]["cursor"]] {
                if let Some(cursor) = cursor.as_str() {
                    self.cursor = Some(cursor.to_owned());
                    break;
                }
            }
            return Ok(frame);
        }
    }
}

/// Waits for what is promised, and panics if it does not come.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come in {PATIENCE:?}"))
}
