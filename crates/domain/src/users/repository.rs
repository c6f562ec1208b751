//! The queries for users.

use std::collections::{HashMap, HashSet};

use groundwork_core::{
    Error, FieldErrors, ListQuery, Page, PageRequest, Repository, Result, Timestamp, Tx, Uuid,
    repository::page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    SelectExt, prelude::Expr, sea_query::LockType,
};

use super::{
    entity::{Column, Entity, LastSeen, Model},
    types::PermissionGroup,
};
use crate::codes::{USER_INACTIVE, USER_NOT_FOUND};

/// The queries for users.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserRepository;

impl Repository for UserRepository {
    type Entity = Entity;
}

impl UserRepository {
    /// Selects the users who may sign in.
    pub(super) fn active(self) -> Select<Entity> {
        self.with_deleted().filter(is_active())
    }

    /// Returns the user with that username or e-mail address.
    pub async fn find_by_login<C: ConnectionTrait>(self, conn: &C, login: &str) -> Result<Option<Model>> {
        let login = login.to_lowercase();
        let column = if login.contains('@') { Column::Email } else { Column::Username };
        Ok(self.alive().filter(column.eq(login)).one(conn).await?)
    }

    /// Returns the user with that id or username, active or not.
    pub async fn find_by_id_or_name<C: ConnectionTrait>(self, conn: &C, text: &str) -> Result<Option<Model>> {
        match text.parse::<Uuid>() {
            Ok(id) => self.get(conn, id).await,
            Err(_) => self.find_by_name(conn, text).await,
        }
    }

    /// Returns the user with that username, active or not.
    pub async fn find_by_name<C: ConnectionTrait>(self, conn: &C, name: &str) -> Result<Option<Model>> {
        Ok(self.alive().filter(Column::Username.eq(name.to_lowercase())).one(conn).await?)
    }

    /// Returns the users other than `except` who have the username or the e-mail address, deleted ones included.
    pub async fn taken<C: ConnectionTrait>(
        self,
        conn: &C,
        username: Option<&str>,
        email: Option<&str>,
        except: Option<Uuid>,
    ) -> Result<Vec<Model>> {
        let mut any = Condition::any();
        if let Some(username) = username {
            any = any.add(Column::Username.eq(username));
        }
        if let Some(email) = email {
            any = any.add(Column::Email.eq(email));
        }
        if any.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.with_deleted().filter(any);
        if let Some(except) = except {
            found = found.filter(Column::Id.ne(except));
        }
        Ok(found.limit(2).all(conn).await?)
    }

    /// Returns the active user with that id.
    ///
    /// # Errors
    /// `user_not_found`, or `user_inactive` for a deactivated or deleted user; both name `field`.
    pub async fn active_by_id<C: ConnectionTrait>(self, conn: &C, id: Uuid, field: &str) -> Result<Model> {
        self.require_one(conn, Column::Id.eq(id), field).await
    }

    /// Returns the active user with that username.
    ///
    /// # Errors
    /// As [`active_by_id`](Self::active_by_id).
    pub async fn active_by_name<C: ConnectionTrait>(
        self,
        conn: &C,
        name: &str,
        field: &str,
    ) -> Result<Model> {
        self.require_one(conn, Column::Username.eq(name.to_lowercase()), field).await
    }

    async fn require_one<C: ConnectionTrait>(self, conn: &C, matching: Expr, field: &str) -> Result<Model> {
        match self.with_deleted().filter(matching).one(conn).await? {
            Some(user) if user.is_active && user.deleted_at.is_none() => Ok(user),
            Some(_) => Err(inactive(&[field.to_owned()])),
            None => Err(no_such_user(&[field.to_owned()])),
        }
    }

