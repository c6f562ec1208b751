//! Fills a database by statements for many rows at once.
//!
//! Indexes that no constraint needs are dropped before and created again afterwards. Foreign keys are not checked: the
//! rows follow a plan. What follows from other rows, such as receipts, is derived by statements.

pub mod sql;
pub mod store;
pub mod tables;
pub mod world;

use self::{sql::Dialect, store::Store, world::World};
use crate::{Result, say::Progress};

/// The password of every user.
pub const PASSWORD: &str = "Correct-Horse-1";
/// The number of messages in one statement.
const CHUNK: u64 = 200_000;

/// Fills the database, which has the schema and no rows.
pub async fn load(store: &mut Store, world: &World) -> Result<()> {
    let dialect = store.dialect();
    let hash = bcrypt::hash_with_result(PASSWORD, 12)?.format_for_version(bcrypt::Version::TwoB);
    let messages: u64 = world.blocks().iter().map(|block| block.threads * block.per_thread).sum();
    let mut progress = Progress::new(&format!("Loading {}", dialect.name()), messages * 2);
    let settings: &[&str] = match dialect {
        // The new tables have no statistics, from which PostgreSQL would choose to join them as a whole.
        Dialect::Postgres => &[
            "SET session_replication_role = replica",
            "SET synchronous_commit = off",
            "SET enable_nestloop = off",
        ],
        Dialect::Sqlite => {
            &["PRAGMA foreign_keys = off", "PRAGMA synchronous = off", "PRAGMA cache_size = -262144"]
        }
    };
    for setting in settings {
        store.run(setting).await?;
    }
    let indexes = store.drop_indexes().await?;
    store.run(&tables::users(dialect, world, &hash)).await?;
    store.run(&tables::sessions(dialect, world)).await?;
    for block in world.blocks() {
        store.run(&tables::threads(dialect, world, block)).await?;
        for participants in tables::participants(dialect, world, block) {
            store.run(&participants).await?;
        }
        let all = block.threads * block.per_thread;
        for from in (0..all).step_by(usize::try_from(CHUNK)?) {
            let to = (from + CHUNK).min(all);
            store.run(&tables::messages(dialect, world, block, (from, to - 1))).await?;
            progress.advance(to - from);
        }
    }
    for (from, to) in tables::spans(messages / CHUNK + 1) {
        store.run(&tables::events(dialect, world, (from, to))).await?;
        progress.advance(messages / (messages / CHUNK + 1));
    }
    for statement in tables::derived(dialect) {
        store.run(&statement).await?;
    }
    progress.step("indexes");
    for index in indexes {
        store.run(&index).await?;
    }
    progress.step("statistics");
    let last: &[&str] = match dialect {
        Dialect::Postgres => &["VACUUM ANALYZE", "CHECKPOINT"],
        Dialect::Sqlite => &["PRAGMA wal_checkpoint(TRUNCATE)"],
    };
    for statement in last {
        store.run(statement).await?;
    }
    progress.end();
    Ok(())
}
