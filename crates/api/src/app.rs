//! The composition of the messenger.

use std::{sync::Arc, time::Duration};

use actix_web::{App, web::Data};
use groundwork_core::{Db, Gate, Result};
use groundwork_realtime::{Realtime, asyncapi};
use groundwork_web::{
    AppEntry, AuthState, WebApp,
    http::idempotency,
    openapi::{About, Document, Link},
    service::health::Probe,
};
use messenger_domain::{Messages, Threads, Users, messages::SendQueue, scopes};

use crate::{
    page, realtime, resources, routes,
    settings::{Secret, Settings},
    state::{Profiles, State, TURNS, WAITING},
};

/// The version of the service.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The messenger, ready to serve.
#[derive(Clone, Debug)]
pub struct Messenger {
    state: Data<State>,
    auth_state: Data<AuthState<Users>>,
    realtime: Realtime,
    web_app: WebApp,
}

impl Messenger {
    /// Creates the messenger over an open database whose schema is up to date.
    pub fn new(settings: &Settings, db: Db, jwt_secret: &Secret) -> Result<Self> {
        let service = settings.service();
        let groups = scopes::groups().granting(resources::scopes());
        let auth = service.auth(db.observers(), Users::default(), groups, jwt_secret)?;
        let auth_state = Arc::new(AuthState { db: db.clone(), auth: auth.clone() });
        let acquire_timeout = Duration::from_secs(settings.database.database_acquire_timeout_seconds);
        let state = Data::new(State {
            db: db.clone(),
            auth,
            profiles: Profiles::new(&db, settings.session_cache()),
            users: Users::default(),
            threads: Threads::default(),
            messages: Messages::new(settings.messenger.message_delete_policy),
            sends: SendQueue::new(&db, acquire_timeout, idempotency::LIFETIME),
            turns: Gate::new(TURNS, WAITING, acquire_timeout),
        });
        let authenticator = auth_state.authenticator();
        let realtime =
            realtime::realtime(settings, jwt_secret, &db, authenticator.clone(), state.clone().into_inner())?;
        let probe = Probe::new(db, VERSION).with_live(Arc::new(realtime.clone()));
        let web_app = WebApp::new(service.web_app_options(about()), routes::all(), authenticator, probe)?;
        let web_app = if settings.messenger.page { web_app.with_page(page::mount) } else { web_app };
        let live = asyncapi()?;
        let web_app = web_app.with_page(move |config| live.mount(config));
        Ok(Self { state, auth_state: Data::from(auth_state), realtime, web_app })
    }

    /// Live delivery. It delivers nothing until it is started.
    pub fn realtime(&self) -> &Realtime {
        &self.realtime
    }

    /// The state that the handlers share.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The health checks.
    pub fn probe(&self) -> &Probe {
        self.web_app.probe()
    }
}

/// Creates an actix app of the messenger.
pub fn create_app(messenger: &Messenger) -> App<impl AppEntry + use<>> {
    let realtime = Data::new(messenger.realtime.clone());
    let app = messenger.web_app.app().app_data(messenger.state.clone());
    app.app_data(messenger.auth_state.clone()).app_data(realtime)
}

/// Returns the OpenAPI document. It needs no database.
pub fn openapi() -> Result<Document> {
    let mut routes = routes::all();
    groundwork_web::http::app::system_routes(&mut routes);
    Document::new(&groundwork_web::openapi::document(&about(), &routes)?)
}

/// Returns the AsyncAPI document: the frames of live delivery. It needs no database.
pub fn asyncapi() -> Result<asyncapi::Document> {
    realtime::contract().with(&resources::live()).document(&about(), "/api/v1")
}

fn about() -> About {
    About {
        title: "Actix Messenger".to_owned(),
        version: VERSION.to_owned(),
        description: "Accounts, threads and messages.\n\n\
            Press **Authorize** and sign in to try the operations. `POST /api/v1/auth/register` creates an account; after \
            `api seed` the examples work for the user `ada` with the password `Correct-Horse-1`.\n\n\
            - Errors are `application/problem+json` (RFC 9457). `code` identifies the error, and `errors` lists every \
            invalid field. `GET /problems` lists the codes.\n\
            - Lists take either `page` and `size`, or `limit` and `cursor`. Cursors are opaque.\n\
            - Filters are `field=value`, or `field__neq`, `__gt`, `__gte`, `__lt`, `__lte`, `__in`, `__ilike` (contains, \
            ignoring case) and `__isnull`. `order_by=-created_at,username` sorts.\n\
            - A POST by a signed-in caller can carry an `Idempotency-Key`, which makes it safe to repeat.\n\
            - Live events come over a WebSocket, Server-Sent Events or a paged feed: see [the frames](/docs/realtime)."
            .to_owned(),
        contact: Some(Link { name: "The operator of this server".to_owned(), url: None }),
        license: Some(Link { name: "MIT".to_owned(), url: Some("https://spdx.org/licenses/MIT.html".to_owned()) }),
        scopes: scopes::ALL.to_vec(),
        token_url: "/api/v1/auth/token".to_owned(),
        ..About::default()
    }
}
