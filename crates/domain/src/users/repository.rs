//! Finding users.

use std::collections::HashSet;

use groundwork_core::ListQuery;
use groundwork_core::{
    CommonBase, Error, Page, PageRequest, Repository, Result, Tx, Uuid, filter::contains, repository::page_of,
};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Select};

use super::entity::{Column, Entity, Model};
use crate::codes::USER_NOT_FOUND;

/// The users.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserRepository;

impl Repository for UserRepository {
    type Entity = Entity;
}

impl UserRepository {
    /// The users who may sign in.
    fn active(self) -> Select<Entity> {
        self.alive().filter(Column::IsActive.eq(true))
    }

    /// The user with that name or address.
    pub async fn find_by_login<C: ConnectionTrait>(self, conn: &C, login: &str) -> Result<Option<Model>> {
        let login = login.to_lowercase();
        let column = if login.contains('@') { Column::Email } else { Column::Username };
        Ok(self.alive().filter(column.eq(login)).one(conn).await?)
    }

    /// The user with that id or name, active or not.
    pub async fn find_by_id_or_name<C: ConnectionTrait>(self, conn: &C, text: &str) -> Result<Option<Model>> {
        match text.parse::<Uuid>() {
            Ok(id) => self.get(conn, id).await,
            Err(_) => Ok(self.alive().filter(Column::Username.eq(text.to_lowercase())).one(conn).await?),
        }
    }

    /// Which of the names are in use by another than `except`, deleted users included.
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

    /// A page of the active users with `text` in their name, or with `text` as their id.
    pub async fn search<C: ConnectionTrait>(
        self,
        conn: &C,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Model>> {
        let matching = match text.parse::<Uuid>() {
            Ok(id) => Column::Id.eq(id),
            Err(_) => contains(Column::Username, text, conn.get_database_backend()),
        };
        page_of(conn, self.active().filter(matching), &ListQuery::default(), page).await
    }

    /// A page of all users, deleted ones among them where `include_deleted` says so.
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

    /// How many superusers may sign in, besides `except`. They are locked, so that two of them can't go at once.
    pub async fn other_superusers(self, tx: &Tx, except: Uuid) -> Result<usize> {
        let others = self.active().filter(Column::Group.eq("superuser"));
        let all = others.lock_exclusive().all(tx).await?;
        Ok(all.iter().filter(|user| Entity::id_of(user) != except).count())
    }
}

fn no_such_user(fields: &[String]) -> Error {
    let mut errors = groundwork_core::FieldErrors::new();
    for field in fields {
        errors.add(field, "not_found", "is no active user");
    }
    USER_NOT_FOUND.error("a user that was named isn't there or isn't active").with_field_errors(errors)
}

/// The names of users, by id, deleted ones included.
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
