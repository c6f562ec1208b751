//! The rules for messages.

use groundwork_auth::Caller;
use groundwork_core::{
    CursorRequest, Error, ListQuery, Page, PageRequest, Repository, Result, Tx, Uuid, Validate,
    error::codes,
    events::{self, NewEvent},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait};
use serde::{Deserialize, Serialize};

use super::{
    changes,
    entity::{ActiveModel, Entity},
    positions,
    receipt::ReceiptKind,
    repository::MessageRepository,
    send,
    thread_list::{Direction, ThreadQuery},
    types::{Changes, Message, MessageList, MessageRow, NewDirectMessage, NewText, Receipt},
};
use crate::{
    codes::ALREADY_READ,
    events::{self as subject, MESSAGE_DELETED, MESSAGE_UPDATED},
    scopes::MessagesAdmin,
    threads::{ThreadRepository, Threads, participant},
    users::UserRepository,
};

/// When a sender may delete a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletePolicy {
    /// Until somebody else has read it.
    #[default]
    Unread,
    /// At any time.
    Always,
}

/// The rules for messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages {
    delete_policy: DeletePolicy,
    repository: MessageRepository,
    threads: Threads,
    users: UserRepository,
}

impl Messages {
    /// Creates the rules with that policy.
    pub fn new(delete_policy: DeletePolicy) -> Self {
        Self { delete_policy, ..Self::default() }
    }

    /// Sends a message into a thread. `client_id` is the sender's own id for it, by which their client recognizes the
    /// event of the message.
    ///
    /// # Errors
    /// `invalid`, `not_found`, and `user_inactive` if the other user of a direct thread is deactivated or deleted.
    pub async fn send(
        &self,
        tx: &Tx,
        caller: &Caller,
        thread: Uuid,
        new: NewText,
        client_id: Option<&str>,
    ) -> Result<Message> {
        new.check()?;
        let sent = send::send(tx, caller.user_id, thread, new.text.into(), client_id).await?;
        Ok(MessageRow::new(sent).into())
    }

    /// Sends a direct message; the first one creates the thread. `client_id` is that of [`send`](Self::send).
    ///
    /// # Errors
    /// `invalid`, `user_not_found`, and `user_inactive` for a receiver who is deactivated or deleted.
    pub async fn send_direct(
        &self,
        tx: &Tx,
        caller: &Caller,
        new: NewDirectMessage,
        client_id: Option<&str>,
    ) -> Result<Message> {
        new.check()?;
        let receiver = match (new.receiver_id, &new.receiver_username) {
            (Some(id), _) => self.users.active_by_id(tx, id, "receiver_id").await?,
            (None, name) => {
                let name = name.as_deref().unwrap_or_default();
                self.users.active_by_name(tx, name, "receiver_username").await?
            }
        };
        let (thread, _) = self.threads.direct(tx, caller, receiver.id).await?;
        self.send(tx, caller, thread.id, NewText { text: new.text }, client_id).await
    }

