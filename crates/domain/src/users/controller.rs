//! The rules for users.

use groundwork_auth::{Account, Accounts, Caller, session};
use groundwork_core::{
    Code, CommonBase, Controller, Error, FieldErrors, Repository, Result, Tx, Uuid, Validate,
    controller::{NewRow, Row},
    error::codes,
    events::{self, NewEvent},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait};

use super::{
    entity::{ActiveModel, Entity, Model},
    repository::UserRepository,
    types::{NewUser, PermissionGroup, UserAdminPatch},
};
use crate::{
    codes::{LAST_SUPERUSER, NAME_TAKEN},
    events::{self as subject, USER_UPDATED},
    scopes::UsersSuperuser,
};

/// The rules for users.
#[derive(Clone, Copy, Debug, Default)]
pub struct Users {
    repository: UserRepository,
}

/// A new account whose password was hashed.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What was asked for.
    pub user: NewUser,
    /// The bcrypt hash of its password.
    pub password_hash: String,
    /// The permission group to begin in.
    pub group: PermissionGroup,
}

impl Validate for NewAccount {
    fn validate(&self, errors: &mut FieldErrors) {
        self.user.validate(errors);
    }
}

impl Controller for Users {
    type Repository = UserRepository;
    type Create = NewAccount;
    type Patch = UserAdminPatch;

    const NAME: &'static str = "user";
    const CONFLICT: Code = NAME_TAKEN;

    fn repository(&self) -> &UserRepository {
        &self.repository
    }

    fn new_row(&self, input: NewAccount) -> ActiveModel {
        let NewAccount { user, password_hash, group } = input;
        ActiveModel {
            username: Set(user.username.to_lowercase()),
            email: Set(user.email.map(|email| email.to_lowercase())),
            email_confirmed: Set(false),
            password_hash: Set(password_hash),
            first_name: Set(user.first_name),
            last_name: Set(user.last_name),
            bio: Set(None),
            is_active: Set(true),
            mfa_enabled: Set(false),
            group: Set(group.name().to_owned()),
            ..ActiveModel::default()
        }
    }

    fn apply(&self, patch: UserAdminPatch, row: &mut ActiveModel) {
        if let Some(username) = patch.username {
            row.username = Set(username.to_lowercase());
        }
        if let Some(email) = patch.email.into_change() {
            row.email = Set(email.map(|email| email.to_lowercase()));
            row.email_confirmed = Set(false);
        }
        if let Some(confirmed) = patch.email_confirmed {
            row.email_confirmed = Set(confirmed);
        }
        if let Some(first_name) = patch.first_name.into_change() {
            row.first_name = Set(first_name);
        }
        if let Some(last_name) = patch.last_name.into_change() {
            row.last_name = Set(last_name);
        }
        if let Some(bio) = patch.bio.into_change() {
            row.bio = Set(bio);
        }
        if let Some(is_active) = patch.is_active {
            row.is_active = Set(is_active);
        }
    }

    async fn before_create(&self, tx: &Tx, row: &mut NewRow<Self>) -> Result<()> {
        self.refuse_taken(tx, row, None).await
    }

    async fn after_create(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        self.note(tx, row.id, row.id).await
    }

    async fn before_update(&self, tx: &Tx, old: &Row<Self>, new: &mut NewRow<Self>) -> Result<()> {
        self.refuse_taken(tx, new, Some(old.id)).await
    }

    async fn after_update(&self, tx: &Tx, old: &Row<Self>, new: &Row<Self>) -> Result<()> {
        if old.is_active && !new.is_active {
            session::end_all(tx, new.id).await?;
        }
        Ok(())
    }

    async fn after_delete(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        session::end_all(tx, row.id).await
    }
}

impl Users {
    /// Changes the caller's own profile.
    pub async fn update_self(&self, tx: &Tx, caller: &Caller, patch: UserAdminPatch) -> Result<Model> {
        let user = self.update(tx, caller.user_id, patch).await?;
        self.note(tx, user.id, caller.user_id).await?;
        Ok(user)
    }

    /// Deactivates the caller: every session ends, and they can't sign in again. Errors: `last_superuser`.
    pub async fn deactivate_self(&self, tx: &Tx, caller: &Caller) -> Result<()> {
        let user = self.get(tx, caller.user_id).await?;
        self.keep_a_superuser(tx, &user).await?;
        let patch = UserAdminPatch { is_active: Some(false), ..UserAdminPatch::default() };
        self.update(tx, user.id, patch).await?;
        self.note(tx, user.id, user.id).await
    }

