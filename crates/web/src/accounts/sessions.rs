//! The routes for the caller's sessions.

use actix_web::web::Data;
use groundwork_auth::session::row;
use groundwork_core::{Code, Page, PageRequest, Timestamp, Uuid, error::codes};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AuthState, HttpAccounts};
use crate::{IdPath, Json, NoContent, Path, Problem, Query, Routes, Scoped, http::bearer::SignedIn};

const NO_SESSION: Code = codes::NOT_FOUND.example("there is no such session");

/// A session: one sign-in on one device, with all of its tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// The id.
    pub id: Uuid,
    /// The client, as it describes itself in the header `User-Agent`, at most 200 characters; null if it does not.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    pub device: Option<String>,
    /// The address that it last signed in or refreshed its tokens from.
    #[schema(example = "192.0.2.7")]
    pub address: Option<String>,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it last signed in or refreshed its tokens. It may have been used for the lifetime of an access token after that.
    pub last_used_at: Timestamp,
    /// When it ends unless it is used before.
    pub expires_at: Timestamp,
    /// Whether it is the session of this request.
    pub is_current: bool,
}

impl Session {
    fn new(row: row::Model, current: Uuid) -> Self {
        Self {
            is_current: row.id == current,
            id: row.id,
            device: row.device,
            address: row.address,
            created_at: row.created_at,
            last_used_at: row.used_at.unwrap_or(row.created_at),
            expires_at: row.expires_at,
        }
    }
}

pub(super) fn routes<H: HttpAccounts>(routes: &mut Routes) {
    routes
        .get("/auth/sessions", "auth_sessions", "List your sessions", list::<H>)
        .describe("Returns the sessions that can still be used, the latest sign-in first.");
    routes
        .delete("/auth/sessions", "auth_end_other_sessions", "Sign out everywhere else", end_others::<H>)
        .describe(
            "Ends all your sessions but this one. Their tokens stop working at once, and their live connections are \
             closed.",
        );
    routes
        .delete("/auth/sessions/{id}", "auth_end_session", "End a session", end::<H>)
        .describe(
            "Its tokens stop working at once, and its live connections are closed. It may be the session of this request.",
        )
        .errors(&[NO_SESSION]);
}

async fn list<H: HttpAccounts>(
    caller: Scoped<SignedIn>,
    state: Data<AuthState<H::Accounts>>,
    query: Query<PageRequest>,
) -> Result<Json<Page<Session>>, Problem> {
    let found = state.auth.sessions(&state.db, &caller, query.0).await?;
    Ok(Json(found.map(|row| Session::new(row, caller.session_id))))
}

async fn end_others<H: HttpAccounts>(
    caller: Scoped<SignedIn>,
    state: Data<AuthState<H::Accounts>>,
) -> Result<NoContent, Problem> {
    state.auth.end_other_sessions(&state.db, &caller).await?;
    Ok(NoContent)
}

async fn end<H: HttpAccounts>(
    caller: Scoped<SignedIn>,
    state: Data<AuthState<H::Accounts>>,
    path: Path<IdPath>,
) -> Result<NoContent, Problem> {
    state.auth.end_session(&state.db, &caller, path.0.id).await?;
    Ok(NoContent)
}