    /// Returns the thread that a direct message goes into, if it exists already.
    ///
    /// # Errors
    /// `invalid`
    pub async fn direct_thread<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        new: &NewDirectMessage,
    ) -> Result<Option<Uuid>> {
        new.check()?;
        let receiver = match (new.receiver_id, &new.receiver_username) {
            (Some(id), _) => Some(id),
            (None, Some(name)) => self.users.find_by_name(conn, name).await?.map(|user| user.id),
            (None, None) => None,
        };
        let Some(receiver) = receiver else { return Ok(None) };
        self.threads.find_direct(conn, caller.user_id, receiver).await
    }

    /// Returns a page of the messages of a thread.
    ///
    /// # Errors
    /// `not_found`, and `invalid` for a cursor of another list.
    pub async fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        thread: Uuid,
        wanted: &ThreadQuery,
        request: &CursorRequest,
    ) -> Result<MessageList> {
        let page = self.repository.list_of_thread(conn, caller.user_id, thread, wanted, request).await?;
        if page.items.is_empty() {
            // Nothing is listed to who is not in the thread either.
            self.threads.require_in(conn, caller.user_id, thread).await?;
        }
        Ok(page.into())
    }

    /// Returns the direct messages that a user sent or received since `oldest`, newest first.
    ///
    /// # Errors
    /// `not_found`, and `missing_scope` for another user than the caller without the scope `messages:admin`.
    pub async fn list_direct<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        user: Option<&str>,
        oldest: groundwork_core::Timestamp,
        request: &CursorRequest,
    ) -> Result<MessageList> {
        let user = match user {
            None => caller.user_id,
            Some(text) => {
                let found = self.users.find_by_id_or_name(conn, text).await?;
                let id = found.map(|user| user.id);
                if id != Some(caller.user_id) {
                    caller.require::<MessagesAdmin>()?;
                }
                id.ok_or_else(|| Error::not_found("user"))?
            }
        };
        Ok(self.repository.list_direct(conn, user, oldest, request).await?.into())
    }

    /// Returns a page of the direct messages that the caller received.
    pub async fn inbox<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        unread_only: Option<bool>,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        self.repository.inbox(conn, caller.user_id, unread_only, query, page).await
    }

    /// Returns a page of the messages that the caller sent.
    pub async fn outbox<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        self.repository.outbox(conn, caller.user_id, query, page).await
    }

    /// Returns a message of a thread that the caller is in, or one that the caller sent. The sender can read it after
    /// leaving the thread as well, until the thread is deleted.
    ///
    /// # Errors
    /// `not_found`
    pub async fn get<C: ConnectionTrait>(&self, conn: &C, caller: &Caller, id: Uuid) -> Result<Message> {
        if let Some(message) = self.repository.get_seen(conn, caller.user_id, id).await? {
            return Ok(message);
        }
        let sent = self.repository.get_sent(conn, caller.user_id, id).await?;
        sent.ok_or_else(|| Error::not_found("message"))
    }

    /// Returns the thread of a message, also of one that the caller may not see. For the order of work only.
    pub async fn thread_of<C: ConnectionTrait>(&self, conn: &C, id: Uuid) -> Result<Option<Uuid>> {
        self.repository.thread_of(conn, id).await
    }

    /// Returns a message of a thread that the caller is in.
    async fn get_seen<C: ConnectionTrait>(&self, conn: &C, caller: &Caller, id: Uuid) -> Result<Message> {
        let found = self.repository.get_seen(conn, caller.user_id, id).await?;
        found.ok_or_else(|| Error::not_found("message"))
    }

    /// Returns a message with up to `before` messages before it and `after` after it, and cursors that continue
    /// in the list of its thread in both directions.
    ///
    /// # Errors
    /// `not_found` if the caller is not in the thread or can't see the message.
    pub async fn context<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        id: Uuid,
        counts: (u64, u64),
        direction: Direction,
    ) -> Result<MessageList> {
        let found = self.repository.get_listed(conn, caller.user_id, id).await?;
        let found = found.ok_or_else(|| Error::not_found("message"))?;
        Ok(self.repository.context(conn, caller.user_id, found, counts, direction).await?.into())
    }

    /// Replaces the text of a message that the caller sent.
    ///
    /// # Errors
    /// `invalid`, `not_found`, and `forbidden` for a message of somebody else.
    pub async fn edit(&self, tx: &Tx, caller: &Caller, id: Uuid, new: NewText) -> Result<Message> {
        new.check()?;
        let version = self.lock_thread_of(tx, id).await?;
        let message = self.get_seen(tx, caller, id).await?;
        if message.sender_id != caller.user_id {
            return Err(codes::FORBIDDEN.error("only the sender can edit a message"));
        }
        let row = ActiveModel {
            id: Set(id),
            text: Set(new.text.into()),
            version: Set(version),
            edited_at: Set(Some(tx.now())),
            ..ActiveModel::default()
        };
        self.repository.write(tx, row).await?;
        self.note(tx, caller, MESSAGE_UPDATED, &message, version).await?;
        self.get_seen(tx, caller, id).await
    }

    /// Deletes a message. A tombstone without its text remains. The sender can delete it until somebody else has read
    /// it, or at any time with [`DeletePolicy::Always`]. Owners and admins of the thread, and callers with the scope
    /// `messages:admin`, can delete any message.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `already_read`.
    pub async fn delete(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        let version = self.lock_thread_of(tx, id).await?;
        let message = if caller.has::<MessagesAdmin>() {
            self.repository.get_any(tx, id).await?.ok_or_else(|| Error::not_found("message"))?
        } else {
            let message = self.get_seen(tx, caller, id).await?;
            let mine = ThreadRepository.participant(tx, message.thread_id, caller.user_id).await?;
            self.require_deletable(caller, &message, &mine)?;
            message
        };
        let row = ActiveModel {
            id: Set(id),
            text: Set(String::new()),
            version: Set(version),
            deleted_at: Set(Some(tx.now())),
            ..ActiveModel::default()
        };
        self.repository.write(tx, row).await?;
        self.note(tx, caller, MESSAGE_DELETED, &message, version).await
    }

    fn require_deletable(self, caller: &Caller, message: &Message, mine: &participant::Model) -> Result<()> {
        if mine.role.is_admin() {
            return Ok(());
        }
        if message.sender_id != caller.user_id {
            return Err(codes::FORBIDDEN
                .error("only the sender, or an owner or admin of the thread, can delete a message"));
        }
        if message.is_read && self.delete_policy != DeletePolicy::Always {
            return Err(ALREADY_READ.error("somebody has read the message"));
        }
        Ok(())
    }

    /// Moves the caller's read or delivered position forward to a message of somebody else.
    ///
    /// # Errors
    /// `not_found`, also for a message of their own.
    pub async fn advance(&self, tx: &Tx, caller: &Caller, id: Uuid, kind: ReceiptKind) -> Result<Message> {
        let message = self.get_seen(tx, caller, id).await?;
        if message.sender_id == caller.user_id {
            return Err(Error::not_found("message"));
        }
        positions::advance(tx, caller.user_id, message.thread_id, kind, Some(message.seq)).await?;
        self.get_seen(tx, caller, id).await
    }

    /// Moves the caller's read or delivered position in a thread to `seq`, or to its end.
    ///
    /// # Errors
    /// `not_found`, and `invalid` for a `seq` beyond the end.
    pub async fn advance_thread(
        &self,
        tx: &Tx,
        caller: &Caller,
        thread: Uuid,
        kind: ReceiptKind,
        seq: Option<i64>,
    ) -> Result<()> {
        positions::advance(tx, caller.user_id, thread, kind, seq).await
    }

    /// Returns a page of the participants who received a message.
    ///
    /// # Errors
    /// `not_found`
    pub async fn receipts<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        id: Uuid,
        page: PageRequest,
    ) -> Result<Page<Receipt>> {
        let message = self.get_seen(conn, caller, id).await?;
        self.repository.receipts(conn, &message, page).await
    }

    /// Returns what changed in a thread after version `since`: about `limit` changes, but always all changes
    /// of a version.
    ///
    /// # Errors
    /// `not_found`; `version_ahead` for a version that the thread has not reached.
    pub async fn changes<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        thread: Uuid,
        since: i64,
        limit: u64,
    ) -> Result<Changes> {
        changes::changes(conn, caller.user_id, thread, since, limit).await
    }

    /// Locks the thread of a message, and returns its next version. The caller's rights are checked after this, so that
    /// they cannot change in between. If they are missing, the transaction is rolled back.
    async fn lock_thread_of(&self, tx: &Tx, message: Uuid) -> Result<i64> {
        let found = self.repository.get(tx, message).await?.ok_or_else(|| Error::not_found("message"))?;
        let locked = ThreadRepository.next_version(tx, found.thread_id).await;
        Ok(locked.map_err(|_| Error::not_found("message"))?.version)
    }

    async fn note(
        &self,
        tx: &Tx,
        caller: &Caller,
        kind: &'static str,
        message: &Message,
        version: i64,
    ) -> Result<()> {
        let event =
            NewEvent::new(kind, subject::thread(message.thread_id)).at_version(version).by(caller.user_id);
        events::append(tx, event.with(send::payload(message.seq, None))).await
    }
}
