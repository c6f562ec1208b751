//! A client of Server-Sent Events of a server under test.
//!
//! ```no_run
//! # async fn example(ada: groundwork_testkit::Client) {
//! let mut stream = ada.stream("/api/v1/events", None).await;
//! assert_eq!(stream.next().await["type"], "ready");
//! assert!(!stream.id().is_empty());
//! # }
//! ```

use reqwest::{Method, Response};
use serde_json::Value;

use crate::{Client, socket::patiently};

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    text: String,
    id: String,
}

impl Client {
    /// Opens a stream of Server-Sent Events, and resumes after the event with that id.
    pub async fn stream(&self, path: &str, last_event_id: Option<&str>) -> EventStream {
        let mut request = self.request(Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = patiently("a response", request.send()).await;
        let response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(response.status(), 200, "{path}");
        EventStream { response, text: String::new(), id: String::new() }
    }
}

impl EventStream {
    /// Waits for the next event, and returns its data. Panics if the server ends the stream instead.
    pub async fn next(&mut self) -> Value {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some(id) = field("id: ") {
                    id.clone_into(&mut self.id);
                }
                // A comment has no data.
                let data = field("data: ").map(|data| {
                    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {event}"))
                });
                if let Some(data) = data {
                    return data;
                }
            }
            let part = patiently("an event", self.response.chunk()).await.expect("an open stream");
            self.text.push_str(&String::from_utf8_lossy(&part.expect("a stream that goes on")));
        }
    }

    /// Waits for the next event of the log, and skips what has no id of its own.
    pub async fn event(&mut self) -> Value {
        loop {
            let event = self.next().await;
            if event["id"].is_string() {
                return event;
            }
        }
    }

    /// Returns the last id.
    pub fn id(&self) -> &str {
        &self.id
    }
}
