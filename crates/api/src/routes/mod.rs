//! The messenger's table of operations.

use groundwork_auth::Auth;
use groundwork_core::Code;
use groundwork_realtime::Realtime;
use groundwork_web::{Routes, accounts, accounts::HttpAccounts};
use messenger_domain::{
    Users, codes,
    users::{Profile, entity::Model},
};

use crate::resources;

pub mod messages;
pub mod presence;
pub mod threads;
pub mod users;

/// All operations of the messenger.
pub fn all() -> Routes {
    let mut routes = Routes::new();
    routes.prefix("/api/v1");
    accounts::routes::<MessengerAccounts>(&mut routes);
    users::routes(&mut routes);
    presence::routes(&mut routes);
    threads::routes(&mut routes);
    messages::routes(&mut routes);
    resources::mount(&mut routes);
    Realtime::routes(&mut routes);
    routes
}

/// The messenger's accounts over HTTP.
#[derive(Debug)]
pub struct MessengerAccounts;

impl HttpAccounts for MessengerAccounts {
    type Accounts = Users;
    type Profile = Profile;

    const SIGN_UP_ERRORS: &'static [Code] = &[codes::NAME_TAKEN];

    fn profile(auth: &Auth<Users>, user: &Model) -> Profile {
        Profile::new(user.clone(), auth.groups())
    }
}
