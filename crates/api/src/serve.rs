//! Starting the server.

use groundwork_core::Db;
use groundwork_web::service::StartError;

use crate::{
    app::{Messenger, create_app},
    migrations::Migrator,
    settings::Settings,
};

/// Runs the server until it is told to stop.
pub async fn serve(settings: &Settings) -> Result<(), StartError> {
    let service = settings.service();
    let db: Db = service.open().await?;
    service.prepare::<Migrator>(&db).await?;
    let messenger = Messenger::new(settings, db.clone(), &service.jwt_secret()?)?;
    let probe = messenger.probe().clone();
    service.run(db, probe, move || create_app(&messenger)).await
}
