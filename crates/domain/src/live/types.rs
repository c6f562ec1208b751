//! What clients see of the messenger's events.

use groundwork_core::{Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    messages::{Author, Message, ReceiptKind},
    threads::{self, History, Participant, ThreadType},
    users::Profile,
};

/// An event: its `type`, and its `data` as it is now. All but the data about single users is the same for everybody who gets
/// the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum LiveEvent {
    /// A message was sent.
    #[serde(rename = "message.created")]
    MessageCreated(LiveMessage),
    /// A message was edited.
    #[serde(rename = "message.updated")]
    MessageUpdated(LiveMessage),
    /// A message was deleted.
    #[serde(rename = "message.deleted")]
    MessageDeleted(DeletedMessage),
    /// Participants received or read messages.
    #[serde(rename = "receipt.updated")]
    ReceiptUpdated(LiveReceipts),
    /// A thread was created.
    #[serde(rename = "thread.created")]
    ThreadCreated(LiveThread),
    /// The name or the history setting of a thread changed.
    #[serde(rename = "thread.updated")]
    ThreadUpdated(LiveThread),
    /// A thread was deleted.
    #[serde(rename = "thread.deleted")]
    ThreadDeleted(DeletedThread),
    /// A user was added to a thread.
    #[serde(rename = "participant.added")]
    ParticipantAdded(LiveParticipant),
    /// The role of a participant changed.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated(LiveParticipant),
    /// A participant left a thread, or was removed from it. For them it is the last event of the thread.
    #[serde(rename = "participant.removed")]
    ParticipantRemoved(RemovedParticipant),
    /// Your own profile changed.
    #[serde(rename = "user.updated")]
    UserUpdated(Profile),
}

/// A message, or what is left of one that was deleted meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LiveMessage {
    /// The message.
    Message(SentMessage),
    /// What is left of a message that was deleted meanwhile.
    Deleted(DeletedMessage),
}

/// A message with its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentMessage {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// Who sent it.
    pub author: Author,
    /// The sender's own id for it: the `client_id` of the frame that sent it, or the `Idempotency-Key` of the request. Null
    /// if it had none, and in `message.updated`.
    #[schema(example = "b1c7")]
    pub client_id: Option<String>,
}

/// What is left of a deleted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedMessage {
    /// The id of the message.
    pub id: Uuid,
    /// Its position in the thread.
    #[schema(example = 7)]
    pub seq: i64,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// Receipts that arrived at about the same time: of each user and kind the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveReceipts {
    /// The receipts.
    pub receipts: Vec<LiveReceipt>,
    /// How many you have left, if it is your own receipt.
    #[serde(flatten)]
    pub unread: Unread,
}

/// A participant received or read the messages up to `seq`. Positions only move forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveReceipt {
    /// The participant.
    pub user_id: Uuid,
    /// Received or read. A message that is read has been delivered as well.
    pub kind: ReceiptKind,
    /// The `seq` of the last message that was received or read.
    #[schema(example = 7)]
    pub seq: i64,
    /// When the position moved.
    pub at: Timestamp,
}

/// How many messages of others you have not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unread {
    /// In this thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub unread_count: Option<i64>,
    /// In all of your threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub unread_total: Option<i64>,
}

/// A thread, with how much of it you have not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveThread {
    /// The thread.
    #[serde(flatten)]
    pub thread: ThreadInfo,
    /// What you have not read.
    #[serde(flatten)]
    pub unread: Unread,
}

/// What all participants of a thread see of it alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ThreadInfo {
    /// The id.
    pub id: Uuid,
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ThreadType,
    /// The name of a group.
    #[schema(example = "Engines")]
    pub name: Option<String>,
    /// The user who created the thread.
    pub creator_id: Uuid,
    /// Which earlier messages new participants see.
    pub history: History,
    /// The number of participants.
    #[schema(example = 2)]
    pub participant_count: i32,
    /// The first 50 participants, in the order of their ids.
    pub participants: Vec<Participant>,
    /// The `seq` of the last message; 0 for none.
    #[schema(example = 8)]
    pub last_seq: i64,
    /// The number of changes so far.
    #[schema(example = 9)]
    pub version: i64,
    /// When the thread was created.
    pub created_at: Timestamp,
    /// When the thread was last changed.
    pub updated_at: Timestamp,
    /// When the last message was sent, or the thread was created.
    pub last_activity_at: Timestamp,
}

impl ThreadInfo {
    pub(super) fn new(thread: threads::entity::Model, participants: Vec<Participant>) -> Self {
        Self {
            id: thread.id,
            kind: thread.kind,
            name: thread.name,
            creator_id: thread.creator_id,
            history: thread.history,
            participant_count: thread.participant_count,
            participants,
            last_seq: thread.last_seq,
            version: thread.version,
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            last_activity_at: thread.last_activity_at,
        }
    }
}

/// A thread that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedThread {
    /// The id of the thread.
    pub id: Uuid,
    /// How many messages of others you have not read in your other threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub unread_total: Option<i64>,
}

/// A participant. If you were added yourself, the thread comes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveParticipant {
    /// The participant.
    #[serde(flatten)]
    pub participant: Participant,
    /// The thread, if you are the one who was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub thread: Option<ThreadInfo>,
    /// What you have not read, if you are the one who was added.
    #[serde(flatten)]
    pub unread: Unread,
}

/// A user who is no longer in the thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedParticipant {
    /// The id of the user.
    pub id: Uuid,
    /// How many messages of others you have not read in your other threads, if it is you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub unread_total: Option<i64>,
}
