//! The table `users`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who sees whether a user is online, and when they last were.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LastSeen {
    /// Every user.
    Everyone,
    /// Those who are in a thread with the user.
    #[default]
    Contacts,
    /// Nobody else.
    Nobody,
}

/// A user. `username` and `email` are stored in lower case and are unique. Deactivated and deleted users keep theirs.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// The username, in lower case.
    pub username: String,
    /// The e-mail address, in lower case.
    pub email: Option<String>,
    /// Whether the e-mail address belongs to the user.
    pub email_confirmed: bool,
    /// The bcrypt hash of the password.
    pub password_hash: String,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// A text about the user.
    pub bio: Option<String>,
    /// Whether the user can sign in.
    pub is_active: bool,
    /// Whether signing in needs a second factor.
    pub mfa_enabled: bool,
    /// The permission group, by name.
    pub group: String,
    /// Who sees when the user is online.
    pub last_seen: LastSeen,
    /// When the user was last online, to the minute or so.
    pub last_seen_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[
        Column::Id,
        Column::Username,
        Column::Email,
        Column::EmailConfirmed,
        Column::FirstName,
        Column::LastName,
        Column::IsActive,
        Column::MfaEnabled,
        Column::Group,
        Column::CreatedAt,
        Column::UpdatedAt,
        Column::DeletedAt,
    ];
    const SEARCH: &'static [Column] = &[Column::Username, Column::Email, Column::FirstName, Column::LastName];
}
