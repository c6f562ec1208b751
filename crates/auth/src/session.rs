//! Sessions, and the refresh tokens that extend them.
//!
//! A refresh token has two parts: 32 random bytes that stay the same through its session, and 32 that change with each
//! use. The session's row holds a hash of each, so a session takes one row however often it is refreshed. A token whose
//! first part is known and whose second part is not the current one was used before: somebody has a copy of it, and the
//! session is ended (RFC 9700, section 4.14.2). This holds for every token that the session ever had, for as long as
//! its row is kept. The first part is known only from a refresh token of the session, so nobody else can end a session
//! in this way.
//!
//! A response may be lost on the way, and two tabs may refresh at the same moment. So for a short time, the token that was just
//! spent gives its successor again: the same one, as it follows from the spent token and a seed in the row. Who has a copy
//! of the spent token gets no more by this than by using it first: of two who then have the successor, the second to
//! use it after that time ends the session.
//!
//! ```
//! use groundwork_auth::session;
//!
//! // A service creates the table in its first migration.
//! let (table, indexes) = session::table_v1();
//! assert_eq!((table.get_table_name().is_some(), indexes.len()), (true, 3));
//! ```

mod refresh_token;
pub mod row;
mod schema;

use std::{net::IpAddr, time::Duration};

use groundwork_core::{
    Db, Error, Page, PageRequest, Result, Timestamp, Tx, Uuid,
    error::codes,
    events::{self, NewEvent, Subject},
    repository::{Count, page_of_rows},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, SelectExt, Set, Value, prelude::Expr,
};

use self::refresh_token::{RefreshToken, new_seed};
pub use self::schema::{columns_v2, drop_columns_v2, table_v1};
use crate::Scopes;

/// The kind of the subject of [`SESSION_ENDED`]; its id is that of the session.
pub const SUBJECT: &str = "session";
/// The kind of the event that a session was ended, which concerns its user. It is written in the transaction that ends the
/// session, so that every server learns of it. A session that expires has no event.
pub const SESSION_ENDED: &str = "session.ended";

/// The maximum number of events in one statement.
const EVENTS: usize = 1000;
/// The maximum number of sessions that [`sweep`] deletes in one transaction.
const BATCH: u64 = 1000;

/// Where a session is used: what the client says of itself, and its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    device: Option<String>,
    address: Option<String>,
}

impl ClientInfo {
    /// `device` is shortened to [`MAX_DEVICE`] characters.
    pub fn new(device: Option<&str>, address: Option<IpAddr>) -> Self {
        let device = device.map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_DEVICE).collect());
        Self { device, address: address.map(|address| address.to_canonical().to_string()) }
    }
}

/// The maximum length of the description of a client, in characters.
pub const MAX_DEVICE: usize = 200;

/// Begins a session, and returns its id and its first refresh token.
pub async fn begin(
    tx: &Tx,
    user_id: Uuid,
    scope: Option<&Scopes>,
    lifetime: Duration,
    client: &ClientInfo,
) -> Result<(Uuid, String)> {
    let (id, token) = (tx.new_id(), RefreshToken::new()?);
    row::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        scope: Set(scope.map(ToString::to_string)),
        family_hash: Set(token.family_hash()),
        token_hash: Set(token.secret_hash()),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + lifetime),
        ended_at: Set(None),
        spent_hash: Set(None),
        seed: Set(None),
        used_at: Set(None),
        device: Set(client.device.clone()),
        address: Set(client.address.clone()),
    }
    .insert(tx)
    .await?;
    Ok((id, token.text()))
}

/// Returns the session that a refresh token belongs to, whether or not the token is still valid.
///
/// # Errors
/// `invalid_token` for a token of no session.
pub async fn find(tx: &Tx, token: &str) -> Result<row::Model> {
    let token = RefreshToken::read(token).ok_or_else(invalid_token)?;
    let found = row::Entity::find().filter(row::Column::FamilyHash.eq(token.family_hash())).one(tx).await?;
    found.ok_or_else(invalid_token)
}

