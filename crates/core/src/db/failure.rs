//! Maps errors of the database to codes.

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        Error as Sqlx,
        error::DatabaseError,
        postgres::{PgDatabaseError, PgSeverity},
        sqlite::SqliteError,
    },
};

use crate::{Code, error::codes};

/// Returns the code for an error of the database. Transient errors have a code of the kind `Unavailable`, so that the
/// caller retries; all others are `internal`.
pub(crate) fn code(error: &DbErr) -> Code {
    match error {
        DbErr::ConnectionAcquire(_) => codes::UNAVAILABLE,
        DbErr::Conn(RuntimeErr::SqlxError(cause)) => match of_sqlx(cause) {
            code if code == codes::INTERNAL => codes::UNAVAILABLE,
            code => code,
        },
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            of_sqlx(cause)
        }
        _ => codes::INTERNAL,
    }
}

/// See [`Error::had_no_effect`](crate::Error::had_no_effect).
pub(crate) fn had_no_effect(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    match &**cause {
        Sqlx::Database(error) if !ends_session(&**error) => {
            [codes::BUSY, codes::INTERNAL].contains(&of_database(&**error))
        }
        _ => false,
    }
}

/// Returns whether PostgreSQL closes the connection after this error. Then a commit may have been under way.
pub(super) fn ends_session(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

fn of_sqlx(error: &Sqlx) -> Code {
    match error {
        Sqlx::Database(error) => of_database(&**error),
        Sqlx::Io(_) | Sqlx::Tls(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::WorkerCrashed => {
            codes::UNAVAILABLE
        }
        _ => codes::INTERNAL,
    }
}

fn of_database(error: &dyn DatabaseError) -> Code {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        of_sqlstate(error.code())
    } else if error.try_downcast_ref::<SqliteError>().is_some() {
        error.code().and_then(|code| code.parse().ok()).map_or(codes::INTERNAL, of_sqlite)
    } else {
        codes::INTERNAL
    }
}

/// PostgreSQL's codes, from appendix A of its manual.
fn of_sqlstate(state: &str) -> Code {
    match state {
        // query_canceled, idle_in_transaction_session_timeout
        "57014" | "25P03" => codes::QUERY_TIMEOUT,
        // lock_not_available, deadlock_detected, serialization_failure
        "55P03" | "40P01" | "40001" => codes::BUSY,
        // disk_full
        "53100" => codes::STORAGE_FULL,
        // Connection exceptions (08), insufficient resources (53: too_many_connections, out_of_memory), and operator
        // intervention (57P: admin_shutdown, crash_shutdown, cannot_connect_now).
        _ if ["08", "53", "57P"].iter().any(|class| state.starts_with(class)) => codes::UNAVAILABLE,
        _ => codes::INTERNAL,
    }
}

/// SQLite's extended result codes, whose low byte is the primary one.
fn of_sqlite(code: i32) -> Code {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const INTERRUPT: i32 = 9;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    /// The shared memory file of the write-ahead log could not be extended.
    const IOERR_SHMSIZE: i32 = 4874;
    match (code, code & 0xff) {
        (IOERR_SHMSIZE, _) | (_, FULL) => codes::STORAGE_FULL,
        (_, BUSY | LOCKED) => codes::BUSY,
        (_, INTERRUPT) => codes::QUERY_TIMEOUT,
        (_, CANTOPEN) => codes::UNAVAILABLE,
        _ => codes::INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_not_internal() {
        let unavailable = ["57P01", "57P02", "57P03", "57P04", "53300", "53200", "08006"];
        assert!(unavailable.iter().all(|state| of_sqlstate(state) == codes::UNAVAILABLE));
        assert!(["55P03", "40P01", "40001"].iter().all(|state| of_sqlstate(state) == codes::BUSY));
        assert_eq!(of_sqlstate("57014"), codes::QUERY_TIMEOUT);
        assert_eq!(of_sqlstate("53100"), codes::STORAGE_FULL);
        assert!(["23505", "42601", "22001"].iter().all(|state| of_sqlstate(state) == codes::INTERNAL));
        // SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED
        assert!([5, 517, 6].iter().all(|code| of_sqlite(*code) == codes::BUSY));
        assert_eq!(of_sqlite(9), codes::QUERY_TIMEOUT);
        assert_eq!(of_sqlite(13), codes::STORAGE_FULL);
        // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CORRUPT
        assert!([2067, 11].iter().all(|code| of_sqlite(*code) == codes::INTERNAL));
    }
}
