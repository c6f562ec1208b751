//! `/threads`: threads, who takes part in them, and the messages in them.

use actix_web::web::Data;
use groundwork_core::{CursorPage, CursorRequest, Page, PageRequest, Uuid, error::codes};
use groundwork_web::{
    Body, Created, IdPath, Idempotent, Json, List, NoContent, Path, Problem, Query, Reply, Routes, Scoped,
    http::respond::CreatedOrFound,
};
use messenger_domain::{
    codes::{
        ALREADY_PARTICIPANT, DIRECT_THREAD, LAST_OWNER, NOT_A_PARTICIPANT, THREAD_FULL, USER_NOT_FOUND,
        VERSION_AHEAD,
    },
    messages::{
        Changes, Direction, Message, MessageList, NewReadPosition, NewText, ThreadQuery, entity as message,
    },
    scopes::{MessagesRead, MessagesWrite, ThreadsRead, ThreadsWrite},
    threads::{NewRole, NewThread, Participant, ParticipantsPatch, Thread, ThreadPatch, entity::Entity},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::state::State;

/// Adds the operations.
pub fn routes(routes: &mut Routes) {
    routes.tag("threads", "Threads, and who takes part in them");
    routes
        .post("/threads", "threads_create", "Start a direct or a group thread", create)
        .describe(
            "There is one direct thread for each pair of users: asked for again, it is found. \
             Who starts a group owns it.",
        )
        .errors(&[USER_NOT_FOUND]);
    routes
        .get("/threads", "threads_list", "List the own threads, the latest activity first", list)
        .describe("`order_by` is not regarded here: the order is that of the latest activity.");
    routes.get("/threads/{id}", "threads_get", "One of the own threads", get).errors(&[codes::NOT_FOUND]);
    routes
        .patch("/threads/{id}", "threads_update", "Rename a group", update)
        .describe("For its owners and admins.")
        .errors(&[codes::NOT_FOUND, codes::FORBIDDEN, DIRECT_THREAD]);
    routes
        .delete("/threads/{id}", "threads_delete", "Delete a group", delete)
        .describe("For its owners. It is gone for all of its participants.")
        .errors(&[codes::NOT_FOUND, codes::FORBIDDEN, DIRECT_THREAD]);
    routes
        .get("/threads/{id}/participants", "participants_list", "List the participants", participants)
        .errors(&[codes::NOT_FOUND]);
    routes
        .patch(
            "/threads/{id}/participants",
            "participants_update",
            "Add and remove participants, or leave",
            update_participants,
        )
        .describe(
            "All or none. For the group's owners and admins; anybody may remove themselves alone, which is leaving. \
             Who is added sees what is said from then on, unless the group's `history` is `full`.",
        )
        .errors(&[
            codes::NOT_FOUND,
            codes::FORBIDDEN,
            DIRECT_THREAD,
            USER_NOT_FOUND,
            ALREADY_PARTICIPANT,
            NOT_A_PARTICIPANT,
            LAST_OWNER,
            THREAD_FULL,
        ]);
    routes
        .patch(
            "/threads/{id}/participants/{user_id}",
            "participants_set_role",
            "Give a participant another role",
            set_role,
        )
        .describe("For the group's owners.")
        .errors(&[codes::NOT_FOUND, codes::FORBIDDEN, DIRECT_THREAD, LAST_OWNER]);
    message_routes(routes);
}

fn message_routes(routes: &mut Routes) {
    routes
        .get("/threads/{id}/messages", "threads_messages", "List the messages of a thread", messages)
        .describe(
            "Newest first, or oldest first with `order=asc`. With `after` or `before` the first page has the messages \
             right after or right before that `seq`, in either order, and the list ends there. `order_by` is ignored.",
        )
        .errors(&[codes::NOT_FOUND]);
    routes
        .post("/threads/{id}/messages", "threads_send", "Send a message into a thread", send)
        .errors(&[codes::NOT_FOUND]);
    routes
        .post(
            "/threads/{id}/read",
            "threads_read",
            "Mark a thread as read, up to a message or all of it",
            read,
        )
        .describe("The read position only moves forward. Moving it backward changes nothing.")
        .errors(&[codes::NOT_FOUND]);
    routes
        .get("/threads/{id}/changes", "threads_changes", "List what changed in a thread since a version", changes)
        .describe(
            "The messages, participants and own fields of the thread (`name`, `history`) that changed after that \
             version, each as it is now, in the order of its last change. Of a deleted message the id, `seq` and \
             `version` are left. Repeat with the returned `version` while `has_more` is true; it is then the thread's. \
             409 `version_ahead` for a version that the thread has not reached, as after a restore from a backup: \
             start again from 0.",
        )
        .errors(&[codes::NOT_FOUND, VERSION_AHEAD]);
}

/// A participant of a thread, by their ids.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
struct ParticipantPath {
    /// The thread.
    id: Uuid,
    /// The user.
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

/// Which messages of a thread.
#[derive(Debug, Deserialize, ToSchema)]
struct ThreadMessages {
    /// `desc`, the newest first, unless `asc` is given.
    #[serde(default)]
    order: MessageOrder,
    /// Only messages with a lower `seq`. Without `after` the first page has those right before it.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0)]
    before: Option<i64>,
    /// Only messages with a higher `seq`. Without `before` the first page has those right after it.
    #[serde(default)]
    #[schema(value_type = i64, minimum = 0)]
    after: Option<i64>,
    #[serde(flatten)]
    cursor: CursorRequest,
}

/// Since when, and how many.
#[derive(Debug, Deserialize, ToSchema)]
struct Since {
    /// The version up to which the caller knows the thread; 0 for all.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    since: i64,
    /// Changes, from 1 to 100.
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
    list: List<Entity, CursorRequest>,
) -> Result<Json<CursorPage<Thread>>, Problem> {
    Ok(Json(app.threads.list(app.db.reader(), &caller, &list.query, &list.request).await?))
}

async fn get(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<Json<Thread>, Problem> {
    Ok(Json(app.threads.get(app.db.reader(), &caller, path.0.id).await?))
}

async fn update(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<ThreadPatch>,
) -> Result<Json<Thread>, Problem> {
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
    app.db.write(async |tx| app.threads.delete(tx, &caller, path.0.id).await).await?;
    Ok(NoContent)
}

async fn participants(
    caller: Scoped<ThreadsRead>,
    app: Data<State>,
    path: Path<IdPath>,
    page: Query<PageRequest>,
) -> Result<Json<Page<Participant>>, Problem> {
    Ok(Json(app.threads.participants(app.db.reader(), &caller, path.0.id, page.0).await?))
}

async fn update_participants(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<ParticipantsPatch>,
) -> Result<Json<Page<Participant>>, Problem> {
    let change = async |tx: &_| app.threads.change_participants(tx, &caller, path.0.id, body.0).await;
    Ok(Json(app.db.write(change).await?))
}

async fn set_role(
    caller: Scoped<ThreadsWrite>,
    app: Data<State>,
    path: Path<ParticipantPath>,
    body: Body<NewRole>,
) -> Result<Json<Participant>, Problem> {
    let ParticipantPath { id, user_id } = path.0;
    let set_role = async |tx: &_| app.threads.set_role(tx, &caller, id, user_id, body.0.role).await;
    Ok(Json(app.db.write(set_role).await?))
}

async fn messages(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    list: List<message::Entity, ThreadMessages>,
) -> Result<Json<MessageList>, Problem> {
    let ThreadMessages { order, before, after, cursor } = list.request;
    let wanted = ThreadQuery { query: list.query, direction: order.into(), before, after };
    Ok(Json(app.messages.list(app.db.reader(), &caller, path.0.id, &wanted, &cursor).await?))
}

async fn send(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
    body: Body<NewText>,
) -> Result<Reply<Created<Message>>, Problem> {
    let send = async |tx: &_| {
        let message = app.messages.send(tx, &caller, path.0.id, body.0).await?;
        Ok((message.id, Created(message)))
    };
    let replay = async |tx: &_, id| Ok(Created(app.messages.get(tx, &caller, id).await?));
    idempotent.run(&app.db, send, replay).await
}

async fn read(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
    body: Body<NewReadPosition>,
) -> Result<Reply<Json<Thread>>, Problem> {
    let read = async |tx: &_| {
        app.messages.read_thread(tx, &caller, path.0.id, body.0.seq).await?;
        Ok(((), Json(app.threads.get(tx, &caller, path.0.id).await?)))
    };
    let replay = async |tx: &_, ()| Ok(Json(app.threads.get(tx, &caller, path.0.id).await?));
    idempotent.run(&app.db, read, replay).await
}

async fn changes(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    query: Query<Since>,
) -> Result<Json<Changes>, Problem> {
    let Since { since, limit } = query.0;
    Ok(Json(app.messages.changes(app.db.reader(), &caller, path.0.id, since, limit).await?))
}
