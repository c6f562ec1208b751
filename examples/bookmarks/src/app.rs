//! Assembles the service.

use std::sync::Arc;

use actix_web::{App, web::Data};
use groundwork_auth::Groups;
use groundwork_core::{Db, Result};
use groundwork_realtime::{Realtime, asyncapi::Contract, bus::Bus, crud::LiveResource};
use groundwork_web::{
    AppEntry, AuthState, Routes, Service, ServiceSettings, WebApp, accounts, openapi::About,
    service::StartError, service::health::Probe, service::settings::Secret,
};

use crate::{migrations::Migrator, resources, user::Users};

/// Returns the route table.
pub fn routes() -> Routes {
    let mut routes = Routes::new();
    routes.prefix("/api/v1");
    accounts::routes::<Users>(&mut routes);
    resources::mount(&mut routes);
    Realtime::routes(&mut routes);
    routes
}

/// Returns the service with these settings.
pub fn service(settings: &ServiceSettings) -> Service<'_> {
    Service { name: "bookmarks", title: "Bookmarks", settings }
}

/// Runs the service until it receives a signal to stop.
pub async fn serve(service: &Service<'_>) -> std::result::Result<(), StartError> {
    let db = service.open().await?;
    service.prepare::<Migrator>(&db).await?;
    let bookmarks = Bookmarks::new(service, db.clone(), &service.jwt_secret()?)?;
    let probe = bookmarks.web_app.probe().clone();
    let _delivery = bookmarks.realtime.start();
    service.run(db, probe, move || create_app(&bookmarks)).await
}

/// The assembled service.
#[derive(Clone, Debug)]
pub struct Bookmarks {
    auth_state: Data<AuthState<Users>>,
    /// Live delivery. It delivers nothing until it is started.
    pub realtime: Realtime,
    web_app: WebApp,
}

impl Bookmarks {
    /// Assembles the service on an open database whose schema is up to date.
    pub fn new(service: &Service<'_>, db: Db, jwt_secret: &Secret) -> Result<Self> {
        let groups = Groups::new([("regular", &[][..])]).granting(resources::scopes());
        let auth = service.auth(db.observers(), Users, groups, jwt_secret)?;
        let auth_state = Arc::new(AuthState { db: db.clone(), auth });
        let live = &service.settings.realtime;
        let realtime = Realtime::new(
            db.clone(),
            auth_state.authenticator(),
            Bus::of(live, service.name, jwt_secret),
            LiveResource::feeds(&resources::live())?,
            None,
            live.into(),
        );
        let probe = Probe::new(db, env!("CARGO_PKG_VERSION")).with_live(Arc::new(realtime.clone()));
        let about = About {
            title: service.title.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Bookmarks with tags, each user's own.".to_owned(),
            token_url: "/api/v1/auth/token".to_owned(),
            ..About::default()
        };
        let frames = Contract::new().with(&resources::live()).document(&about, "/api/v1")?;
        let web_app =
            WebApp::new(service.web_app_options(about), routes(), auth_state.authenticator(), probe)?
                .with_page(move |config| frames.mount(config));
        Ok(Self { auth_state: Data::from(auth_state), realtime, web_app })
    }
}

/// Returns the actix app of the service.
pub fn create_app(bookmarks: &Bookmarks) -> App<impl AppEntry + use<>> {
    let realtime = Data::new(bookmarks.realtime.clone());
    bookmarks.web_app.app().app_data(bookmarks.auth_state.clone()).app_data(realtime)
}
