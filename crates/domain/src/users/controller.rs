//! The rules for users.

use groundwork_auth::{Account, Accounts, Caller, session};
use groundwork_core::{
    Change, Code, CommonBase, Controller, Error, FieldErrors, ListQuery, Page, PageRequest, Repository,
    Result, Tx, Uuid, Validate,
    controller::{NewRow, Row},
    error::codes,
    events::{self, NewEvent},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait};

use super::{
    entity::{ActiveModel, Entity, LastSeen, Model},
    repository::UserRepository,
    types::{MAX_IDS, MAX_SEARCH_WORDS, NewUser, PermissionGroup, UserAdminPatch, UserPatch},
};
use crate::{
    codes::{LAST_SUPERUSER, NAME_TAKEN},
    events::{self as subject, USER_UPDATED},
    scopes::{UsersAdmin, UsersSuperuser},
    threads::Threads,
};

/// The rules for users. Each method that changes a user checks who calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Users {
    repository: UserRepository,
}

/// A new account, with the hash of its password.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The user to create.
    pub user: NewUser,
    /// The bcrypt hash of the password.
    pub password_hash: String,
    /// The permission group.
    pub group: PermissionGroup,
}

impl Validate for NewAccount {
    fn validate(&self, errors: &mut FieldErrors) {
        self.user.validate(errors);
    }
}

impl Users {
    /// Creates a user. This does not check who calls: it serves signing up and the command line.
    ///
    /// # Errors
    /// `invalid`, `name_taken`.
    pub async fn create_account(&self, tx: &Tx, account: NewAccount) -> Result<Model> {
        UserRules::by(None).create(tx, account).await
    }

    /// Returns the user with that id, active or not.
    ///
    /// # Errors
    /// `not_found`, also for a deleted user.
    pub async fn get<C: ConnectionTrait>(&self, conn: &C, id: Uuid) -> Result<Model> {
        UserRules::by(None).get(conn, id).await
    }

    /// Returns the users with these ids, active or not. Unknown and deleted ones are left out.
    ///
    /// # Errors
    /// `invalid` for more than [`MAX_IDS`].
    pub async fn get_many<C: ConnectionTrait>(&self, conn: &C, ids: &[Uuid]) -> Result<Vec<Model>> {
        require_few(ids)?;
        self.repository.by_ids(conn, ids).await
    }

    /// Returns the user who signs in with that username or e-mail address.
    pub async fn find_by_login<C: ConnectionTrait>(&self, conn: &C, login: &str) -> Result<Option<Model>> {
        self.repository.find_by_login(conn, login).await
    }

    /// Returns a page of the active users that match `text`: its words are each part of the username, the first name or
    /// the last name, or it is the user's id.
    ///
    /// # Errors
    /// `invalid` if `text` is blank or has more than [`MAX_SEARCH_WORDS`] words.
    pub async fn search<C: ConnectionTrait>(
        &self,
        conn: &C,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Model>> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.len() {
            0 => Err(Error::invalid("q", "blank", "must not be blank")),
            1..=MAX_SEARCH_WORDS => self.repository.search(conn, &words, page).await,
            _ => {
                let message = format!("must have at most {MAX_SEARCH_WORDS} words");
                Err(Error::invalid("q", "too_many_words", message))
            }
        }
    }

