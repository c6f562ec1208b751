//! Sessions, and the refresh tokens that extend them.
//!
//! A refresh token has two parts: 32 random bytes that stay the same through its session, and 32 that change with each
//! use. The session's row holds a hash of each, so a session takes one row however often it is refreshed. A token whose
//! first part is known and whose second part is not the current one was used before: somebody has a copy of it, and the
//! session is ended (RFC 9700, section 4.14.2). This holds for every token that the session ever had, for as long as
//! its row is kept. The first part is known only from a refresh token of the session, so nobody else can end a session
//! in this way.
//!
//! ```
//! use groundwork_auth::session;
//!
//! // A service creates the table in its first migration.
//! let (table, indexes) = session::table_v1();
//! assert_eq!((table.get_table_name().is_some(), indexes.len()), (true, 3));
//! ```

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_core::{
    Db, Error, Result, Timestamp, Tx, Uuid,
    error::codes,
    events::{self, NewEvent, Subject},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DeriveIden, EntityTrait, ExprTrait, QueryFilter,
    QuerySelect, QueryTrait, SelectExt, Set, Value,
    prelude::Expr,
    sea_query::{ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement},
};
use sha2::{Digest, Sha256};

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

/// A signed-in session.
pub mod row {
    use groundwork_core::{Timestamp, Uuid};
    use sea_orm::entity::prelude::*;

    /// A row of `sessions`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        /// The id, which is also the claim `sid` of its access tokens.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// The user.
        pub user_id: Uuid,
        /// The scopes that were requested; null for all that the user's group has.
        pub scope: Option<String>,
        /// SHA-256, base64url, of the first part of its refresh tokens. They are random, so no salt is needed.
        pub family_hash: String,
        /// SHA-256, base64url, of the second part of its current refresh token.
        pub token_hash: String,
        /// When the user signed in.
        pub created_at: Timestamp,
        /// When it ends unless it is refreshed.
        pub expires_at: Timestamp,
        /// When it was ended before that.
        pub ended_at: Option<Timestamp>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A refresh token in its two parts.
struct RefreshToken {
    family: [u8; 32],
    secret: [u8; 32],
}

impl RefreshToken {
    fn new() -> Result<Self> {
        Ok(Self { family: random()?, secret: random()? })
    }

    /// The next token of the same session.
    fn next(&self) -> Result<Self> {
        Ok(Self { family: self.family, secret: random()? })
    }

    fn read(text: &str) -> Option<Self> {
        let bytes: [u8; 64] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (family, secret) = bytes.split_first_chunk()?;
        Some(Self { family: *family, secret: secret.try_into().ok()? })
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.family, self.secret].concat())
    }
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(bytes)
}

fn hash(part: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(part))
}

/// Begins a session, and returns its id and its first refresh token.
pub async fn begin(
    tx: &Tx,
    user_id: Uuid,
    scope: Option<&Scopes>,
    lifetime: Duration,
) -> Result<(Uuid, String)> {
    let (id, token) = (tx.new_id(), RefreshToken::new()?);
    row::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        scope: Set(scope.map(ToString::to_string)),
        family_hash: Set(hash(&token.family)),
        token_hash: Set(hash(&token.secret)),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + lifetime),
        ended_at: Set(None),
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
    let found = row::Entity::find().filter(row::Column::FamilyHash.eq(hash(&token.family))).one(tx).await?;
    found.ok_or_else(invalid_token)
}

fn invalid_token() -> Error {
    codes::INVALID_TOKEN.error("the refresh token is not valid")
}

/// What [`refresh`] did.
#[derive(Debug)]
pub enum Refreshed {
    /// The token was the current one. Here is the next, which alone is valid from now on.
    Next(String),
    /// The token had been used before, and so the session was ended. The transaction must be committed all the same.
    Reused,
}

/// Exchanges the current refresh token of a session for the next, and extends the session by `lifetime`.
///
/// # Errors
/// `session_ended`; `token_expired`; `invalid_token` for a token of another session.
pub async fn refresh(tx: &Tx, session: Uuid, token: &str, lifetime: Duration) -> Result<Refreshed> {
    let token = RefreshToken::read(token).ok_or_else(invalid_token)?;
    let next = token.next()?;
    // Of concurrent requests with one token, one finds it current.
    let changed = row::Entity::update_many()
        .col_expr(row::Column::TokenHash, Expr::value(hash(&next.secret)))
        .col_expr(row::Column::ExpiresAt, Expr::value(Value::from(tx.now() + lifetime)))
        .filter(row::Column::Id.eq(session))
        .filter(row::Column::FamilyHash.eq(hash(&token.family)))
        .filter(row::Column::TokenHash.eq(hash(&token.secret)))
        .filter(row::Column::EndedAt.is_null())
        .filter(row::Column::ExpiresAt.gt(tx.now()))
        .exec(tx)
        .await?;
    if changed.rows_affected > 0 {
        return Ok(Refreshed::Next(next.text()));
    }
    let found = row::Entity::find_by_id(session).one(tx).await?;
    let found = found.filter(|found| found.family_hash == hash(&token.family)).ok_or_else(invalid_token)?;
    if found.ended_at.is_some() {
        return Err(codes::SESSION_ENDED.error("the session of the refresh token has ended"));
    }
    if found.expires_at <= tx.now() {
        return Err(codes::TOKEN_EXPIRED.error("the refresh token has expired"));
    }
    end(tx, session).await?;
    tracing::warn!(session = %session, user = %found.user_id, "a refresh token was used twice; its session is ended");
    Ok(Refreshed::Reused)
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

/// Returns the table and its indexes in their first version, for migrations. A later change is another function.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum Sessions {
        Table,
        Id,
        UserId,
        Scope,
        FamilyHash,
        TokenHash,
        CreatedAt,
        ExpiresAt,
        EndedAt,
    }
    let table = Table::create()
        .table(Sessions::Table)
        .col(ColumnDef::new(Sessions::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(Sessions::UserId).uuid().not_null())
        .col(ColumnDef::new(Sessions::Scope).text())
        .col(ColumnDef::new(Sessions::FamilyHash).string_len(43).not_null())
        .col(ColumnDef::new(Sessions::TokenHash).string_len(43).not_null())
        .col(ColumnDef::new(Sessions::CreatedAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::ExpiresAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::EndedAt).date_time())
        .take();
    let index = |name: &str| Index::create().name(name).table(Sessions::Table).take();
    (
        table,
        vec![
            index("ux_sessions_family").col(Sessions::FamilyHash).unique().take(),
            index("ix_sessions_user").col(Sessions::UserId).take(),
            index("ix_sessions_expires").col(Sessions::ExpiresAt).take(),
        ],
    )
}
