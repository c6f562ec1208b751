//! The frames of clients that are the messenger's own: sending, reading, typing. They take effect by the same rules as the
//! routes, and fail with the same errors.

use std::{sync::Arc, time::Duration};

use groundwork_auth::Caller;
use groundwork_core::{Db, Error, FieldErrors, Result, Text, Uuid, Validate};
use groundwork_realtime::{
    Commands, Realtime, asyncapi::Contract, bus::Bus, command::LocalFuture, crud::LiveResource,
};
use groundwork_web::{Idempotent, http::bearer::Authenticator, http::extract};
use messenger_domain::{
    MessengerFeed,
    live::LiveEvent,
    messages::{Message, NewText, ReceiptKind, types::MessageText},
    scopes::MessagesWrite,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::{
    resources,
    routes::threads::send_once,
    settings::{Secret, Settings},
    state::State,
};

/// How long a user counts as typing after each `typing` frame.
const TYPING: Duration = Duration::from_secs(6);

/// The client's id of a frame. For a message it is the idempotency key.
pub type ClientId = Text<1, 255>;

/// Sends a message into a thread. Sent again with the same `client_id` it has no further effect, and gets the same `ack`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_id": "b1c7", "text": "Hello, Charles!"}))]
pub struct SendFrame {
    /// Your id of the message: 1 to 255 printable ASCII characters. The same key as `Idempotency-Key`.
    pub client_id: ClientId,
    /// The thread.
    pub thread_id: Uuid,
    /// The text.
    pub text: MessageText,
}

/// Moves your read or delivered position in a thread forward to `seq`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_id": "b1c8"}))]
pub struct PositionFrame {
    /// Your id of the frame. With it, the frame gets an `ack`.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// The thread.
    pub thread_id: Uuid,
    /// The `seq` of the last message that you have read, or that was delivered to you; the last one of the thread if absent.
    #[serde(default)]
    #[schema(minimum = 0, example = 7)]
    pub seq: Option<i64>,
}

/// Shows the others in a thread that you are typing, for six seconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TypingFrame {
    /// The thread.
    pub thread_id: Uuid,
}

/// A frame of the client that the messenger takes, beside those of every service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type")]
pub enum MessengerFrame {
    /// Sends a message into a thread. Sent again with the same `client_id` it has no further effect, and gets the same
    /// `ack`. The same rules as for `POST /threads/{id}/messages`.
    #[serde(rename = "message.send")]
    Send(SendFrame),
    /// Moves your read position in a thread forward to `seq`.
    #[serde(rename = "read")]
    Read(PositionFrame),
    /// Moves your delivered position in a thread forward to `seq`. Send it for messages that you received.
    #[serde(rename = "delivered")]
    Delivered(PositionFrame),
    /// Shows the others in a thread that you are typing, for six seconds.
    #[serde(rename = "typing")]
    Typing(TypingFrame),
}

impl MessengerFrame {
    /// The types.
    const TYPES: [&str; 4] = ["message.send", "read", "delivered", "typing"];

    fn read(kind: &str, members: &Json) -> Result<Self> {
        Ok(match kind {
            "message.send" => Self::Send(extract::checked(members)?),
            "read" => Self::Read(extract::checked(members)?),
            "delivered" => Self::Delivered(extract::checked(members)?),
            _ => Self::Typing(extract::checked(members)?),
        })
    }
}

/// A position that was set.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Advanced {
    /// The thread.
    pub thread_id: Uuid,
    /// The `seq` of the frame, or null for the last message of the thread.
    #[schema(example = 7)]
    pub seq: Option<i64>,
}

/// What the messenger adds to `ready`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Greeting {
    /// How many messages of others you have not read.
    #[schema(example = 3)]
    pub unread_total: i64,
}

/// The frames of the messenger.
pub fn contract() -> Contract {
    Contract::new()
        .greeting::<Greeting>()
        .events::<LiveEvent>(|kind| if kind.starts_with("user.") { "user" } else { "thread" })
        .hint("typing", "thread", "Somebody is typing in a thread. It ends by itself, with `active` false.")
        .commands::<MessengerFrame>()
        .result::<Message>()
        .result::<Advanced>()
}

macro_rules! no_rules {
    ($($frame:ty),*) => {
        $(impl Validate for $frame {
            fn validate(&self, _: &mut FieldErrors) {}
        })*
    };
}
no_rules!(SendFrame, PositionFrame, TypingFrame);

/// Creates live delivery of the events of the messenger and of the resources beside it.
pub(crate) fn realtime(
    settings: &Settings,
    secret: &Secret,
    db: &Db,
    authenticator: Authenticator,
    state: Arc<State>,
) -> Result<Realtime> {
    let live = &settings.service.realtime;
    let mut feeds = LiveResource::feeds(&resources::live())?;
    feeds.push(Arc::new(MessengerFeed::new(state.auth.groups().clone())));
    let commands = Arc::new(MessengerCommands(state));
    let bus = Bus::of(live, settings.service().name, secret);
    Ok(Realtime::new(db.clone(), authenticator, bus, feeds, Some(commands), live.into()))
}

/// Handles the messenger's frames.
#[derive(Debug)]
struct MessengerCommands(Arc<State>);

impl Commands for MessengerCommands {
    fn types(&self) -> &'static [&'static str] {
        &MessengerFrame::TYPES
    }

    fn handle<'a>(
        &'a self,
        realtime: &'a Realtime,
        caller: &'a Caller,
        kind: &'a str,
        members: Map<String, Json>,
    ) -> LocalFuture<'a, Result<Json>> {
        Box::pin(async move {
            caller.require::<MessagesWrite>()?;
            match MessengerFrame::read(kind, &Json::Object(members))? {
                MessengerFrame::Send(frame) => self.send(caller, frame).await,
                MessengerFrame::Read(frame) => self.advance(caller, ReceiptKind::Read, frame).await,
                MessengerFrame::Delivered(frame) => self.advance(caller, ReceiptKind::Delivered, frame).await,
                MessengerFrame::Typing(frame) => typing(realtime, caller, frame),
            }
        })
    }
}

impl MessengerCommands {
    async fn send(&self, caller: &Caller, frame: SendFrame) -> Result<Json> {
        let SendFrame { client_id, thread_id, text } = frame;
        let once = Idempotent::with_key("client_id", caller.user_id, &client_id, &[])?;
        let sent = send_once(caller, &self.0, thread_id, NewText { text }, once).await;
        let reply = sent.map_err(|problem| problem.0)?;
        serde_json::to_value(reply.answer.0).map_err(Error::internal)
    }

    async fn advance(&self, caller: &Caller, kind: ReceiptKind, frame: PositionFrame) -> Result<Json> {
        let PositionFrame { thread_id, seq, .. } = frame;
        let app = &self.0;
        let _turn = app.turn(thread_id).await?;
        app.db.write(async |tx| app.messages.advance_thread(tx, caller, thread_id, kind, seq).await).await?;
        serde_json::to_value(Advanced { thread_id, seq }).map_err(Error::internal)
    }
}

fn typing(realtime: &Realtime, caller: &Caller, frame: TypingFrame) -> Result<Json> {
    if !realtime.follows(caller.user_id, frame.thread_id) {
        return Err(Error::not_found("thread"));
    }
    realtime.hint("typing", ("thread", frame.thread_id), caller.user_id, TYPING);
    Ok(Json::Null)
}
