//! `/threads`: threads, their participants, and the messages in them.

use actix_web::web::Data;
use groundwork_auth::Caller;
use groundwork_core::{Code, CursorPage, CursorRequest, Page, PageRequest, Uuid, error::codes};
use groundwork_web::{
    Body, Created, CursorList, IdPath, Idempotent, Json, NoContent, Path, Problem, Query, Reply, Routes,
    Scoped, http::respond::CreatedOrFound,
};
use messenger_domain::{
    codes::{
        ALREADY_PARTICIPANT, DIRECT_THREAD, LAST_OWNER, NOT_A_PARTICIPANT, THREAD_FULL, USER_INACTIVE,
        USER_NOT_FOUND, VERSION_AHEAD,
    },
    demo,
    messages::{
        Changes, Direction, Message, MessageList, NewPosition, NewText, ReceiptKind, ThreadQuery,
        entity as message, queue::Claim,
    },
    scopes::{MessagesRead, MessagesWrite, ThreadsRead, ThreadsWrite},
    threads::{
        NewRole, NewThread, Participant, ParticipantsChange, ParticipantsPatch, Thread, ThreadPatch,
        entity::Entity,
    },
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::state::State;

const NO_THREAD: Code = codes::NOT_FOUND.example("there is no such thread");
const NO_PARTICIPANT: Code = codes::NOT_FOUND.example("there is no such participant");
const NOT_ALLOWED: Code = codes::FORBIDDEN.example("your role in this thread doesn't allow it");

/// Adds the operations.
pub fn routes(routes: &mut Routes) {
    routes
        .tag("threads", "Create and manage threads and their participants.")
        .example("id", demo::ENGINES.to_string())
        .example("user_id", demo::CHARLES.to_string());
    routes
        .post("/threads", "threads_create", "Create a thread", create)
        .describe(
            "Creates a direct thread or a group. Two users have one direct thread: if it exists, it is returned with \
             status 200. The creator of a group is its owner.",
        )
        .errors(&[USER_NOT_FOUND, USER_INACTIVE]);
    routes
        .get("/threads", "threads_list", "List your threads", list)
        .describe("Returns the threads that you are a participant of, those with the latest activity first.");
    routes
        .get("/threads/{id}", "threads_get", "Get a thread", get)
        .describe("Returns one of your threads, with its last message and the count of unread messages.")
        .errors(&[NO_THREAD]);
    routes
        .patch("/threads/{id}", "threads_update", "Update a group", update)
        .describe(
            "Changes the name or the history setting of a group. Only its owners and admins can do this.",
        )
        .errors(&[NO_THREAD, NOT_ALLOWED, DIRECT_THREAD]);
    routes
        .delete("/threads/{id}", "threads_delete", "Delete a group", delete)
        .describe("Deletes the group for all participants. Only its owners can do this.")
        .errors(&[NO_THREAD, NOT_ALLOWED, DIRECT_THREAD]);
    participant_routes(routes);
    message_routes(routes);
}

fn participant_routes(routes: &mut Routes) {
    routes
        .get(
            "/threads/{id}/participants",
            "participants_list",
            "List the participants of a thread",
            participants,
        )
        .describe(
            "Returns the participants in the order of their ids. `is_active` is false for a user who is deactivated or \
             deleted.",
        )
        .errors(&[NO_THREAD]);
    routes
        .patch(
            "/threads/{id}/participants",
            "participants_update",
            "Add and remove participants",
            update_participants,
        )
        .describe(
            "Adds and removes the given users, or changes nothing if one of them can't be added or removed. Only owners \
             and admins can do this, but every participant can leave by removing themselves alone. A new participant \
             sees messages from then on, or all of them if the group's `history` is `full`. Returns who was \
             added and who was removed.",
        )
        .errors(&[
            NO_THREAD,
            NOT_ALLOWED,
            DIRECT_THREAD,
            USER_NOT_FOUND,
            USER_INACTIVE,
            ALREADY_PARTICIPANT,
            NOT_A_PARTICIPANT,
            LAST_OWNER,
            THREAD_FULL,
        ]);
    routes
        .get("/threads/{id}/participants/{user_id}", "participants_get", "Get a participant", participant)
        .describe("Returns one participant of a thread, with their role and positions.")
        .errors(&[NO_PARTICIPANT]);
    routes
        .patch(
            "/threads/{id}/participants/{user_id}",
            "participants_set_role",
            "Change the role of a participant",
            set_role,
        )
        .describe(
            "Sets the role of a participant of a group. Only its owners can do this. A deactivated user can't become an \
             owner.",
        )
        .errors(&[NO_PARTICIPANT, NOT_ALLOWED, DIRECT_THREAD, LAST_OWNER, USER_INACTIVE]);
    routes
        .delete(
            "/threads/{id}/participants/{user_id}",
            "participants_remove",
            "Remove a participant",
            remove_participant,
        )
        .describe(
            "Removes a participant from a group. Only owners and admins can do this, and only an owner can remove an \
             owner, but every participant can leave by removing themselves. The only active owner can't leave.",
        )
        .errors(&[NO_PARTICIPANT, NOT_ALLOWED, DIRECT_THREAD, LAST_OWNER]);
}

fn message_routes(routes: &mut Routes) {
    routes
        .get("/threads/{id}/messages", "threads_messages", "List the messages of a thread", messages)
        .describe(
            "Returns the messages that you can see, newest first, or oldest first with `order=asc`. With `after` or \
             `before` the first page has the messages right after or right before that `seq`, in either order, and the \
             list ends there.",
        )
        .errors(&[NO_THREAD]);
    routes
        .post("/threads/{id}/messages", "threads_send", "Send a message to a thread", send)
        .describe("Sends a message to all participants of a thread.")
        .errors(&[NO_THREAD, USER_INACTIVE]);
    routes
        .post("/threads/{id}/read", "threads_read", "Mark a thread as read", read)
        .describe(
            "Marks the messages up to `seq` as read, or all messages without `seq`. The position only moves forward: a \
             lower `seq` changes nothing.",
        )
        .errors(&[NO_THREAD]);
    routes
        .post("/threads/{id}/delivered", "threads_delivered", "Mark a thread as delivered", delivered)
        .describe(
            "Marks the messages up to `seq` as delivered to you, or all messages without `seq`. The position only moves \
             forward: a lower `seq` changes nothing.",
        )
        .errors(&[NO_THREAD]);
    routes
        .get("/threads/{id}/changes", "threads_changes", "List the changes of a thread", changes)
        .describe(
            "Returns the messages, participants and own fields of the thread (`name`, `history`) that changed after the \
             version `since`, each as it is now, in the order of its last change. A deleted message is returned without \
             its content. Repeat with the returned `version` while `has_more` is true; the last `version` is the thread's. \
             409 `version_ahead` for a version that the thread has not reached, as after a restore from a backup: start \
             again from 0.",
        )
        .errors(&[NO_THREAD, VERSION_AHEAD]);
}

/// A thread and one of its participants.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
struct ParticipantPath {
    /// The id of the thread.
    id: Uuid,
    /// The id of the user.
    user_id: Uuid,
}

/// The order of the messages of a thread.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageOrder {
    /// The newest first.
    #[default]
    Desc,
    /// The oldest first.
    Asc,
}