    /// Checks that all of these users are active.
    ///
    /// # Errors
    /// `user_not_found`, or `user_inactive` if all exist; both name each such user by the index in `field`.
    pub async fn require_active<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid], field: &str) -> Result<()> {
        let found: Vec<(Uuid, bool, Option<Timestamp>)> = self
            .with_deleted()
            .select_only()
            .columns([Column::Id, Column::IsActive, Column::DeletedAt])
            .filter(Column::Id.is_in(ids.iter().copied()))
            .into_tuple()
            .all(conn)
            .await?;
        let known: HashMap<Uuid, bool> = found
            .into_iter()
            .map(|(id, is_active, deleted_at)| (id, is_active && deleted_at.is_none()))
            .collect();
        let those = |state: Option<bool>| -> Vec<String> {
            let matching = ids.iter().enumerate().filter(|(_, id)| known.get(*id).copied() == state);
            matching.map(|(index, _)| format!("{field}.{index}")).collect()
        };
        let (missing, inactives) = (those(None), those(Some(false)));
        if !missing.is_empty() {
            return Err(no_such_user(&missing));
        }
        if inactives.is_empty() { Ok(()) } else { Err(inactive(&inactives)) }
    }

    /// Returns whether a user is active, and keeps them from being deactivated or deleted until the transaction ends.
    ///
    /// To be taken before the lock of a thread, as deactivating a user takes them in this order.
    pub async fn hold_active(self, tx: &Tx, id: Uuid) -> Result<bool> {
        let user = self.active().filter(Column::Id.eq(id)).lock(LockType::Share);
        Ok(user.one(tx).await?.is_some())
    }

    /// Returns those of the users who let nobody see when they are online.
    pub async fn hidden<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let hidden = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::LastSeen.eq(LastSeen::Nobody));
        Ok(hidden.into_tuple().all(conn).await?.into_iter().collect())
    }

    /// Returns whether a user is active.
    pub async fn is_active<C: ConnectionTrait>(self, conn: &C, id: Uuid) -> Result<bool> {
        Ok(self.active().filter(Column::Id.eq(id)).exists(conn).await?)
    }

    /// Returns the users with these ids, in the order of their ids.
    pub async fn by_ids<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid]) -> Result<Vec<Model>> {
        let found = self.alive().filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id);
        Ok(found.all(conn).await?)
    }

    /// Returns a page of all users, including deleted ones if `include_deleted` is true.
    pub async fn list_all<C: ConnectionTrait>(
        self,
        conn: &C,
        query: &ListQuery<Entity>,
        page: PageRequest,
        include_deleted: bool,
    ) -> Result<Page<Model>> {
        let users = if include_deleted { self.with_deleted() } else { self.alive() };
        page_of(conn, users, query, page).await
    }

    /// Stores another hash of the user's password. `updated_at` is that of the profile, and stays.
    pub async fn set_password_hash(self, tx: &Tx, id: Uuid, hash: String) -> Result<()> {
        let user = Entity::update_many().col_expr(Column::PasswordHash, Expr::value(hash));
        user.filter(Column::Id.eq(id)).exec(tx).await?;
        Ok(())
    }

    /// Returns the active superusers, and locks them in the order of their ids.
    pub async fn lock_superusers(self, tx: &Tx) -> Result<Vec<Model>> {
        let superusers = self.active().filter(Column::Group.eq(PermissionGroup::Superuser.name()));
        Ok(superusers.order_by_asc(Column::Id).lock(LockType::NoKeyUpdate).all(tx).await?)
    }

    /// Returns the deleted user with that id, and locks it.
    pub async fn lock_deleted(self, tx: &Tx, id: Uuid) -> Result<Option<Model>> {
        let deleted = self.with_deleted().filter(Column::Id.eq(id)).filter(Column::DeletedAt.is_not_null());
        Ok(deleted.lock(LockType::NoKeyUpdate).one(tx).await?)
    }
}

/// The condition that a user is neither deactivated nor deleted.
pub fn is_active() -> Condition {
    Condition::all().add(Column::IsActive.eq(true)).add(Column::DeletedAt.is_null())
}

fn no_such_user(fields: &[String]) -> Error {
    let errors = each(fields, "not_found", "is not the id or the name of a user");
    USER_NOT_FOUND.error("there is no such user").with_field_errors(errors)
}

fn inactive(fields: &[String]) -> Error {
    let errors = each(fields, "inactive", "is a deactivated user");
    USER_INACTIVE.error("the user is deactivated").with_field_errors(errors)
}

fn each(fields: &[String], code: &'static str, message: &str) -> FieldErrors {
    let mut errors = FieldErrors::new();
    for field in fields {
        errors.add(field, code, message);
    }
    errors
}

/// Returns the usernames of users with their ids, deleted ones included.
pub async fn names<C: ConnectionTrait>(
    conn: &C,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<(Uuid, String)>> {
    let ids: HashSet<Uuid> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: Vec<(Uuid, String)> = Entity::find()
        .select_only()
        .column(Column::Id)
        .column(Column::Username)
        .filter(Column::Id.is_in(ids))
        .into_tuple()
        .all(conn)
        .await?;
    found.sort_unstable();
    Ok(found)
}