fn invalid_token() -> Error {
    codes::INVALID_TOKEN.error("the refresh token is not valid")
}

/// What [`refresh`] did.
#[derive(Debug)]
pub enum Refreshed {
    /// The token was the current one, or was spent a moment ago. Here is its successor, which alone is valid from now on.
    Next(String),
    /// The token had been used before, and so the session was ended. The transaction must be committed all the same.
    Reused,
}

/// For how long a session lives, and how a spent token is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a session lasts without being refreshed.
    pub session: Duration,
    /// For how long the refresh token that was used last gives its successor again.
    pub grace: Duration,
}

/// Exchanges the current refresh token of a session for the next, and extends the session.
///
/// # Errors
/// `session_ended`; `token_expired`; `invalid_token` for a token of another session.
pub async fn refresh(
    tx: &Tx,
    session: Uuid,
    token: &str,
    lifetimes: Lifetimes,
    client: &ClientInfo,
) -> Result<Refreshed> {
    let token = RefreshToken::read(token).ok_or_else(invalid_token)?;
    let seed = new_seed()?;
    let next = token.next(&seed);
    // Of concurrent requests with one token, one finds it current.
    let changed = row::Entity::update_many()
        .col_expr(row::Column::TokenHash, Expr::value(next.secret_hash()))
        .col_expr(row::Column::SpentHash, Expr::value(token.secret_hash()))
        .col_expr(row::Column::Seed, Expr::value(seed))
        .col_expr(row::Column::UsedAt, Expr::value(Value::from(tx.now())))
        .col_expr(row::Column::Device, Expr::value(client.device.clone()))
        .col_expr(row::Column::Address, Expr::value(client.address.clone()))
        .col_expr(row::Column::ExpiresAt, Expr::value(Value::from(tx.now() + lifetimes.session)))
        .filter(row::Column::Id.eq(session))
        .filter(row::Column::FamilyHash.eq(token.family_hash()))
        .filter(row::Column::TokenHash.eq(token.secret_hash()))
        .filter(row::Column::EndedAt.is_null())
        .filter(row::Column::ExpiresAt.gt(tx.now()))
        .exec(tx)
        .await?;
    if changed.rows_affected > 0 {
        return Ok(Refreshed::Next(next.text()));
    }
    let found = row::Entity::find_by_id(session).one(tx).await?;
    let found = found.filter(|found| found.family_hash == token.family_hash()).ok_or_else(invalid_token)?;
    if found.ended_at.is_some() {
        return Err(codes::SESSION_ENDED.error("the session of the refresh token has ended"));
    }
    if found.expires_at <= tx.now() {
        return Err(codes::TOKEN_EXPIRED.error("the refresh token has expired"));
    }
    if let Some(next) = successor(&found, &token, tx.now(), lifetimes.grace) {
        return Ok(Refreshed::Next(next.text()));
    }
    end(tx, session).await?;
    tracing::warn!(session = %session, user = %found.user_id, "a refresh token was used twice; its session is ended");
    Ok(Refreshed::Reused)
}

/// The current token of `session`, if `spent` is the one before it and was used less than `grace` ago.
fn successor(
    session: &row::Model,
    spent: &RefreshToken,
    now: Timestamp,
    grace: Duration,
) -> Option<RefreshToken> {
    let used_at = session.used_at.filter(|used_at| now < *used_at + grace);
    let is_last = session.spent_hash == Some(spent.secret_hash());
    let next = spent.next(session.seed.as_deref().filter(|_| is_last && used_at.is_some())?);
    // A server of an earlier version does not store the seed, so the token may have changed without it.
    (next.secret_hash() == session.token_hash).then_some(next)
}

