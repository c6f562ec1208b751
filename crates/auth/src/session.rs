//! Sessions and their refresh tokens.
//!
//! ```
//! use groundwork_auth::session;
//!
//! // A service's first migrations make the tables.
//! let (tables, indexes) = session::tables_v1();
//! assert_eq!((tables.len(), indexes.len()), (2, 3));
//! ```

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_core::{Db, Error, Result, Timestamp, Tx, Uuid, error::codes};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DeriveIden, EntityTrait, QueryFilter,
    SelectExt, Set, Value,
    prelude::Expr,
    sea_query::{
        ColumnDef, ForeignKey, ForeignKeyAction, Index, IndexCreateStatement, Table, TableCreateStatement,
    },
};
use sha2::{Digest, Sha256};

use crate::Scopes;

/// A signed-in session.
pub mod row {
    use groundwork_core::{Timestamp, Uuid};
    use sea_orm::entity::prelude::*;

    /// A session. `scope` is null where it was not asked for fewer than the group has.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        /// Also the `sid` of its access tokens.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// Whose it is.
        pub user_id: Uuid,
        /// The scopes asked for.
        pub scope: Option<String>,
        /// When it began.
        pub created_at: Timestamp,
        /// When it ends unless it is refreshed.
        pub expires_at: Timestamp,
        /// When it was ended before that.
        pub ended_at: Option<Timestamp>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A refresh token, by its hash.
pub mod refresh_token {
    use groundwork_core::{Timestamp, Uuid};
    use sea_orm::entity::prelude::*;

    /// A refresh token.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "refresh_tokens")]
    pub struct Model {
        /// SHA-256 of the token, base64url. The token has 256 random bits, so no salt is needed.
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        /// The session that it prolongs.
        pub session_id: Uuid,
        /// When it was used.
        pub spent_at: Option<Timestamp>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Begins a session and gives its id and first refresh token.
pub async fn begin(
    tx: &Tx,
    user_id: Uuid,
    scope: Option<&Scopes>,
    lifetime: Duration,
) -> Result<(Uuid, String)> {
    let id = tx.new_id();
    row::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        scope: Set(scope.map(ToString::to_string)),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + lifetime),
        ended_at: Set(None),
    }
    .insert(tx)
    .await?;
    Ok((id, new_refresh_token(tx, id).await?))
}

/// What became of a refresh token that was shown.
#[derive(Debug)]
pub enum Spent {
    /// It was good: here is its session. It can't be used again.
    Now(row::Model),
    /// It had been used before, and so its session was ended. The transaction is to be committed all the same.
    Before,
}

/// Spends a refresh token. Errors: `unauthenticated` where it is none of ours, or its session is over.
pub async fn spend(tx: &Tx, token: &str) -> Result<Spent> {
    let hash = hash_of(token);
    let spent = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::SpentAt, Expr::value(Value::from(tx.now())))
        .filter(refresh_token::Column::Hash.eq(&hash))
        .filter(refresh_token::Column::SpentAt.is_null())
        .exec(tx)
        .await?;
    let found = refresh_token::Entity::find_by_id(&hash).one(tx).await?.ok_or_else(refused)?;
    let session = row::Entity::find_by_id(found.session_id).one(tx).await?.ok_or_else(refused)?;
    if spent.rows_affected == 0 {
        end(tx, session.id).await?;
        tracing::warn!(session = %session.id, user = %session.user_id, "a spent refresh token came back");
        return Ok(Spent::Before);
    }
    if session.ended_at.is_some() || session.expires_at <= tx.now() {
        return Err(refused());
    }
    Ok(Spent::Now(session))
}

/// The refusal of a refresh token, whatever the cause.
pub fn refused() -> Error {
    codes::UNAUTHENTICATED.error("the refresh token is not valid, or was used before")
}

