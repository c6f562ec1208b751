//! Reads from a standby server of PostgreSQL, as if they were from the primary.
//!
//! Before a read, the primary is asked how far its log is on the disk, and the standby how far it has replayed that log.
//! The standby answers the read once it has replayed as far. A commit is on the disk before it is acknowledged or seen by
//! anybody, so the read finds everything that was acknowledged or seen before it began, whoever wrote it and on whatever
//! server. Reads that begin at about the same time share one such comparison.
//!
//! If the standby is away, too far behind, or no standby of this primary, the primary answers. It is tried again in the
//! background, so that no read waits for it.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, sqlx::postgres::PgConnectOptions};
use tokio::{sync::Mutex, time::timeout};

use super::{DbOptions, health::Health, postgres, reader::Reader};

/// How long a standby that was away is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the connections to it and to the primary may take.
const CONNECTING: Duration = Duration::from_secs(2);
/// The first and the longest pause between two questions how far the standby is.
const STEPS: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(10));

/// How far the log is on the disk, and which log it is: of which server, database and timeline. Two logs of one server are
/// the same up to a place only on the same timeline. With `synchronous_commit = off`, a commit is acknowledged first.
const PRIMARY: &str = "
    SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS reached,
        concat_ws('/', s.system_identifier, d.oid, left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)) AS log,
        current_setting('synchronous_commit') <> 'off' AS is_sound
    FROM pg_control_system() s, pg_database d
    WHERE d.datname = current_database()";

/// How far the log is replayed. The timeline is that of the last checkpoint, so after a switch it is the former one for a
/// while, and never a later one.
const STANDBY: &str = "
    SELECT coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, 0) AS reached,
        concat_ws('/', s.system_identifier, d.oid, lpad(upper(to_hex(c.timeline_id)), 8, '0')) AS log,
        pg_is_in_recovery() AS is_sound
    FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
    WHERE d.datname = current_database()";

/// A standby server beside its primary.
pub(super) struct Replica {
    standby: Reader,
    /// A connection to each server, for the comparison alone: it must not wait for reads.
    asked: (Reader, Reader),
    /// How long a read waits for the standby before the primary answers it.
    wait: Duration,
    /// When the last comparison began that found the standby as far as the primary.
    compared: Mutex<Option<Instant>>,
    away: std::sync::Mutex<Option<Away>>,
}

/// Why the standby is not used at present.
struct Away {
    reason: String,
    since: Instant,
    is_on_trial: bool,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}

impl Replica {
    /// Compares the servers once, so that a mistake in the settings is in the log from the start.
    pub(super) async fn open(
        primary: &PgConnectOptions,
        standby: &PgConnectOptions,
        options: &DbOptions,
        of_primary: &Health,
    ) -> Arc<Self> {
        let health = Health::postgres(postgres::reading(standby, options));
        let reader = |pool| Reader::new(pool, options.read_timeout);
        let primary = reader(postgres::single(primary, options, of_primary));
        let asked = (primary, reader(postgres::single(standby, options, &health)));
        let replica = Arc::new(Self {
            standby: reader(postgres::pools(standby, options, &health).0),
            asked,
            wait: options.replica_wait,
            compared: Mutex::default(),
            away: std::sync::Mutex::default(),
        });
        replica.try_again().await;
        replica
    }

    /// The connections for reads.
    pub(super) fn standby(&self) -> &Reader {
        &self.standby
    }

    pub(super) async fn close(&self) {
        for reader in [&self.standby, &self.asked.0, &self.asked.1] {
            reader.pool().close().await;
        }
    }

    /// Returns whether the standby has everything that was acknowledged before this call.
    pub(super) async fn is_current(self: &Arc<Self>) -> bool {
        let began = Instant::now();
        !self.is_away() && self.is_compared(began).await
    }

    /// One of the reads that wait compares the servers, and those that began before that share the result.
    async fn is_compared(&self, began: Instant) -> bool {
        let mut compared = self.compared.lock().await;
        if compared.is_some_and(|compared| compared >= began) {
            return true;
        }
        let now = Instant::now();
        // Others that waited have found it away meanwhile.
        if self.lock().is_some() || !self.noted(self.catch_up(self.wait).await) {
            return false;
        }
        *compared = Some(now);
        true
    }

    /// Returns whether the standby is not used at present. Tries it again now and then, in the background.
    fn is_away(self: &Arc<Self>) -> bool {
        let mut away = self.lock();
        let Some(found) = away.as_mut() else { return false };
        if !found.is_on_trial && found.since.elapsed() >= PAUSE {
            found.is_on_trial = true;
            let replica = Arc::clone(self);
            tokio::spawn(async move { replica.try_again().await });
        }
        true
    }

    /// It is used again if it is as far as the primary in the time that a read waits. It may have to be connected to first.
    async fn try_again(&self) {
        let mut outcome = self.catch_up(CONNECTING).await;
        if outcome.is_ok() {
            outcome = self.catch_up(self.wait).await;
        }
        self.noted(outcome);
    }

    /// Notes what a comparison has found, and returns whether the standby can be used.
    fn noted(&self, outcome: Result<(), String>) -> bool {
        let mut away = self.lock();
        match outcome {
            Ok(()) => {
                if away.take().is_some() {
                    tracing::info!("the replica answers reads again");
                }
                true
            }
            Err(reason) => {
                if away.as_ref().is_none_or(|away| away.reason != reason) {
                    tracing::warn!(reason, "the replica is not used, the primary answers all reads");
                }
                *away = Some(Away { reason, since: Instant::now(), is_on_trial: false });
                false
            }
        }
    }

    /// Waits until the standby is as far as the primary was at the begin, at most for `limit`.
    async fn catch_up(&self, limit: Duration) -> Result<(), String> {
        let late = || Err("it does not answer in time, or is too far behind the primary".to_owned());
        timeout(limit, self.until_equal()).await.unwrap_or_else(|_| late())
    }

    async fn until_equal(&self) -> Result<(), String> {
        let (primary, standby) = &self.asked;
        let (primary, found) = tokio::join!(Place::of(primary, PRIMARY), Place::of(standby, STANDBY));
        let (primary, mut found) = (primary?, found?);
        if !primary.is_sound {
            return Err("synchronous_commit is off".to_owned());
        }
        let mut pause = STEPS.0;
        loop {
            if !found.is_sound {
                return Err("it is not a standby server".to_owned());
            }
            if found.log != primary.log {
                return Err("it does not follow the primary: another server, database or timeline".to_owned());
            }
            if found.reached >= primary.reached {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(STEPS.1);
            found = Place::of(standby, STANDBY).await?;
        }
    }

    /// The standby failed in a read.
    pub(super) fn failed(&self, error: &DbErr) {
        let mut away = self.lock();
        if away.is_none() {
            tracing::warn!(%error, "the replica failed, the primary answers");
            *away = Some(Away { reason: error.to_string(), since: Instant::now(), is_on_trial: false });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the log of a server.
struct Place {
    reached: i64,
    log: String,
    is_sound: bool,
}

impl Place {
    async fn of(reader: &Reader, sql: &'static str) -> Result<Self, String> {
        let row = reader.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        let read = |row: QueryResult| {
            let (reached, log) = (row.try_get("", "reached")?, row.try_get("", "log")?);
            Ok::<_, DbErr>(Self { reached, log, is_sound: row.try_get("", "is_sound")? })
        };
        let row = row.map_err(|error| error.to_string())?.ok_or("it does not answer")?;
        read(row).map_err(|error| error.to_string())
    }
}
