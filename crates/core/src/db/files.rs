//! The files of a SQLite database, which only their owner may read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sea_orm::sqlx::{
    self, AssertSqlSafe, ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions,
};

use crate::{Error, Result, events::epoch::RANDOM};

/// Creates the file if it does not exist, and restricts it and the files beside it to their owner. SQLite creates the files
/// beside it (`-wal`, `-shm`) with the permissions of the file itself.
pub(super) fn secure(file: &Path) -> io::Result<()> {
    match create(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for path in [file.to_owned(), beside(file, "-wal"), beside(file, "-shm")] {
        restrict(&path)?;
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates an empty file that only its owner may read and write. Fails if the file exists.
fn create(file: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(|_| ())
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o777 == 0o600 => Ok(()),
        Ok(_) => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a consistent copy of the database to a new file.
pub(super) async fn copy(options: &SqliteConnectOptions, to: &Path) -> Result<()> {
    let text = to.to_str().ok_or_else(|| Error::internal("the name of the backup is not valid UTF-8"))?;
    create(to).map_err(|error| Error::internal(format!("{text} can't be created: {error}")))?;
    let written = async {
        vacuum_into(options, text).await?;
        renew_log(to).await
    };
    let written = written.await.map_err(|error| error.to_string());
    let written = written.and_then(|()| sync(to).map_err(|error| error.to_string()));
    written.map_err(|error| {
        // A partly written file must not be mistaken for a backup.
        let _ = fs::remove_file(to);
        Error::internal(format!("{text} can't be written: {error}"))
    })
}

async fn vacuum_into(options: &SqliteConnectOptions, to: &str) -> Result<(), sqlx::Error> {
    let mut connection =
        options.clone().create_if_missing(false).disable_statement_logging().connect().await?;
    let sql = format!("VACUUM INTO '{}'", to.replace('\'', "''"));
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.close().await
}

/// Gives the event log of the copy an epoch of its own. Places in the log from after the backup are not valid in a database
/// that is restored from it.
async fn renew_log(copy: &Path) -> Result<(), sqlx::Error> {
    const HAS_LOG: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'event_log')";
    let options = SqliteConnectOptions::new().filename(copy).disable_statement_logging();
    let mut connection = options.connect().await?;
    let has_log: bool = sqlx::query_scalar(HAS_LOG).fetch_one(&mut connection).await?;
    if has_log {
        let sql = format!("UPDATE event_log SET epoch = {}", RANDOM.sqlite);
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    connection.close().await
}

/// `VACUUM INTO` leaves this to its caller.
fn sync(file: &Path) -> io::Result<()> {
    fs::File::open(file)?.sync_all()?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}
