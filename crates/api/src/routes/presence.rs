//! Who is online.

use actix_web::web::Data;
use groundwork_core::{Timestamp, Uuid};
use groundwork_realtime::{Realtime, Status};
use groundwork_web::{Json, Problem, Query, Routes, Scoped};
use messenger_domain::{demo, scopes::Profile as ProfileScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::parse_ids;
use crate::state::State;

/// Adds `/users/presence`.
pub fn routes(routes: &mut Routes) {
    routes.get("/users/presence", "users_presence", "List who is online", list).describe(
        "Returns whether these users are online, and when they were last online. Users who do not show it to you are left \
         out: see `last_seen` in your profile. A WebSocket or an event stream gets changes as `presence` events.",
    );
}

/// Which users.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ids {
    /// The ids of at most 100 users, separated by commas.
    #[schema(example = json!(demo::CHARLES))]
    ids: String,
}

/// Whether a user is online.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPresence {
    /// The user.
    pub user_id: Uuid,
    /// Whether they are online, on any server.
    pub status: Status,
    /// When they were last online; null if they are, or never were. Stored within a minute.
    pub last_seen_at: Option<Timestamp>,
}

/// The presence of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct Presences {
    /// Those who show it to you, in the order of their ids.
    pub items: Vec<UserPresence>,
}

async fn list(
    caller: Scoped<ProfileScope>,
    app: Data<State>,
    realtime: Data<Realtime>,
    query: Query<Ids>,
) -> Result<Json<Presences>, Problem> {
    let shown = app.users.presence(&app.db.any_reader().await, &caller, &parse_ids(&query.0.ids)?).await?;
    let ids: Vec<Uuid> = shown.iter().map(|user| user.user_id).collect();
    let items = shown.into_iter().zip(realtime.statuses(&ids)).map(|(user, status)| UserPresence {
        user_id: user.user_id,
        status,
        last_seen_at: user.last_seen_at.filter(|_| status == Status::Offline),
    });
    Ok(Json(Presences { items: items.collect() }))
}