/// Returns a page of the sessions of a user that are neither ended nor expired, the latest sign-in first.
pub async fn list<C: ConnectionTrait>(
    conn: &C,
    user_id: Uuid,
    now: Timestamp,
    page: PageRequest,
) -> Result<Page<row::Model>> {
    let alive = row::Entity::find()
        .filter(row::Column::UserId.eq(user_id))
        .filter(row::Column::EndedAt.is_null())
        .filter(row::Column::ExpiresAt.gt(now));
    let count = Count::to_bound(alive.clone().into_query(), page);
    let newest = alive.order_by_desc(row::Column::CreatedAt).order_by_desc(row::Column::Id);
    let rows = newest.offset(page.offset()?).limit(page.size).into_query();
    page_of_rows(conn, page, rows, count, |row| row::Model::from_query_result(row, "")).await
}

/// Returns whether the session has not been ended: one look-up by primary key.
pub async fn is_alive<C: ConnectionTrait>(conn: &C, session: Uuid) -> Result<bool> {
    let alive = row::Entity::find_by_id(session).filter(row::Column::EndedAt.is_null());
    Ok(alive.exists(conn).await?)
}

/// Ends one session. Its tokens stop working when the transaction is committed.
pub async fn end(tx: &Tx, session: Uuid) -> Result<()> {
    end_where(tx, row::Column::Id.eq(session)).await
}

/// Ends one session of a user. Returns `false` if it had ended or expired, or is not one of theirs.
pub async fn end_own(tx: &Tx, user_id: Uuid, session: Uuid) -> Result<bool> {
    let found = row::Entity::find_by_id(session)
        .filter(row::Column::UserId.eq(user_id))
        .filter(row::Column::EndedAt.is_null())
        .filter(row::Column::ExpiresAt.gt(tx.now()));
    if !found.exists(tx).await? {
        return Ok(false);
    }
    end(tx, session).await?;
    Ok(true)
}

/// Ends every session of a user.
pub async fn end_all(tx: &Tx, user_id: Uuid) -> Result<()> {
    end_where(tx, row::Column::UserId.eq(user_id)).await
}

/// Ends every session of a user but one.
pub async fn end_others(tx: &Tx, user_id: Uuid, kept: Uuid) -> Result<()> {
    end_where(tx, row::Column::UserId.eq(user_id).and(row::Column::Id.ne(kept))).await
}

/// The refusal of an access token whose session has ended.
pub(crate) fn ended() -> Error {
    codes::SESSION_ENDED.error("the session of the access token has ended")
}

async fn end_where(tx: &Tx, matching: Expr) -> Result<()> {
    let now = Value::from(tx.now());
    let ended = row::Entity::update_many()
        .col_expr(row::Column::EndedAt, Expr::value(now.clone()))
        // So that one index finds all that `sweep` deletes.
        .col_expr(row::Column::ExpiresAt, Expr::value(now))
        .filter(matching)
        .filter(row::Column::EndedAt.is_null())
        .exec_with_returning(tx)
        .await?;
    let event = |session: &row::Model| {
        NewEvent::new(SESSION_ENDED, Subject::new(SUBJECT, session.id)).of_user(session.user_id)
    };
    // A statement has a limited number of parameters, and a user may have any number of sessions.
    for some in ended.chunks(EVENTS) {
        events::append_all(tx, some.iter().map(event)).await?;
    }
    Ok(())
}

/// Deletes the sessions that ended or expired before `before`, in batches of 1000, and returns their number.
pub async fn sweep(db: &Db, before: Timestamp) -> Result<u64> {
    let mut total = 0;
    loop {
        let over = row::Entity::find()
            .select_only()
            .column(row::Column::Id)
            .filter(row::Column::ExpiresAt.lt(before))
            .limit(BATCH)
            .into_query();
        // Checked again in the statement that deletes: a refresh may have extended the session in between.
        let batch = row::Entity::delete_many()
            .filter(row::Column::Id.in_subquery(over))
            .filter(row::Column::ExpiresAt.lt(before));
        let deleted = db.write(async |tx| Ok::<_, Error>(batch.exec(tx).await?.rows_affected)).await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
    }
}
