//! `/messages`: direct messages, inbox and outbox, and single messages.

use std::time::Duration;

use actix_web::web::Data;
use groundwork_auth::Caller;
use groundwork_core::{Code, CursorRequest, Page, PageRequest, Uuid, error::codes};
use groundwork_web::{
    Body, Created, IdPath, Idempotent, Json, List, NoContent, Path, Problem, Query, Reply, Routes, Scoped,
};
use messenger_domain::{
    codes::{ALREADY_READ, USER_INACTIVE, USER_NOT_FOUND},
    demo,
    messages::{Message, MessageList, NewDirectMessage, NewText, Receipt, ReceiptKind, entity::Entity},
    scopes::{MessagesRead, MessagesWrite},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::threads::{MessageOrder, send_queued};
use crate::state::State;

const NO_MESSAGE: Code = codes::NOT_FOUND.example("there is no such message");
const NOT_THE_SENDER: Code = codes::FORBIDDEN.example("only the sender can edit a message");
const NOT_ALLOWED: Code =
    codes::FORBIDDEN.example("only the sender, or an owner or admin of the thread, can delete a message");

/// Adds the operations.
pub fn routes(routes: &mut Routes) {
    routes.tag("messages", "Send, read, edit and delete messages.").example("id", demo::SENT.to_string());
    routes
        .post("/messages", "messages_send", "Send a direct message", send)
        .describe(
            "Sends a message to a user, named by id or by username. The first message to a user creates the direct \
             thread.",
        )
        .errors(&[USER_NOT_FOUND, USER_INACTIVE]);
    routes
        .get("/messages", "messages_list", "List your direct messages", list)
        .describe(
            "Returns the direct messages that you sent or received, newest first, not older than `max_age_days`. With \
             the scope `messages:admin`, `user` selects the messages of another user.",
        )
        .errors(&[codes::NOT_FOUND.example("there is no such user")]);
    routes
        .get("/messages/inbox", "messages_inbox", "List received messages", inbox)
        .describe("Returns the direct messages that you received, newest first unless `order_by` is given.");
    routes
        .get("/messages/outbox", "messages_outbox", "List sent messages", outbox)
        .describe(
            "Returns the messages that you sent, newest first unless `order_by` is given. Includes messages in groups, \
             also in groups that you have left, but not in deleted ones.",
        );
    routes
        .get("/messages/{id}", "messages_get", "Get a message", get)
        .describe(
            "Returns a message of one of your threads, or one that you sent to a group that you have left.",
        )
        .errors(&[NO_MESSAGE]);
    routes
        .get("/messages/{id}/context", "messages_context", "List the messages around a message", context)
        .describe(
            "Returns the message and those right before and after it in its thread, newest first, or oldest first with \
             `order=asc`. The cursors continue in `GET /threads/{id}/messages` with the same `order`.",
        )
        .errors(&[NO_MESSAGE]);
    routes
        .patch("/messages/{id}", "messages_edit", "Edit a message", edit)
        .describe("Replaces the text. Only the sender can edit a message.")
        .errors(&[NO_MESSAGE, NOT_THE_SENDER]);
    routes
        .delete("/messages/{id}", "messages_delete", "Delete a message", delete)
        .describe(
            "Removes the text permanently. The sender can delete a message until somebody else has read it, or at any time \
             if the server's `MESSAGE_DELETE_POLICY` is `always`. Owners and admins of the thread, and callers with the \
             scope `messages:admin`, can delete any message.",
        )
        .errors(&[NO_MESSAGE, NOT_ALLOWED, ALREADY_READ]);
    routes
        .post("/messages/{id}/read", "messages_read", "Mark a message as read", read)
        .describe(
            "Marks this message and all earlier ones of its thread as read. Repeating the request changes nothing. For \
             a message that you sent the answer is 404.",
        )
        .example("id", demo::RECEIVED.to_string())
        .errors(&[NO_MESSAGE]);
    routes
        .post("/messages/{id}/delivered", "messages_delivered", "Mark a message as delivered", delivered)
        .describe(
            "Marks this message and all earlier ones of its thread as delivered. Repeating the request changes nothing. \
             A message that you sent is not found (404).",
        )
        .example("id", demo::RECEIVED.to_string())
        .errors(&[NO_MESSAGE]);
    routes
        .get("/messages/{id}/receipts", "messages_receipts", "List the receipts of a message", receipts)
        .describe(
            "Returns the participants other than the sender who have received the message, and when they received and \
             read it. Times older than the server's `RECEIPT_DETAIL_DAYS` are those of the participant's last receipt \
             of that day.",
        )
        .errors(&[NO_MESSAGE]);
}

/// The user and the age of the messages.
#[derive(Debug, Deserialize, ToSchema)]
struct Mine {
    /// Another user, by id or username. Requires the scope `messages:admin`.
    #[serde(default)]
    #[schema(example = "ada", max_length = 50)]
    user: Option<String>,
    /// The maximum age of the messages in days, from 1 to 36500.
    #[serde(default = "thirty")]
    #[schema(default = 30, minimum = 1, maximum = 36500)]
    max_age_days: u16,
    #[serde(flatten)]
    cursor: CursorRequest,
}

fn thirty() -> u16 {
    30
}

/// The number of messages around a message.
#[derive(Debug, Deserialize, ToSchema)]
struct Around {
    /// The number of messages before it, from 0 to 50.
    #[serde(default = "twenty_five")]
    #[schema(default = 25, minimum = 0, maximum = 50)]
    before: u64,
    /// The number of messages after it, from 0 to 50.
    #[serde(default = "twenty_five")]
    #[schema(default = 25, minimum = 0, maximum = 50)]
    after: u64,
    /// The order: `desc` for the newest first, `asc` for the oldest first.
    #[serde(default)]
    order: MessageOrder,
}

fn twenty_five() -> u64 {
    25
}

/// The page of the inbox.
#[derive(Debug, Deserialize, ToSchema)]
struct Inbox {
    /// True for unread messages only, false for read ones only.
    #[serde(default)]
    unread_only: Option<bool>,
    #[serde(flatten)]
    page: PageRequest,
}

async fn send(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    idempotent: Idempotent,
    body: Body<NewDirectMessage>,
) -> Result<Reply<Created<Message>>, Problem> {
    let new = body.0;
    if let Some(thread) = app.messages.direct_thread(app.db.reader(), &caller, &new).await? {
        let text = NewText { text: new.text.clone() };
        match send_queued(&caller, &app, thread, &text, &idempotent).await {
            Ok(Some(sent)) => return Ok(Reply::fresh(Created(sent))),
            // The key was used before, or the receiver is refused, whose field is named below.
            Ok(None) => {}
            Err(error) if error.code() == USER_INACTIVE => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The thread may not exist yet, so the queue is that of the sender.
    let _turn = app.turn(caller.user_id).await?;
    let client_id = idempotent.key().map(str::to_owned);
    let send = async |tx: &_| {
        let message = app.messages.send_direct(tx, &caller, new, client_id.as_deref()).await?;
        Ok((message.id, Created(message)))
    };
    let replay = async |tx: &_, id| Ok(Created(app.messages.get(tx, &caller, id).await?));
    idempotent.run(&app.db, send, replay).await
}

async fn list(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    query: Query<Mine>,
) -> Result<Json<MessageList>, Problem> {
    let Mine { user, max_age_days, cursor } = query.0;
    let oldest = app.db.now() - Duration::from_hours(24 * u64::from(max_age_days));
    let reader = app.db.any_reader().await;
    Ok(Json(app.messages.list_direct(&reader, &caller, user.as_deref(), oldest, &cursor).await?))
}

async fn inbox(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    list: List<Entity, Inbox>,
) -> Result<Json<Page<Message>>, Problem> {
    let Inbox { unread_only, page } = list.request;
    Ok(Json(app.messages.inbox(&app.db.any_reader().await, &caller, unread_only, &list.query, page).await?))
}

async fn outbox(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    list: List<Entity>,
) -> Result<Json<Page<Message>>, Problem> {
    Ok(Json(app.messages.outbox(&app.db.any_reader().await, &caller, &list.query, list.request).await?))
}

async fn get(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<Json<Message>, Problem> {
    Ok(Json(app.messages.get(&app.db.any_reader().await, &caller, path.0.id).await?))
}

async fn context(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    query: Query<Around>,
) -> Result<Json<MessageList>, Problem> {
    let Around { before, after, order } = query.0;
    let around = (before, after);
    Ok(Json(
        app.messages.context(&app.db.any_reader().await, &caller, path.0.id, around, order.into()).await?,
    ))
}

async fn edit(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<NewText>,
) -> Result<Json<Message>, Problem> {
    let _turn = app.turn_of_message(path.0.id).await?;
    let edit = async |tx: &_| app.messages.edit(tx, &caller, path.0.id, body.0).await;
    Ok(Json(app.db.write(edit).await?))
}

async fn delete(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<NoContent, Problem> {
    let _turn = app.turn_of_message(path.0.id).await?;
    app.db.write(async |tx| app.messages.delete(tx, &caller, path.0.id).await).await?;
    Ok(NoContent)
}

async fn read(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
) -> Result<Reply<Json<Message>>, Problem> {
    advance(&caller, &app, path.0.id, idempotent, ReceiptKind::Read).await
}

async fn delivered(
    caller: Scoped<MessagesWrite>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
) -> Result<Reply<Json<Message>>, Problem> {
    advance(&caller, &app, path.0.id, idempotent, ReceiptKind::Delivered).await
}

async fn advance(
    caller: &Caller,
    app: &State,
    id: Uuid,
    idempotent: Idempotent,
    kind: ReceiptKind,
) -> Result<Reply<Json<Message>>, Problem> {
    let _turn = app.turn_of_message(id).await?;
    let advance = async |tx: &_| Ok(((), Json(app.messages.advance(tx, caller, id, kind).await?)));
    let replay = async |tx: &_, ()| Ok(Json(app.messages.get(tx, caller, id).await?));
    idempotent.run(&app.db, advance, replay).await
}

async fn receipts(
    caller: Scoped<MessagesRead>,
    app: Data<State>,
    path: Path<IdPath>,
    page: Query<PageRequest>,
) -> Result<Json<Page<Receipt>>, Problem> {
    Ok(Json(app.messages.receipts(&app.db.any_reader().await, &caller, path.0.id, page.0).await?))
}
