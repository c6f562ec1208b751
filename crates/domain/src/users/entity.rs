//! The table `users`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;

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
