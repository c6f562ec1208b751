//! Starting the server, and stopping it.

use std::{error::Error, fs, net::TcpListener, path::Path, time::Duration};

use messenger_core::{Db, DbOptions};
use messenger_web::server::{self, ServerOptions};

use crate::{
    app::{Messenger, create_app},
    housekeeping, migrate, secret,
    settings::{Secret, Settings},
};

/// Runs the server until it is told to stop.
pub async fn serve(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let db = open(settings).await?;
    if settings.database.migrate_on_start {
        let applied = migrate::up(&db).await?;
        tracing::info!(applied, "the schema is up to date");
    } else if migrate::status(&db).await?.iter().any(|(_, applied)| !applied) {
        return Err(
            "the schema is not up to date; run `api migrate up`, or set MIGRATE_ON_START=true".into(),
        );
    }
    let messenger = Messenger::new(settings, db.clone(), &jwt_secret(settings)?)?;
    let listener = listen(settings)?;
    announce(&listener, settings)?;
    let options = ServerOptions {
        workers: settings.server.workers,
        shutdown_timeout: Duration::from_secs(settings.server.shutdown_timeout_seconds),
        ..ServerOptions::default()
    };
    let clearing = tokio::spawn(housekeeping::run(db.clone()));
    let probe = messenger.probe().clone();
    let app = move || create_app(&messenger);
    let ended = server::serve(listener, options, probe, app, server::stop_signal()).await;
    clearing.abort();
    db.close().await?;
    tracing::info!("stopped");
    Ok(ended?)
}

/// Opens the database of the settings, making the data folder where it isn't there.
pub async fn open(settings: &Settings) -> Result<Db, Box<dyn Error>> {
    if settings.is_embedded() {
        make_folder(&settings.app.data_dir)?;
    }
    let options = DbOptions {
        max_connections: settings.database.database_max_connections,
        acquire_timeout: settings.acquire_timeout(),
        statement_timeout: Duration::from_secs(settings.database.database_statement_timeout_seconds),
        ..DbOptions::new(settings.database_url())
    };
    // The cause, but not the URL: it may hold a password.
    Db::open(&options)
        .await
        .map_err(|error| format!("DATABASE_URL can't be opened: {error}").into())
}

fn jwt_secret(settings: &Settings) -> Result<Secret, Box<dyn Error>> {
    if let Some(secret) = &settings.auth.jwt_secret {
        return Ok(secret.clone());
    }
    make_folder(&settings.app.data_dir)?;
    Ok(secret::keep(&settings.app.data_dir)?)
}

/// Makes a folder that only this user can look into.
fn make_folder(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(folder);
    made.map_err(|error| format!("DATA_DIR {} can't be made: {error}", folder.display()).into())
}

fn listen(settings: &Settings) -> Result<TcpListener, Box<dyn Error>> {
    let (host, port) = (settings.server.host.as_str(), settings.server.port);
    TcpListener::bind((host, port))
        .map_err(|error| format!("HOST {host} and PORT {port} can't be listened on: {error}").into())
}

#[expect(clippy::print_stdout, reason = "for the person who started it")]
fn announce(listener: &TcpListener, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let address = listener.local_addr()?;
    let database = if settings.is_embedded() {
        settings.database_url()
    } else {
        "DATABASE_URL".to_owned()
    };
    println!("Actix Messenger listens on http://{address} (database: {database})");
    println!("Its documentation is at  http://{address}/docs");
    Ok(())
}