    /// Returns a page of all users, including deleted ones if `include_deleted` is true.
    pub async fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<Entity>,
        page: PageRequest,
        include_deleted: bool,
    ) -> Result<Page<Model>> {
        self.repository.list_all(conn, query, page, include_deleted).await
    }

    /// Changes the caller's own profile.
    ///
    /// # Errors
    /// `invalid`, `not_found`, `name_taken`.
    pub async fn update_self(&self, tx: &Tx, caller: &Caller, patch: UserPatch) -> Result<Model> {
        UserRules::by(Some(caller)).update(tx, caller.user_id, patch.into()).await
    }

    /// Deactivates the caller: every session ends, and signing in is refused.
    ///
    /// # Errors
    /// `not_found`, `last_superuser`.
    pub async fn deactivate_self(&self, tx: &Tx, caller: &Caller) -> Result<()> {
        self.lock_for_change(tx, caller.user_id).await?;
        let patch = UserAdminPatch { is_active: Change::Value(false), ..UserAdminPatch::default() };
        UserRules::by(Some(caller)).update(tx, caller.user_id, patch).await?;
        Ok(())
    }

    /// Changes a user as an administrator.
    ///
    /// # Errors
    /// `invalid`, `not_found`, `name_taken`, `last_superuser`, and `forbidden` if the caller may not manage the user
    /// (an administrator manages regular users and themselves, a superuser everybody).
    pub async fn administer(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        patch: UserAdminPatch,
    ) -> Result<Model> {
        require_manageable(caller, &self.lock_for_change(tx, id).await?)?;
        UserRules::by(Some(caller)).update(tx, id, patch).await
    }

    /// Soft-deletes a user.
    ///
    /// # Errors
    /// As [`administer`](Self::administer).
    pub async fn remove(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        require_manageable(caller, &self.lock_for_change(tx, id).await?)?;
        UserRules::by(Some(caller)).delete(tx, id).await
    }

    /// Restores a deleted user.
    ///
    /// # Errors
    /// `not_found` if there is no deleted user with that id; `forbidden` as for [`administer`](Self::administer).
    pub async fn restore(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<Model> {
        let deleted = self.repository.lock_deleted(tx, id).await?;
        require_manageable(caller, &deleted.ok_or_else(|| Error::not_found("deleted user"))?)?;
        UserRules::by(Some(caller)).restore(tx, id).await
    }

    /// Ends all sessions of a user, as an administrator.
    ///
    /// # Errors
    /// `not_found`; `forbidden` as for [`administer`](Self::administer).
    pub async fn end_sessions(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        require_manageable(caller, &self.lock_for_change(tx, id).await?)?;
        session::end_all(tx, id).await
    }

    /// Puts a user into a permission group, and ends their sessions, whose tokens carry the scopes of the old group.
    ///
    /// # Errors
    /// `not_found`, `last_superuser`, and `missing_scope` without the scope `users:superuser`.
    pub async fn set_group(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        group: PermissionGroup,
    ) -> Result<Model> {
        caller.require::<UsersSuperuser>()?;
        let user = self.lock_for_change(tx, id).await?;
        if user.group == group.name() {
            return Ok(user);
        }
        keep_a_superuser(tx, self.repository, &user).await?;
        let row = ActiveModel { id: Set(id), group: Set(group.name().to_owned()), ..ActiveModel::default() };
        let user = self.repository.update(tx, row).await?.ok_or_else(|| Error::not_found(UserRules::NAME))?;
        session::end_all(tx, id).await?;
        note(tx, id, caller.user_id).await?;
        Ok(user)
    }

    /// Locks a user. All active superusers are locked first if the user is one of them, so that two who remove each
    /// other take the locks in the same order.
    async fn lock_for_change(&self, tx: &Tx, id: Uuid) -> Result<Model> {
        let rules = UserRules::by(None);
        if rules.get(tx, id).await?.group == PermissionGroup::Superuser.name() {
            self.repository.lock_superusers(tx).await?;
        }
        rules.lock(tx, id).await
    }
}

/// Refuses more than [`MAX_IDS`].
pub(super) fn require_few(ids: &[Uuid]) -> Result<()> {
    if ids.len() > MAX_IDS {
        return Err(Error::invalid("ids", "too_many", format!("must have at most {MAX_IDS} ids")));
    }
    Ok(())
}

fn require_manageable(caller: &Caller, user: &Model) -> Result<()> {
    let may = caller.has::<UsersSuperuser>()
        || (caller.has::<UsersAdmin>()
            && (user.group == PermissionGroup::Regular.name() || user.id == caller.user_id));
    if may {
        return Ok(());
    }
    Err(codes::FORBIDDEN.error("only a superuser may manage an administrator or a superuser"))
}

async fn keep_a_superuser(tx: &Tx, users: UserRepository, user: &Model) -> Result<()> {
    let is_one = user.is_active && user.group == PermissionGroup::Superuser.name();
    if is_one && users.lock_superusers(tx).await?.iter().all(|other| other.id == user.id) {
        return Err(LAST_SUPERUSER.error("make another user a superuser first"));
    }
    Ok(())
}

