//! The queries for users.

use std::collections::HashSet;

use groundwork_core::{
    Error, ListQuery, Page, PageRequest, Repository, Result, Tx, Uuid, filter::contains, repository::page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::LockType,
};

use super::{
    entity::{Column, Entity, Model},
    types::PermissionGroup,
};
use crate::codes::USER_NOT_FOUND;

/// The queries for users.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserRepository;

impl Repository for UserRepository {
    type Entity = Entity;
}

impl UserRepository {
    /// Selects the users who may sign in.
    fn active(self) -> Select<Entity> {
        self.alive().filter(Column::IsActive.eq(true))
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
            Err(_) => Ok(self.alive().filter(Column::Username.eq(text.to_lowercase())).one(conn).await?),
        }
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

    /// The active user with that id. Errors: `user_not_found`, naming `field`.
    pub async fn active_by_id<C: ConnectionTrait>(self, conn: &C, id: Uuid, field: &str) -> Result<Model> {
        let found = self.active().filter(Column::Id.eq(id)).one(conn).await?;
        found.ok_or_else(|| no_such_user(&[field.to_owned()]))
    }

    /// The active user with that name. Errors: `user_not_found`, naming `field`.
    pub async fn active_by_name<C: ConnectionTrait>(
        self,
        conn: &C,
        name: &str,
        field: &str,
    ) -> Result<Model> {
        let found = self.active().filter(Column::Username.eq(name.to_lowercase())).one(conn).await?;
        found.ok_or_else(|| no_such_user(&[field.to_owned()]))
    }

    /// Makes sure that all of them are active users. Errors: `user_not_found`, naming each that isn't by its index in
    /// `field`.
    pub async fn require_active<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid], field: &str) -> Result<()> {
        let found: Vec<Uuid> = self
            .active()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(ids.iter().copied()))
            .into_tuple()
            .all(conn)
            .await?;
        let found: HashSet<Uuid> = found.into_iter().collect();
        let missing: Vec<_> = ids
            .iter()
            .enumerate()
            .filter(|(_, id)| !found.contains(id))
            .map(|(index, _)| format!("{field}.{index}"))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(no_such_user(&missing)) }
    }

    /// Returns the users with these ids, in the order of their ids.
    pub async fn by_ids<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid]) -> Result<Vec<Model>> {
        let found = self.alive().filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id);
        Ok(found.all(conn).await?)
    }

    /// Returns a page of the active users that have each of `words` in the username, the first name or the last name.
    /// One word may be the id of a user instead.
    pub async fn search<C: ConnectionTrait>(
        self,
        conn: &C,
        words: &[&str],
        page: PageRequest,
    ) -> Result<Page<Model>> {
        let backend = conn.get_database_backend();
        let has = |word: &str| {
            [Column::Username, Column::FirstName, Column::LastName]
                .into_iter()
                .fold(Condition::any(), |any, column| any.add(contains(column, word, backend)))
        };
        let matching = match words {
            [word] if let Ok(id) = word.parse::<Uuid>() => Column::Id.eq(id).into(),
            _ => words.iter().fold(Condition::all(), |all, word| all.add(has(word))),
        };
        page_of(conn, self.active().filter(matching), &ListQuery::default(), page).await
    }

    /// Returns a page of all users; of deleted ones as well where `include_deleted` is true.
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

fn no_such_user(fields: &[String]) -> Error {
    let mut errors = groundwork_core::FieldErrors::new();
    for field in fields {
        errors.add(field, "not_found", "is no active user");
    }
    USER_NOT_FOUND.error("a user that was named isn't there or isn't active").with_field_errors(errors)
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
