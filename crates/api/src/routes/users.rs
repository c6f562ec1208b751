//! `/users`: profiles, search and administration.

use actix_web::web::Data;
use groundwork_core::{Code, Error, Page, PageRequest, Result, Total, Uuid, error::codes};
use groundwork_web::{
    Body, IdPath, Idempotent, Json, List, NoContent, Path, Problem, Query, Reply, Routes, Scoped,
    http::{bearer::SignedIn, respond::Rendered},
};
use messenger_domain::{
    codes::{LAST_SUPERUSER, NAME_TAKEN},
    demo,
    scopes::{Profile as ProfileScope, UsersAdmin, UsersRead, UsersSuperuser},
    users::{
        NewGroup, Profile, PublicUser, UserAdminPatch, UserPatch, UserRecord,
        entity::{Entity, Model},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use crate::state::State;

const NO_USER: Code = codes::NOT_FOUND.example("there is no such user");
const NOT_ALLOWED: Code =
    codes::FORBIDDEN.example("only a superuser may manage an administrator or a superuser");

/// Adds the operations.
pub fn routes(routes: &mut Routes) {
    routes
        .tag("users", "Your profile, other users, and their administration.")
        .example("id", demo::CHARLES.to_string());
    routes
        .get("/users/me", "users_me", "Get your profile", me)
        .describe("Returns your profile with your permission group and its scopes.");
    routes
        .patch("/users/me", "users_update_me", "Update your profile", update_me)
        .describe("Changes the given fields. `null` clears a field.")
        .errors(&[NAME_TAKEN]);
    routes
        .delete("/users/me", "users_deactivate_me", "Deactivate your account", deactivate_me)
        .describe(
            "Ends all your sessions and prevents further sign-ins. Your username stays reserved. A group whose only \
             active owner you are gets a new one: the admin who joined first, or else the member who joined first. A \
             group with no other active participant is deleted.",
        )
        .errors(&[LAST_SUPERUSER]);
    routes
        .get("/users/search", "users_search", "Search users", search)
        .describe(
            "Returns active users. Each word of `q`, at most 5, is part of the username, the first name or the last \
             name. `q` can be the id of a user instead.",
        );
    routes
        .get("/users/{id}", "users_get", "Get a user", get)
        .describe("Returns the public profile of a user.")
        .errors(&[NO_USER]);
    routes
        .get("/users", "users_list", "List users", list)
        .describe(
            "With `ids` it returns the public profiles of those users, and needs the scope `profile`. Deactivated \
             users are included; unknown and deleted users are left out. `ids` can't be combined with the other \
             parameters.\n\n\
             Without `ids` it lists all users for administrators, and needs the scope `users:read`. Deleted users are \
             left out unless `include_deleted` is true.",
        )
        .errors(&[codes::MISSING_SCOPE.example("this operation requires the scope users:read")]);
    routes
        .patch("/users/{id}", "users_update", "Update a user", update)
        .describe(
            "Changes the given fields. `null` clears a field. Only a superuser can change an administrator or a \
             superuser. Setting `is_active` to `false` ends all sessions of the user.",
        )
        .errors(&[NO_USER, NOT_ALLOWED, NAME_TAKEN, LAST_SUPERUSER]);
    routes
        .delete("/users/{id}", "users_delete", "Delete a user", delete)
        .describe(
            "Ends all sessions of the user and hides the account. Only a superuser can delete an administrator or a \
             superuser. The user can be restored, and the username stays reserved.",
        )
        .errors(&[NO_USER, NOT_ALLOWED, LAST_SUPERUSER]);
    routes
        .delete("/users/{id}/sessions", "users_end_sessions", "Sign a user out everywhere", end_sessions)
        .describe(
            "Ends all sessions of the user. Only a superuser can end those of an administrator or a superuser. An \
             administrator who ends their own ends the session of this request as well.",
        )
        .errors(&[NO_USER, NOT_ALLOWED]);
    routes
        .post("/users/{id}/restore", "users_restore", "Restore a user", restore)
        .describe("Restores a deleted user. Only a superuser can restore an administrator or a superuser.")
        .errors(&[codes::NOT_FOUND.example("there is no such deleted user"), NOT_ALLOWED]);
    routes
        .put("/users/{id}/group", "users_set_group", "Change the permission group of a user", set_group)
        .describe("Ends all sessions of the user, as their tokens carry the scopes of the previous group.")
        .errors(&[NO_USER, LAST_SUPERUSER]);
}

/// The text to search for, and the page.
#[derive(Debug, Deserialize, ToSchema)]
struct Search {
    /// Part of a username, a first name or a last name, or an id; 1 to 100 characters, at most 5 words.
    #[schema(example = "ad", min_length = 1, max_length = 100)]
    q: String,
    #[serde(flatten)]
    page: PageRequest,
}

/// The users to list, and the page.
#[derive(Debug, Deserialize, ToSchema)]
struct ListUsers {
    /// The ids of at most 100 users, separated by commas.
    #[serde(default)]
    #[schema(example = json!(demo::CHARLES), max_length = 3699)]
    ids: Option<String>,
    /// Whether to include deleted users.
    #[serde(default)]
    #[schema(default = false)]
    include_deleted: bool,
    #[serde(flatten)]
    page: PageRequest,
}

/// A page of users.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Users {
    /// The response without `ids`.
    Records(Page<UserRecord>),
    /// The response with `ids`.
    Profiles(Page<PublicUser>),
}

/// Written by hand: `utoipa` can't derive it for a variant that holds a generic type.
impl PartialSchema for Users {
    fn schema() -> RefOr<Schema> {
        // Any, as an empty page is both. Records first: a client that tries them in order must not match the smaller type
        // first.
        AnyOfBuilder::new()
            .description(Some("A page of users: records without `ids`, public profiles with `ids`."))
            .item(Ref::from_schema_name(Page::<UserRecord>::name()))
            .item(Ref::from_schema_name(Page::<PublicUser>::name()))
            .into()
    }
}

impl ToSchema for Users {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Page::<UserRecord>::name().into_owned(), Page::<UserRecord>::schema()));
        schemas.push((Page::<PublicUser>::name().into_owned(), Page::<PublicUser>::schema()));
        Page::<UserRecord>::schemas(schemas);
        Page::<PublicUser>::schemas(schemas);
    }
}