async fn note(tx: &Tx, user: Uuid, actor: Uuid) -> Result<()> {
    events::append(tx, NewEvent::new(USER_UPDATED, subject::user(user)).of_user(user).by(actor)).await
}

/// The steps of every change of a user. Private to this file: [`Users`] checks whether the caller may make the change.
struct UserRules {
    repository: UserRepository,
    /// The user who makes the change; `None` for the changed user.
    actor: Option<Uuid>,
}

impl UserRules {
    fn by(caller: Option<&Caller>) -> Self {
        Self { repository: UserRepository, actor: caller.map(|caller| caller.user_id) }
    }

    async fn note(&self, tx: &Tx, user: Uuid) -> Result<()> {
        note(tx, user, self.actor.unwrap_or(user)).await
    }

    /// What comes before a user is deactivated or deleted. The user's row is locked, but not changed yet: a change of the
    /// username would keep messages of theirs waiting for it that are being sent into the groups to pass on.
    async fn before_leaving(&self, tx: &Tx, user: &Model) -> Result<()> {
        keep_a_superuser(tx, self.repository, user).await?;
        Threads::default().pass_on_groups(tx, user.id, self.actor.unwrap_or(user.id)).await
    }

    /// Names the field that is taken. Where two requests race, the unique index decides.
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
}

impl Controller for UserRules {
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
            first_name: Set(user.first_name.map(String::from)),
            last_name: Set(user.last_name.map(String::from)),
            bio: Set(None),
            is_active: Set(true),
            mfa_enabled: Set(false),
            group: Set(group.name().to_owned()),
            last_seen: Set(LastSeen::default()),
            last_seen_at: Set(None),
            ..ActiveModel::default()
        }
    }

    fn apply(&self, patch: UserAdminPatch, row: &mut ActiveModel) {
        if let Some(username) = patch.username.into_value() {
            row.username = Set(username.to_lowercase());
        }
        if let Some(email) = patch.email.into_change() {
            row.email = Set(email.map(|email| email.to_lowercase()));
            row.email_confirmed = Set(false);
        }
        if let Some(confirmed) = patch.email_confirmed.into_value() {
            row.email_confirmed = Set(confirmed);
        }
        if let Some(first_name) = patch.first_name.into_change() {
            row.first_name = Set(first_name.map(String::from));
        }
        if let Some(last_name) = patch.last_name.into_change() {
            row.last_name = Set(last_name.map(String::from));
        }
        if let Some(bio) = patch.bio.into_change() {
            row.bio = Set(bio.map(String::from));
        }
        if let Some(last_seen) = patch.last_seen.into_value() {
            row.last_seen = Set(last_seen);
        }
        if let Some(is_active) = patch.is_active.into_value() {
            row.is_active = Set(is_active);
        }
    }

    async fn before_create(&self, tx: &Tx, row: &mut NewRow<Self>) -> Result<()> {
        self.refuse_taken(tx, row, None).await
    }

    async fn after_create(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        self.note(tx, row.id).await
    }

    async fn before_update(&self, tx: &Tx, old: &Row<Self>, new: &mut NewRow<Self>) -> Result<()> {
        self.refuse_taken(tx, new, Some(old.id)).await?;
        if old.is_active && matches!(new.is_active, Set(false)) {
            self.before_leaving(tx, old).await?;
        }
        Ok(())
    }

    async fn after_update(&self, tx: &Tx, old: &Row<Self>, new: &Row<Self>) -> Result<()> {
        if old.is_active && !new.is_active {
            session::end_all(tx, new.id).await?;
        }
        self.note(tx, new.id).await
    }

    async fn before_delete(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        self.before_leaving(tx, row).await
    }

    async fn after_delete(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        session::end_all(tx, row.id).await?;
        self.note(tx, row.id).await
    }

    async fn after_restore(&self, tx: &Tx, row: &Row<Self>) -> Result<()> {
        self.note(tx, row.id).await
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
        self.create_account(tx, account).await
    }

    async fn set_password_hash(&self, tx: &Tx, id: Uuid, password_hash: String) -> Result<()> {
        self.repository.set_password_hash(tx, id, password_hash).await
    }
}
