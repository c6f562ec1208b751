//! Recognizing that the log was restored or moved.

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, TransactionTrait};

use super::{
    Entity, Position,
    log::{Sql, no_row, place},
};
use crate::{
    Db, Result,
    db::{Reader, failure},
    error::codes,
};

/// A random number.
pub(crate) const RANDOM: Sql =
    Sql { postgres: "hashtextextended(gen_random_uuid()::text, 0)", sqlite: "random()" };

/// The identity of a log. It changes when the log was restored or moved, so that places in it from before are not valid
/// any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(i64);

impl Epoch {
    /// Returns the bytes, for a cursor.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Returns the epoch with these bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_be_bytes(bytes))
    }
}

/// SQL: what tells the table apart from its copies.
macro_rules! identity {
    () => {
        "(SELECT concat_ws('/', system_identifier,
            (SELECT oid FROM pg_database WHERE datname = current_database()), 'event_log'::regclass::oid)
        FROM pg_control_system())"
    };
}

/// SQL: the epoch, of what is stored and of the identity. A standby has no timeline to write on.
macro_rules! combined {
    ($identity:expr) => {
        concat!(
            "hashtextextended(concat_ws('/', epoch, ",
            $identity,
            "::text, CASE
                WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8)
            END), 0)"
        )
    };
}

/// SQL: the extent of the log.
macro_rules! postgres_extent {
    ($epoch:expr) => {
        concat!(
            "SELECT floor_stamp, floor_position, ",
            $epoch,
            " AS epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS horizon_stamp,
                9223372036854775807 AS horizon_position
            FROM event_log"
        )
    };
}

/// Returns the epoch of the log.
///
/// On PostgreSQL it changes by itself with the server, the database, the table (a restore with `pg_restore --clean`) and the
/// server's timeline (a restore to a point in time, a standby that takes over). Where the database does not tell these, it
/// is the stored number alone, as on SQLite.
pub async fn epoch(conn: &Reader) -> Result<Epoch> {
    const STORED: &str = "SELECT epoch FROM event_log";
    const COMBINED: &str = concat!("SELECT ", combined!("$1"), " AS epoch FROM event_log");
    let row = match identity(conn).await? {
        Some(identity) => {
            let values = [identity.into()];
            conn.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, COMBINED, values)).await?
        }
        None => conn.query_one_raw(Statement::from_string(conn.get_database_backend(), STORED)).await?,
    };
    Ok(Epoch(row.ok_or_else(no_row)?.try_get("", "epoch")?))
}

/// Which log it is, and from where to where it can be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// See [`epoch`].
    pub epoch: Epoch,
    /// See [`floor`](super::floor).
    pub floor: Position,
    /// See [`horizon`](super::horizon).
    pub horizon: Position,
}

/// Returns the same as [`epoch`], [`floor`](super::floor) and [`horizon`](super::horizon), by one statement: what is needed
/// to check a cursor.
pub async fn extent(conn: &Reader) -> Result<Extent> {
    const SQLITE: &str = "
        SELECT epoch, floor_stamp, floor_position, 0 AS horizon_stamp,
            coalesce((SELECT max(position) FROM events), floor_position) AS horizon_position
        FROM event_log";
    let backend = conn.get_database_backend();
    let row = if backend == DbBackend::Postgres {
        let whole = Statement::from_string(backend, postgres_extent!(combined!(identity!())));
        match conn.query_one_raw(whole).await {
            // The role may not ask for the identity.
            Err(error) if failure::code(&error) == codes::INTERNAL => {
                let stored = Statement::from_string(backend, postgres_extent!("epoch"));
                conn.query_one_raw(stored).await?
            }
            row => row?,
        }
    } else {
        conn.query_one_raw(Statement::from_string(backend, SQLITE)).await?
    };
    let row = row.ok_or_else(no_row)?;
    let epoch = Epoch(row.try_get("", "epoch")?);
    Ok(Extent { epoch, floor: place(&row, "floor")?, horizon: place(&row, "horizon")? })
}

/// Recognizes at the start of a service that the log was moved to another PostgreSQL database since its last start, as by a
/// restore from a dump: then it empties the log and gives it a new epoch, and returns true. The stamps are transaction ids
/// of the former server, and would be out of order here, or hold the readers back.
pub async fn adopt(db: &Db) -> Result<bool> {
    // As the row is locked, only one of several servers that start at once empties the log.
    const KNOWN: &str = "SELECT identity FROM event_log FOR UPDATE";
    const ADOPT: &str = "UPDATE event_log SET identity = $1, floor_stamp = 0, floor_position = 0, epoch = ";
    let Some(identity) = identity(db.reader()).await? else { return Ok(false) };
    // Without a limit on the time of a statement: the log may be long.
    let tx = db.schema().begin().await?;
    let known = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, KNOWN)).await?;
    let known: Option<String> = known.ok_or_else(no_row)?.try_get("", "identity")?;
    // None on the first start.
    let is_moved = known.as_ref().is_some_and(|known| *known != identity);
    if known.as_ref() != Some(&identity) {
        let removed = Entity::delete_many().exec(&tx).await?.rows_affected;
        let sql = format!("{ADOPT}{}", RANDOM.postgres);
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [identity.into()])).await?;
        if is_moved {
            tracing::warn!(
                removed,
                "the event log is from another database, so it begins afresh, and clients load afresh"
            );
        }
    }
    tx.commit().await?;
    Ok(is_moved)
}

/// Returns what tells the table apart from its copies: the server, the database, the table. `None` on SQLite, and where the
/// server does not tell.
async fn identity(conn: &Reader) -> Result<Option<String>> {
    const IDENTITY: &str = concat!("SELECT ", identity!(), " AS identity");
    if conn.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    match conn.query_one_raw(Statement::from_string(DbBackend::Postgres, IDENTITY)).await {
        Ok(row) => Ok(row.map(|row| row.try_get("", "identity")).transpose()?),
        // The role may not, or the server is none that has this.
        Err(error) if failure::code(&error) == codes::INTERNAL => Ok(None),
        Err(error) => Err(error.into()),
    }
}