fn profile(app: &State, user: Model) -> Profile {
    Profile::new(user, app.auth.groups())
}

fn record(app: &State, user: Model) -> UserRecord {
    UserRecord::new(user, app.auth.groups())
}

async fn me(caller: Scoped<ProfileScope>, app: Data<State>) -> Result<Rendered<Profile>, Problem> {
    Ok(app.profile(&caller).await?)
}

async fn update_me(
    caller: Scoped<ProfileScope>,
    app: Data<State>,
    body: Body<UserPatch>,
) -> Result<Json<Profile>, Problem> {
    let update = async |tx: &_| app.users.update_self(tx, &caller, body.0).await;
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
    let found = app.users.search(&app.db.any_reader().await, &query.0.q, query.0.page).await?;
    Ok(Json(found.map(PublicUser::from)))
}

async fn get(
    _: Scoped<ProfileScope>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<Json<PublicUser>, Problem> {
    Ok(Json(app.users.get(&app.db.any_reader().await, path.0.id).await?.into()))
}

async fn list(
    caller: Scoped<SignedIn>,
    app: Data<State>,
    list: List<Entity, ListUsers>,
) -> Result<Json<Users>, Problem> {
    let ListUsers { ids, include_deleted, page } = list.request;
    let Some(ids) = ids else {
        caller.require::<UsersRead>()?;
        let users = app.users.list(&app.db.any_reader().await, &list.query, page, include_deleted).await?;
        return Ok(Json(Users::Records(users.map(|user| record(&app, user)))));
    };
    caller.require::<ProfileScope>()?;
    // Filters would reveal private fields.
    if include_deleted || page != PageRequest::default() || !list.query.is_empty() {
        let message = "can't be combined with other parameters";
        return Err(Error::invalid("ids", "not_allowed", message).into());
    }
    let found = app.users.get_many(&app.db.any_reader().await, &parse_ids(&ids)?).await?;
    let whole = PageRequest { page: 1, size: 100 };
    let total = u64::try_from(found.len()).map_err(Error::internal)?;
    let found = found.into_iter().map(PublicUser::from).collect();
    Ok(Json(Users::Profiles(Page::new(found, Total::exact(total), whole))))
}

pub(super) fn parse_ids(text: &str) -> Result<Vec<Uuid>> {
    let ids: Result<Vec<Uuid>, _> = text.split(',').map(str::parse).collect();
    ids.map_err(|_| Error::invalid("ids", "bad_value", "must be UUIDs, separated by commas"))
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

async fn end_sessions(
    caller: Scoped<UsersAdmin>,
    app: Data<State>,
    path: Path<IdPath>,
) -> Result<NoContent, Problem> {
    app.db.write(async |tx| app.users.end_sessions(tx, &caller, path.0.id).await).await?;
    Ok(NoContent)
}

async fn restore(
    caller: Scoped<UsersAdmin>,
    app: Data<State>,
    path: Path<IdPath>,
    idempotent: Idempotent,
) -> Result<Reply<Json<UserRecord>>, Problem> {
    let restore =
        async |tx: &_| Ok(((), Json(record(&app, app.users.restore(tx, &caller, path.0.id).await?))));
    let replay = async |tx: &_, ()| Ok(Json(record(&app, app.users.get(tx, path.0.id).await?)));
    idempotent.run(&app.db, restore, replay).await
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