    /// Changes any user. Errors: `forbidden` for a superuser unless the caller may manage superusers, and
    /// `last_superuser`.
    pub async fn administer(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        patch: UserAdminPatch,
    ) -> Result<Model> {
        let user = self.manageable(tx, caller, id).await?;
        if patch.is_active == Some(false) {
            self.keep_a_superuser(tx, &user).await?;
        }
        let user = self.update(tx, id, patch).await?;
        self.note(tx, id, caller.user_id).await?;
        Ok(user)
    }

    /// Soft-deletes any user. Errors: as [`administer`](Self::administer).
    pub async fn remove(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        let user = self.manageable(tx, caller, id).await?;
        self.keep_a_superuser(tx, &user).await?;
        self.delete(tx, id).await?;
        self.note(tx, id, caller.user_id).await
    }

    /// Brings a deleted user back.
    pub async fn bring_back(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<Model> {
        let user = self.restore(tx, id).await?;
        self.note(tx, id, caller.user_id).await?;
        Ok(user)
    }

    /// Puts a user into a permission group, and ends their sessions, whose tokens carry the scopes of the old one.
    /// Errors: `last_superuser`.
    pub async fn set_group(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        group: PermissionGroup,
    ) -> Result<Model> {
        let user = self.get(tx, id).await?;
        if user.group == group.name() {
            return Ok(user);
        }
        self.keep_a_superuser(tx, &user).await?;
        let row = ActiveModel { id: Set(id), group: Set(group.name().to_owned()), ..ActiveModel::default() };
        let user = self.repository.update(tx, row).await?.ok_or_else(|| Error::not_found(Self::NAME))?;
        session::end_all(tx, id).await?;
        self.note(tx, id, caller.user_id).await?;
        Ok(user)
    }

    async fn manageable<C: ConnectionTrait>(&self, conn: &C, caller: &Caller, id: Uuid) -> Result<Model> {
        let user = self.get(conn, id).await?;
        if user.group == PermissionGroup::Superuser.name() && !caller.has::<UsersSuperuser>() {
            return Err(codes::FORBIDDEN.error("only a superuser may manage a superuser"));
        }
        Ok(user)
    }

    async fn keep_a_superuser(&self, tx: &Tx, user: &Model) -> Result<()> {
        let is_one = user.is_active && user.group == PermissionGroup::Superuser.name();
        if is_one && self.repository.other_superusers(tx, user.id).await? == 0 {
            return Err(LAST_SUPERUSER.error("make somebody else a superuser first"));
        }
        Ok(())
    }

    /// Names the field that is taken. Where two ask at the same moment, the unique index has the last word.
    async fn refuse_taken(&self, tx: &Tx, row: &ActiveModel, except: Option<Uuid>) -> Result<()> {
        let username = match &row.username {
            Set(username) => Some(username.as_str()),
            _ => None,
        };
        let email = match &row.email {
            Set(email) => email.as_deref(),
            _ => None,
        };
        let taken = self.repository.taken(tx, username, email, except).await?;
        let mut errors = FieldErrors::new();
        let by_name = taken.iter().any(|user| Some(user.username.as_str()) == username);
        errors.check(!by_name, "username", "taken", "is taken");
        let by_email = email.is_some() && taken.iter().any(|user| user.email.as_deref() == email);
        errors.check(!by_email, "email", "taken", "is taken");
        if errors.is_empty() {
            return Ok(());
        }
        Err(NAME_TAKEN.error("another account has that username or e-mail address").with_field_errors(errors))
    }

    async fn note(&self, tx: &Tx, user: Uuid, actor: Uuid) -> Result<()> {
        events::append(tx, NewEvent::new(USER_UPDATED, subject::user(user)).of_user(user).by(actor)).await
    }
}

impl Account for Model {
    fn id(&self) -> Uuid {
        Entity::id_of(self)
    }

    fn password_hash(&self) -> &str {
        &self.password_hash
    }

    fn is_active(&self) -> bool {
        self.is_active
    }

    fn group(&self) -> &str {
        &self.group
    }
}

impl Accounts for Users {
    type Account = Model;
    type SignUp = NewUser;

    fn password<'a>(&self, sign_up: &'a NewUser) -> &'a str {
        &sign_up.password
    }

    async fn find_by_login<C: ConnectionTrait>(&self, conn: &C, login: &str) -> Result<Option<Model>> {
        self.repository.find_by_login(conn, login).await
    }

    async fn lock(&self, tx: &Tx, id: Uuid) -> Result<Option<Model>> {
        Repository::lock(&self.repository, tx, id).await
    }

    async fn create(&self, tx: &Tx, user: NewUser, password_hash: String) -> Result<Model> {
        let account = NewAccount { user, password_hash, group: PermissionGroup::Regular };
        Controller::create(self, tx, account).await
    }
}
