//! Starting the server.

use groundwork_core::Db;
use groundwork_web::{Startup, startup::StartError};

use crate::{
    app::{Messenger, create_app},
    migrations::Migrator,
    settings::Settings,
};

/// The messenger under these settings.
pub fn startup(settings: &Settings) -> Startup<'_> {
    Startup { name: "messenger", title: "Actix Messenger", settings: &settings.service }
}

/// Runs the server until it is told to stop.
pub async fn serve(settings: &Settings) -> Result<(), StartError> {
    let startup = startup(settings);
    let db: Db = startup.open().await?;
    startup.prepare::<Migrator>(&db).await?;
    let messenger = Messenger::new(settings, db.clone(), &startup.jwt_secret()?)?;
    let probe = messenger.probe().clone();
    startup.run(db, probe, move || create_app(&messenger)).await
}
