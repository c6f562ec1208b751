//! Putting the service together.

use std::sync::Arc;

use actix_web::{
    App, Error,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    web::Data,
};
use groundwork_auth::Groups;
use groundwork_core::{Db, Result};
use groundwork_web::{
    Routes, Service, ServiceSettings, Shell, Startup, accounts, health::Probe, openapi::About,
    settings::Secret, startup::StartError,
};

use crate::{migrations::Migrator, resources, user::Users};

/// The operations.
pub fn routes() -> Routes {
    let mut routes = Routes::new();
    routes.prefix("/api/v1");
    accounts::routes::<Users>(&mut routes);
    resources::mount(&mut routes);
    routes
}

/// The service under these settings.
pub fn startup(settings: &ServiceSettings) -> Startup<'_> {
    Startup { name: "bookmarks", title: "Bookmarks", settings }
}

/// Runs the service until it is told to stop.
pub async fn serve(startup: &Startup<'_>) -> std::result::Result<(), StartError> {
    let db = startup.open().await?;
    startup.prepare::<Migrator>(&db).await?;
    let bookmarks = Bookmarks::new(startup, db.clone(), &startup.jwt_secret()?)?;
    let probe = bookmarks.shell.probe().clone();
    startup.run(db, probe, move || create_app(&bookmarks)).await
}

/// The service, ready to be served.
#[derive(Clone, Debug)]
pub struct Bookmarks {
    service: Data<Service<Users>>,
    shell: Shell,
}

impl Bookmarks {
    /// Puts it together over an open database whose schema is up to date.
    pub fn new(startup: &Startup<'_>, db: Db, jwt_secret: &Secret) -> Result<Self> {
        let groups = Groups::new([("regular", &[][..])]).granting(resources::scopes());
        let auth = startup.auth(Users, groups, jwt_secret)?;
        let probe = Probe::new(db.clone(), env!("CARGO_PKG_VERSION"));
        let service = Arc::new(Service { db, auth });
        let about = About {
            title: startup.title.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Bookmarks with tags, each user's own.".to_owned(),
            scopes: Vec::new(),
            token_url: "/api/v1/auth/token".to_owned(),
        };
        let shell = Shell::new(startup.shell_options(about), routes(), service.authenticator(), probe)?;
        Ok(Self { service: Data::from(service), shell })
    }
}

/// An actix app of the service.
pub fn create_app(
    bookmarks: &Bookmarks,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    bookmarks.shell.app().app_data(bookmarks.service.clone())
}
