//! The routes for passwords.

use actix_web::web::Data;
use groundwork_auth::password::{BUSY, WRONG_PASSWORD};
use groundwork_core::{FieldErrors, Text, Validate, text::PasswordFormat};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AuthState, HttpAccounts, LoginPassword};
use crate::{Body, NoContent, Problem, Routes, Scoped, http::bearer::SignedIn};

/// A new password. Its lower bound is that of every service; the policy of the service may ask for more.
pub type NewPassword = Text<8, 72, PasswordFormat>;

/// The current password and a new one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "Correct-Horse-1", "new_password": "battery staple 2"}))]
pub struct PasswordChange {
    /// The current password.
    pub current_password: LoginPassword,
    /// At least 8 characters and at most 72 bytes, and none of the most common passwords. The settings of the service may ask
    /// for more.
    pub new_password: NewPassword,
}

impl Validate for PasswordChange {
    fn validate(&self, errors: &mut FieldErrors) {
        self.new_password.check("new_password", errors);
    }
}

pub(super) fn routes<H: HttpAccounts>(routes: &mut Routes) {
    routes
        .put("/auth/password", "auth_change_password", "Change your password", change::<H>)
        .describe(
            "Needs the current password. All your other sessions end at once: their tokens stop working, and their live \
             connections are closed. This session goes on with its tokens.",
        )
        .errors(&[WRONG_PASSWORD, BUSY]);
}

async fn change<H: HttpAccounts>(
    caller: Scoped<SignedIn>,
    state: Data<AuthState<H::Accounts>>,
    body: Body<PasswordChange>,
) -> Result<NoContent, Problem> {
    let PasswordChange { current_password, new_password } = body.0;
    state.auth.change_password(&state.db, &caller, &current_password, &new_password).await?;
    Ok(NoContent)
}
