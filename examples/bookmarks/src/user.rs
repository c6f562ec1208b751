//! The table `users`, and the accounts based on it.

use groundwork_auth::{Account, Accounts, Auth};
use groundwork_core::{
    Code, Error, FieldErrors, Repository, Result, Timestamp, Tx, Uuid, Validate, base, common_base,
    db::conflict_as, error::codes,
};
use groundwork_web::accounts::HttpAccounts;
use sea_orm::{ActiveValue::Set, ConnectionTrait, entity::prelude::*};
use sea_orm_migration::{
    schema::{boolean, string, string_uniq},
    sea_query::{IndexCreateStatement, TableCreateStatement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// The username, in lower case.
    pub username: String,
    /// The bcrypt hash of the password.
    pub password_hash: String,
    /// Whether the user can sign in.
    pub is_active: bool,
}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

/// The table and its indexes in their first version. Never changes: a later change is another migration.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    let table = base::table_v1("users")
        .col(string_uniq("username"))
        .col(string("password_hash"))
        .col(boolean("is_active"))
        .take();
    (table, Vec::new())
}

/// The users.
#[derive(Clone, Copy, Debug)]
pub struct Users;

impl Repository for Users {
    type Entity = Entity;
}

/// A new account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 3 to 50 characters.
    #[schema(example = "ada", min_length = 3, max_length = 50)]
    pub username: String,
    /// At least 8 characters and at most 72 bytes, and none of the most common passwords. The settings of the service may ask
    /// for more.
    #[schema(example = "Correct-Horse-1", format = "password", min_length = 8)]
    pub password: String,
}

impl Validate for NewUser {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.length("username", &self.username, 3, 50);
    }
}

/// The profile of the signed-in user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profile {
    /// The id.
    pub id: Uuid,
    /// The username, in lower case.
    #[schema(example = "ada")]
    pub username: String,
}

impl Account for Model {
    fn id(&self) -> Uuid {
        self.id
    }

    fn password_hash(&self) -> &str {
        &self.password_hash
    }

    fn is_active(&self) -> bool {
        self.is_active
    }

    fn group(&self) -> &'static str {
        "regular"
    }
}

impl Accounts for Users {
    type Account = Model;
    type SignUp = NewUser;

    fn password<'a>(&self, sign_up: &'a NewUser) -> &'a str {
        &sign_up.password
    }

    async fn find_by_login<C: ConnectionTrait>(&self, conn: &C, login: &str) -> Result<Option<Model>> {
        self.find_one(conn, Column::Username.eq(login.to_lowercase()).into()).await
    }

    async fn lock(&self, tx: &Tx, id: Uuid) -> Result<Option<Model>> {
        Repository::lock(self, tx, id).await
    }

    async fn create(&self, tx: &Tx, user: NewUser, password_hash: String) -> Result<Model> {
        let row = ActiveModel {
            username: Set(user.username.to_lowercase()),
            password_hash: Set(password_hash),
            is_active: Set(true),
            ..Default::default()
        };
        let made = Repository::create(self, tx, row).await;
        made.map_err(|error: Error| conflict_as(error, || codes::CONFLICT.error("that username is taken")))
    }

    async fn set_password_hash(&self, tx: &Tx, id: Uuid, password_hash: String) -> Result<()> {
        let user = Entity::update_many().col_expr(Column::PasswordHash, Expr::value(password_hash));
        user.filter(Column::Id.eq(id)).exec(tx).await?;
        Ok(())
    }
}

impl HttpAccounts for Users {
    type Accounts = Self;
    type Profile = Profile;

    const SIGN_UP_ERRORS: &'static [Code] = &[codes::CONFLICT];

    fn profile(_: &Auth<Self>, user: &Model) -> Profile {
        Profile { id: user.id, username: user.username.clone() }
    }
}