impl From<MessageOrder> for Direction {
    fn from(order: MessageOrder) -> Self {
        match order {
            MessageOrder::Desc => Self::Descending,
            MessageOrder::Asc => Self::Ascending,
        }
    }
}

/// The messages of a thread to list.
#[derive(Debug, Deserialize, ToSchema)]
struct ThreadMessages {
    /// The order: `desc` for the newest first, `asc` for the oldest first.
    #[serde(default)]
    order: MessageOrder,
    /// Only messages with a lower `seq`. Without `after` the first page has those right before it.
    #[serde(default)]
    #[schema(minimum = 0)]
    before: Option<i64>,
    /// Only messages with a higher `seq`. Without `before` the first page has those right after it.
    #[serde(default)]
    #[schema(minimum = 0)]
    after: Option<i64>,
    #[serde(flatten)]
    cursor: CursorRequest,
}

/// The first version, and the number of changes.
#[derive(Debug, Deserialize, ToSchema)]
struct Since {
    /// The version of the thread that you know; 0 for all changes.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    since: i64,
    /// The number of changes, from 1 to 100.
    #[serde(default = "default_limit")]
    #[schema(default = 50, minimum = 1, maximum = 100)]
    limit: u64,
}

fn default_limit() -> u64 {
    50
}

async fn create(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    idempotent: Idempotent,
    body: Body<NewThread>,
) -> Result<Reply<CreatedOrFound<Thread>>, Problem> {
    let start = async |tx: &_| {
        let (id, created) = app.threads.start(tx, &caller, body.0).await?;
        let body = app.threads.get(tx, &caller, id).await?;
        Ok(((id, created), CreatedOrFound { created, body }))
    };
    let replay = async |tx: &_, (id, created)| {
        Ok(CreatedOrFound { created, body: app.threads.get(tx, &caller, id).await? })
    };
    idempotent.run(&app.db, start, replay).await
}

