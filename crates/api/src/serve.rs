//! The command `serve`.

use std::time::Duration;

use groundwork_core::Db;
use groundwork_web::service::{StartError, housekeeping};
use messenger_domain::messages;

use crate::{
    app::{Messenger, create_app},
    migrations::Migrator,
    settings::Settings,
};

/// Runs the server until the process receives a signal to stop.
pub async fn serve(settings: &Settings) -> Result<(), StartError> {
    let service = settings.service();
    let db: Db = service.open().await?;
    service.prepare::<Migrator>(&db).await?;
    let messenger = Messenger::new(settings, db.clone(), &service.jwt_secret()?)?;
    let probe = messenger.probe().clone();
    let _delivery = messenger.realtime().start();
    let sweeping = actix_web::rt::spawn(sweep_receipts(db.clone(), settings.messenger.receipt_detail_days));
    let ended = service.run(db, probe, move || create_app(&messenger)).await;
    sweeping.abort();
    ended
}

/// Folds old receipts every hour.
async fn sweep_receipts(db: Db, detail_days: u64) {
    let detail = Duration::from_hours(24 * detail_days);
    let sweep = || async {
        messages::housekeeping::sweep(&db, detail).await?;
        Ok(())
    };
    housekeeping::hourly("folding receipts", sweep).await;
}