/// Prolongs a session whose token was just spent, and gives its next refresh token.
pub async fn prolong(tx: &Tx, session: Uuid, lifetime: Duration) -> Result<String> {
    row::Entity::update_many()
        .col_expr(row::Column::ExpiresAt, Expr::value(Value::from(tx.now() + lifetime)))
        .filter(row::Column::Id.eq(session))
        .exec(tx)
        .await?;
    new_refresh_token(tx, session).await
}

/// Whether the session is alive: one look-up by primary key.
pub async fn is_alive<C: ConnectionTrait>(conn: &C, session: Uuid) -> Result<bool> {
    let alive = row::Entity::find_by_id(session).filter(row::Column::EndedAt.is_null());
    Ok(alive.exists(conn).await?)
}

/// Ends one session. Its access tokens stop working when the transaction is committed.
pub async fn end(tx: &Tx, session: Uuid) -> Result<()> {
    end_where(tx, row::Column::Id.eq(session)).await
}

/// Ends every session of a user.
pub async fn end_all(tx: &Tx, user_id: Uuid) -> Result<()> {
    end_where(tx, row::Column::UserId.eq(user_id)).await
}

async fn end_where(tx: &Tx, which: Expr) -> Result<()> {
    row::Entity::update_many()
        .col_expr(row::Column::EndedAt, Expr::value(Value::from(tx.now())))
        .filter(which)
        .filter(row::Column::EndedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

/// Removes the sessions that ended or expired before `before`, with their refresh tokens. Gives how many.
pub async fn sweep(db: &Db, before: Timestamp) -> Result<u64> {
    let tx = db.begin().await?;
    let over = Condition::any().add(row::Column::ExpiresAt.lt(before)).add(row::Column::EndedAt.lt(before));
    let done = row::Entity::delete_many().filter(over).exec(&tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected)
}

async fn new_refresh_token(tx: &Tx, session: Uuid) -> Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Error::internal(error.to_string()))?;
    let token = URL_SAFE_NO_PAD.encode(random);
    refresh_token::ActiveModel { hash: Set(hash_of(&token)), session_id: Set(session), spent_at: Set(None) }
        .insert(tx)
        .await?;
    Ok(token)
}

fn hash_of(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

/// The two tables in their first form, for a service's migrations. Never changes: what comes later is a further
/// function.
pub fn tables_v1() -> (Vec<TableCreateStatement>, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum Sessions {
        Table,
        Id,
        UserId,
        Scope,
        CreatedAt,
        ExpiresAt,
        EndedAt,
    }
    #[derive(DeriveIden)]
    enum RefreshTokens {
        Table,
        Hash,
        SessionId,
        SpentAt,
    }
    let sessions = Table::create()
        .table(Sessions::Table)
        .col(ColumnDef::new(Sessions::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(Sessions::UserId).uuid().not_null())
        .col(ColumnDef::new(Sessions::Scope).text())
        .col(ColumnDef::new(Sessions::CreatedAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::ExpiresAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::EndedAt).date_time())
        .take();
    let tokens = Table::create()
        .table(RefreshTokens::Table)
        .col(ColumnDef::new(RefreshTokens::Hash).string_len(43).not_null().primary_key())
        .col(ColumnDef::new(RefreshTokens::SessionId).uuid().not_null())
        .col(ColumnDef::new(RefreshTokens::SpentAt).date_time())
        .foreign_key(
            ForeignKey::create()
                .name("fk_refresh_tokens_session")
                .from(RefreshTokens::Table, RefreshTokens::SessionId)
                .to(Sessions::Table, Sessions::Id)
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    let index = |name: &str| Index::create().name(name).take();
    (
        vec![sessions, tokens],
        vec![
            index("ix_sessions_user").table(Sessions::Table).col(Sessions::UserId).take(),
            index("ix_sessions_expires").table(Sessions::Table).col(Sessions::ExpiresAt).take(),
            index("ix_refresh_tokens_session")
                .table(RefreshTokens::Table)
                .col(RefreshTokens::SessionId)
                .take(),
        ],
    )
}
