//! Input and output types for messages.

use groundwork_core::{FieldErrors, Text, Timestamp, Uuid, Validate};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entity;
use crate::threads::{Participant, entity::History};

/// The text of a message. It is kept exactly.
pub type MessageText = Text<1, 4096>;

/// The text of a message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Hello, Charles!"}))]
pub struct NewText {
    /// The text: 1 to 4096 characters, not blank. It is stored unchanged.
    pub text: MessageText,
}

impl Validate for NewText {
    fn validate(&self, errors: &mut FieldErrors) {
        self.text.check("text", errors);
    }
}

/// A direct message, to a user named by id or by username.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"receiver_username": "charles", "text": "Hello, Charles!"}))]
pub struct NewDirectMessage {
    /// The text: 1 to 4096 characters, not blank. It is stored unchanged.
    pub text: MessageText,
    /// The id of the receiver. Either this or `receiver_username` is required.
    #[serde(default)]
    pub receiver_id: Option<Uuid>,
    /// The username of the receiver.
    #[serde(default)]
    #[schema(max_length = 50)]
    pub receiver_username: Option<String>,
}

impl Validate for NewDirectMessage {
    fn validate(&self, errors: &mut FieldErrors) {
        self.text.check("text", errors);
        match (&self.receiver_id, &self.receiver_username) {
            (None, None) => {
                errors.add("receiver_id", "missing", "is required unless receiver_username is given");
            }
            (Some(_), Some(_)) => {
                errors.add("receiver_username", "not_allowed", "can't be combined with receiver_id");
            }
            _ => {}
        }
    }
}

/// A position to move to.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPosition {
    /// The `seq` of the last message that was read or delivered; the end of the thread by default.
    #[serde(default)]
    #[schema(example = 2, minimum = 0)]
    pub seq: Option<i64>,
}

impl Validate for NewPosition {
    fn validate(&self, _: &mut FieldErrors) {}
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// The id.
    pub id: Uuid,
    /// The thread.
    pub thread_id: Uuid,
    /// The position in the thread, from 1, without gaps.
    #[schema(example = 7)]
    pub seq: i64,
    /// The version of the thread at its last change.
    #[schema(example = 9)]
    pub version: i64,
    /// The sender.
    pub sender_id: Uuid,
    /// The receiver in a direct thread; null in a group.
    pub receiver_id: Option<Uuid>,
    /// The text.
    #[schema(example = "Hello, Charles!")]
    pub text: String,
    /// Whether somebody other than the sender has read it.
    pub is_read: bool,
    /// When somebody other than the sender first received it.
    pub delivered_at: Option<Timestamp>,
    /// When somebody other than the sender first read it.
    pub read_at: Option<Timestamp>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it was last changed, first delivered or first read, whichever is latest.
    pub updated_at: Timestamp,
}

/// A row of `messages` with the times of its first receipts.
#[derive(Debug, FromQueryResult)]
pub(super) struct MessageRow {
    #[sea_orm(nested)]
    pub message: entity::Model,
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
}

impl MessageRow {
    /// A new message, which nobody has received.
    pub fn new(message: entity::Model) -> Self {
        Self { message, delivered_at: None, read_at: None }
    }
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        let MessageRow { message, delivered_at, read_at } = row;
        Self {
            id: message.id,
            thread_id: message.thread_id,
            seq: message.seq,
            version: message.version,
            sender_id: message.sender_id,
            receiver_id: message.receiver_id,
            text: message.text,
            is_read: read_at.is_some(),
            delivered_at,
            read_at,
            edited_at: message.edited_at,
            created_at: message.created_at,
            updated_at: [delivered_at, read_at].into_iter().flatten().fold(message.updated_at, Ord::max),
        }
    }
}

/// The author of messages in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// The user.
    pub id: Uuid,
    /// Their name.
    #[schema(example = "ada")]
    pub username: String,
}

/// A page of messages, with their authors.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageList {
    /// The messages.
    pub items: Vec<Message>,
    /// The authors of the messages.
    pub authors: Vec<Author>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
    /// The cursor of the previous page; null on the first page.
    pub prev_cursor: Option<String>,
}

/// A message, a participant or the thread's own fields that changed, as they are now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// A message was sent, edited or deleted.
    Message {
        /// The id of the message.
        id: Uuid,
        /// The position in the thread.
        #[schema(example = 7)]
        seq: i64,
        /// The version of the thread after the change.
        #[schema(example = 9)]
        version: i64,
        /// When it was deleted, or null.
        deleted_at: Option<Timestamp>,
        /// The message; null if it is deleted.
        message: Option<Message>,
    },
    /// The thread was created, or its name or its history setting changed.
    Thread {
        /// The version of the thread after the change.
        #[schema(example = 9)]
        version: i64,
        /// The name of a group.
        #[schema(example = "Engines")]
        name: Option<String>,
        /// Which earlier messages new participants see.
        history: History,
    },
    /// A participant joined, left or got another role.
    Participant {
        /// The version of the thread after the change.
        #[schema(example = 9)]
        version: i64,
        /// The user.
        user_id: Uuid,
        /// When they left, or null.
        left_at: Option<Timestamp>,
        /// The participant; null if they left.
        participant: Option<Participant>,
    },
}

impl Change {
    /// The version of the thread after the change.
    pub fn version(&self) -> i64 {
        match self {
            Self::Message { version, .. }
            | Self::Thread { version, .. }
            | Self::Participant { version, .. } => *version,
        }
    }
}

/// The changes of a thread since a version, in the order of the last change of each item.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Changes {
    /// The changes. All changes of a version are on one page, so there may be more than `limit`.
    pub items: Vec<Change>,
    /// The `since` of the next call. The thread's version if `has_more` is false.
    #[schema(example = 9)]
    pub version: i64,
    /// Whether there are more changes now.
    pub has_more: bool,
}

/// When a participant received and read a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Receipt {
    /// The participant.
    pub user_id: Uuid,
    /// Their name.
    #[schema(example = "charles")]
    pub username: String,
    /// When they received it.
    pub delivered_at: Timestamp,
    /// When they read it, or null.
    pub read_at: Option<Timestamp>,
}
