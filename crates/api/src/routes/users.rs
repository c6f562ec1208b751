//! `/users`: profiles, search, and what administrators do.

use actix_web::web::Data;
use groundwork_core::{Controller, Page, PageRequest, error::codes};
use groundwork_web::{
    Body, IdPath, Idempotent, Json, List, NoContent, Path, Problem, Query, Reply, Routes, Scoped,
};
use messenger_domain::{
    codes::{LAST_SUPERUSER, NAME_TAKEN},
    scopes::{Profile as ProfileScope, UsersAdmin, UsersRead, UsersSuperuser},
    users::{
        NewGroup, Profile, PublicUser, UserAdminPatch, UserPatch, UserRecord, UserRepository,
        entity::{Entity, Model},
    },
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::state::State;

/// Adds the operations.
pub fn routes(routes: &mut Routes) {
    routes.tag("users", "Profiles, search, and administration");
    routes.get("/users/me", "users_me", "The own profile", me);
    routes
        .patch("/users/me", "users_update_me", "Change the own profile", update_me)
        .describe("A field that isn't mentioned stays as it is; null clears it.")
        .errors(&[NAME_TAKEN]);
    routes
        .delete("/users/me", "users_deactivate_me", "Deactivate the own account", deactivate_me)
        .describe("Every session ends at once, and signing in is refused. The name stays reserved.")
        .errors(&[LAST_SUPERUSER]);
    routes
        .get("/users/search", "users_search", "Find users by part of their name, or by id", search)
        .describe("Active users only.");
    routes.get("/users/{id}", "users_get", "The public profile of a user", get).errors(&[codes::NOT_FOUND]);
    routes
        .get("/users", "users_list", "List all users, with filters", list)
        .describe("For administrators. Deleted users are left out unless `include_deleted=true`.");
    routes
        .patch("/users/{id}", "users_update", "Change a user", update)
        .describe("For administrators. `is_active: false` ends every session of the user at once.")
        .errors(&[codes::NOT_FOUND, codes::FORBIDDEN, NAME_TAKEN, LAST_SUPERUSER]);
    routes
        .delete("/users/{id}", "users_delete", "Delete a user", delete)
        .describe("For administrators. A soft delete: the row stays, the name stays reserved, and it can be restored.")
        .errors(&[codes::NOT_FOUND, codes::FORBIDDEN, LAST_SUPERUSER]);
    routes
        .post("/users/{id}/restore", "users_restore", "Bring a deleted user back", restore)
        .errors(&[codes::NOT_FOUND]);
    routes
        .put("/users/{id}/group", "users_set_group", "Put a user into a permission group", set_group)
        .describe(
            "For superusers. Ends the user's sessions, as their tokens carry the scopes of the old group.",
        )
        .errors(&[codes::NOT_FOUND, LAST_SUPERUSER]);
}

/// What to look for.
#[derive(Debug, Deserialize, ToSchema)]
struct Search {
    /// A part of a username, or an id; 1 to 100 characters.
    #[schema(example = "ad", min_length = 1, max_length = 100)]
    q: String,
    #[serde(flatten)]
    page: PageRequest,
}

/// Which page, and whether with deleted users.
#[derive(Debug, Deserialize, ToSchema)]
struct ListUsers {
    /// Whether deleted users are listed as well.
    #[serde(default)]
    #[schema(default = false)]
    include_deleted: bool,
    #[serde(flatten)]
    page: PageRequest,
}

fn profile(app: &State, user: Model) -> Profile {
    Profile::new(user, app.auth.groups())
}

fn record(app: &State, user: Model) -> UserRecord {
    UserRecord::new(user, app.auth.groups())
}

async fn me(caller: Scoped<ProfileScope>, app: Data<State>) -> Result<Json<Profile>, Problem> {
    Ok(Json(profile(&app, app.users.get(app.db.reader(), caller.user_id).await?)))
}

async fn update_me(
    caller: Scoped<ProfileScope>,
    app: Data<State>,
    body: Body<UserPatch>,
) -> Result<Json<Profile>, Problem> {
    let update = async |tx: &_| app.users.update_self(tx, &caller, body.0.into()).await;
    Ok(Json(profile(&app, app.db.write(update).await?)))
}

async fn deactivate_me(caller: Scoped<ProfileScope>, app: Data<State>) -> Result<NoContent, Problem> {
    app.db.write(async |tx| app.users.deactivate_self(tx, &caller).await).await?;
    Ok(NoContent)
}

async fn search(
    _: Scoped<ProfileScope>,
    app: Data<State>,
    query: Query<Search>,
) -> Result<Json<Page<PublicUser>>, Problem> {
    let found = UserRepository.search(app.db.reader(), &query.0.q, query.0.page).await?;
    Ok(Json(found.map(PublicUser::from)))
}

async fn get(
    _: Scoped<ProfileScope>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<Json<PublicUser>, Problem> {
    Ok(Json(app.users.get(app.db.reader(), path.0.id).await?.into()))
}

async fn list(
    _: Scoped<UsersRead>,
    app: Data<State>,
    list: List<Entity, ListUsers>,
) -> Result<Json<Page<UserRecord>>, Problem> {
    let ListUsers { include_deleted, page } = list.request;
    let users = UserRepository.list_all(app.db.reader(), &list.query, page, include_deleted).await?;
    Ok(Json(users.map(|user| record(&app, user))))
}

async fn update(
    caller: Scoped<UsersAdmin>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<UserAdminPatch>,
) -> Result<Json<UserRecord>, Problem> {
    let update = async |tx: &_| app.users.administer(tx, &caller, path.0.id, body.0).await;
    Ok(Json(record(&app, app.db.write(update).await?)))
}

async fn delete(
    caller: Scoped<UsersAdmin>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<NoContent, Problem> {
    app.db.write(async |tx| app.users.remove(tx, &caller, path.0.id).await).await?;
    Ok(NoContent)
}

async fn restore(
    caller: Scoped<UsersAdmin>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
) -> Result<Reply<Json<UserRecord>>, Problem> {
    let bring_back =
        async |tx: &_| Ok(Json(record(&app, app.users.bring_back(tx, &caller, path.0.id).await?)));
    idempotent.run(&app.db, bring_back).await
}

async fn set_group(
    caller: Scoped<UsersSuperuser>,
    app: Data<State>,
    path: Path<IdPath>,
    body: Body<NewGroup>,
) -> Result<Json<UserRecord>, Problem> {
    let set_group = async |tx: &_| app.users.set_group(tx, &caller, path.0.id, body.0.group).await;
    Ok(Json(record(&app, app.db.write(set_group).await?)))
}
