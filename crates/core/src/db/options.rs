//! The options for opening a database.

use std::time::Duration;

use serde::Deserialize;

use super::{DatabaseUrl, PostgresUrl};
use crate::Result;

/// How to reach a database, and how long its work may take.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// The URL of the database.
    pub url: DatabaseUrl,
    /// A standby server of the database, which answers reads of [`Db::any_reader`](super::Db::any_reader). PostgreSQL only.
    pub replica: Option<PostgresUrl>,
    /// How long a read waits for the replica before the primary answers.
    pub replica_wait: Duration,
    /// A pooler in front of the database that gives each transaction another connection to the server, such as PgBouncer
    /// in the mode `transaction`. Everything goes through it, except for migrations and health checks. PostgreSQL only.
    pub pooler: Option<PostgresUrl>,
    /// The maximum number of connections of this process, at least 2. Half of them read and half of them write; SQLite
    /// has one that writes. Migrations and health checks use one more each.
    pub max_connections: u32,
    /// How long to wait for a free connection before failing with `unavailable`.
    pub acquire_timeout: Duration,
    /// How long a statement in a transaction may take before it is cancelled with `query_timeout`.
    pub statement_timeout: Duration,
    /// How long a statement outside a transaction ([`Db::reader`](super::Db::reader)) may take before it is cancelled
    /// with `query_timeout`.
    pub read_timeout: Duration,
    /// How long a statement waits for a lock that another transaction holds before it fails with `busy`. On SQLite, for
    /// the write lock that another process holds.
    pub lock_timeout: Duration,
    /// How long a transaction may stay open on PostgreSQL without a statement before the server ends it. It frees the
    /// locks of a process that has stopped without closing its connections.
    pub idle_in_transaction_timeout: Duration,
    /// When a commit of SQLite returns.
    pub synchronous: Synchronous,
}

/// What a commit promises on SQLite. PostgreSQL has the setting `synchronous_commit` of its own, which is `on` by default
/// and means the same as [`Synchronous::Full`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// A commit returns when the disk has the data. An acknowledged write survives a crash of the process, a crash of the
    /// operating system and a power failure.
    #[default]
    Full,
    /// A commit returns when the operating system has the data. An acknowledged write survives a crash of the process.
    /// A crash of the operating system or a power failure may take the writes of the last moments; the database stays
    /// consistent. Faster, as only a checkpoint waits for the disk.
    Normal,
}

impl DbOptions {
    /// Returns the defaults: 20 connections, 5 s to get one, 30 s for a statement in a transaction, 5 s for a read, 2 s
    /// for a lock, 10 s idle in a transaction.
    ///
    /// # Errors
    /// `internal` if `url` is not a valid [`DatabaseUrl`]. The error does not repeat it.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self::for_url(url.parse()?))
    }

    /// Returns the defaults for a URL that is already parsed.
    pub fn for_url(url: DatabaseUrl) -> Self {
        Self {
            url,
            replica: None,
            replica_wait: Duration::from_millis(50),
            pooler: None,
            max_connections: 20,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(10),
            synchronous: Synchronous::Full,
        }
    }

    /// Returns the number of connections that read.
    pub(super) fn readers(&self) -> u32 {
        self.max_connections.saturating_sub(self.writers()).max(1)
    }

    /// Returns the number of connections that write.
    pub(super) fn writers(&self) -> u32 {
        if self.url.is_sqlite() { 1 } else { (self.max_connections / 2).max(1) }
    }
}