async fn list(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    list: CursorList<Entity>,
) -> Result<Json<CursorPage<Thread>>, Problem> {
    Ok(Json(app.threads.list(&app.db.any_reader().await, &caller, &list.query, &list.request).await?))
}

async fn get(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<Json<Thread>, Problem> {
    Ok(Json(app.threads.get(&app.db.any_reader().await, &caller, path.0.id).await?))
}

async fn update(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<ThreadPatch>,
) -> Result<Json<Thread>, Problem> {
    let _turn = app.turn(path.0.id).await?;
    let update = async |tx: &_| {
        app.threads.update(tx, &caller, path.0.id, body.0).await?;
        app.threads.get(tx, &caller, path.0.id).await
    };
    Ok(Json(app.db.write(update).await?))
}

async fn delete(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<NoContent, Problem> {
    let _turn = app.turn(path.0.id).await?;
    app.db.write(async |tx| app.threads.delete(tx, &caller, path.0.id).await).await?;
    Ok(NoContent)
}

async fn participants(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    path: Path<IdPath>,
    page: Query<PageRequest>,
) -> Result<Json<Page<Participant>>, Problem> {
    Ok(Json(app.threads.participants(&app.db.any_reader().await, &caller, path.0.id, page.0).await?))
}

async fn update_participants(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<ParticipantsPatch>,
) -> Result<Json<ParticipantsChange>, Problem> {
    let _turn = app.turn(path.0.id).await?;
    let change = async |tx: &_| app.threads.change_participants(tx, &caller, path.0.id, body.0).await;
    Ok(Json(app.db.write(change).await?))
}

async fn participant(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    path: Path<ParticipantPath>,
) -> Result<Json<Participant>, Problem> {
    let ParticipantPath { id, user_id } = path.0;
    Ok(Json(app.threads.participant(&app.db.any_reader().await, &caller, id, user_id).await?))
}

async fn remove_participant(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<ParticipantPath>,
) -> Result<NoContent, Problem> {
    let ParticipantPath { id, user_id } = path.0;
    let _turn = app.turn(id).await?;
    app.db.write(async |tx| app.threads.remove_participant(tx, &caller, id, user_id).await).await?;
    Ok(NoContent)
}

async fn set_role(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<ParticipantPath>,
    body: Body<NewRole>,
) -> Result<Json<Participant>, Problem> {
    let ParticipantPath { id, user_id } = path.0;
    let _turn = app.turn(id).await?;
    let set_role = async |tx: &_| app.threads.set_role(tx, &caller, id, user_id, body.0.role).await;
    Ok(Json(app.db.write(set_role).await?))
}

async fn messages(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    list: CursorList<message::Entity, ThreadMessages>,
) -> Result<Json<MessageList>, Problem> {
    let ThreadMessages { order, before, after, cursor } = list.request;
    let wanted = ThreadQuery { query: list.query, direction: order.into(), before, after };
    Ok(Json(app.messages.list(&app.db.any_reader().await, &caller, path.0.id, &wanted, &cursor).await?))
}

async fn send(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
    body: Body<NewText>,
) -> Result<Reply<Created<Message>>, Problem> {
    send_once(&caller, &app, path.0.id, body.0, idempotent).await
}

/// Sends a message into a thread once for each key, which is the client's id of the message. The request is identified by
/// the thread and the text, so that a message sent over HTTP and over a socket is the same one.
///
/// # Errors
/// Those of [`Messages::send`](messenger_domain::Messages::send) and [`Idempotent::run`], and `busy`.
pub(crate) async fn send_once(
    caller: &Caller,
    app: &State,
    thread: Uuid,
    new: NewText,
    idempotent: Idempotent,
) -> Result<Reply<Created<Message>>, Problem> {
    let idempotent = idempotent.identified_by(&["threads_send", &thread.to_string(), &new.text]);
    if let Some(sent) = send_queued(caller, app, thread, &new, &idempotent).await? {
        return Ok(Reply::fresh(Created(sent)));
    }
    // The key was used before.
    let _turn = app.turn(thread).await?;
    let client_id = idempotent.key().map(str::to_owned);
    let send = async |tx: &_| {
        let message = app.messages.send(tx, caller, thread, new, client_id.as_deref()).await?;
        Ok((message.id, Created(message)))
    };
    let replay = async |tx: &_, id| Ok(Created(app.messages.get(tx, caller, id).await?));
    idempotent.run(&app.db, send, replay).await
}

/// Sends a message into a thread together with those that others send meanwhile. Returns `None` if the key was used before.
pub(crate) async fn send_queued(
    caller: &Caller,
    app: &State,
    thread: Uuid,
    new: &NewText,
    idempotent: &Idempotent,
) -> groundwork_core::Result<Option<Message>> {
    let claim = idempotent
        .claim()
        .map(|(key, request_hash)| Claim { key: key.to_owned(), request_hash: request_hash.to_owned() });
    app.sends.send(caller, thread, new.clone(), idempotent.key(), claim).await
}

async fn read(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
    body: Body<NewPosition>,
) -> Result<Reply<Json<Thread>>, Problem> {
    advance(&caller, &app, path.0.id, idempotent, ReceiptKind::Read, body.0).await
}

async fn delivered(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
    body: Body<NewPosition>,
) -> Result<Reply<Json<Thread>>, Problem> {
    advance(&caller, &app, path.0.id, idempotent, ReceiptKind::Delivered, body.0).await
}

async fn advance(
    caller: &Caller,
    app: &State,
    thread: Uuid,
    idempotent: Idempotent,
    kind: ReceiptKind,
    position: NewPosition,
) -> Result<Reply<Json<Thread>>, Problem> {
    let _turn = app.turn(thread).await?;
    let advance = async |tx: &_| {
        app.messages.advance_thread(tx, caller, thread, kind, position.seq).await?;
        Ok(((), Json(app.threads.get(tx, caller, thread).await?)))
    };
    let replay = async |tx: &_, ()| Ok(Json(app.threads.get(tx, caller, thread).await?));
    idempotent.run(&app.db, advance, replay).await
}

async fn changes(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    query: Query<Since>,
) -> Result<Json<Changes>, Problem> {
    let Since { since, limit } = query.0;
    Ok(Json(app.messages.changes(&app.db.any_reader().await, &caller, path.0.id, since, limit).await?))
}
