//! A signed-in session.

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
    /// The hash of the refresh token that was used last, and whose successor is the current one.
    pub spent_hash: Option<String>,
    /// With the token that was used last, it gives the current one.
    pub seed: Option<String>,
    /// When it was refreshed last.
    pub used_at: Option<Timestamp>,
    /// The client that used it last, as it describes itself.
    pub device: Option<String>,
    /// The address that it was last used from.
    pub address: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
