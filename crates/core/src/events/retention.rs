//! Removing old events.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{floor, read};
use crate::{Db, Result, Timestamp, Tx};

/// The maximum number of events that one transaction removes.
const BATCH: u64 = 1000;

/// Removes the events from before that time, in the order of the log, up to the first that is newer or not settled.
/// Returns their number. Each step is a short transaction, which also raises the [`floor`].
pub async fn prune(db: &Db, before: Timestamp) -> Result<u64> {
    let mut total = 0;
    loop {
        let removed = db.write(async |tx| prune_batch(tx, before).await).await?;
        total += removed;
        if removed < BATCH {
            return Ok(total);
        }
    }
}

async fn prune_batch(tx: &Tx, before: Timestamp) -> Result<u64> {
    // By `stamp` alone as well, by which PostgreSQL leaves out partitions.
    const REMOVE: &str = "DELETE FROM events WHERE stamp >= $1 AND stamp <= $3 \
        AND (stamp, position) > ($1, $2) AND (stamp, position) <= ($3, $4)";
    const RAISE: &str = "UPDATE event_log SET floor_stamp = $1, floor_position = $2";
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        // One server at a time.
        tx.execute_unprepared("SELECT FROM event_log FOR UPDATE").await?;
    }
    // From the floor on: PostgreSQL's index still has entries for what was removed lately.
    let from = floor(tx).await?;
    let oldest = read(tx, from, BATCH).await?.events;
    let Some(last) = oldest.iter().take_while(|event| event.created_at < before).last() else {
        return Ok(0);
    };
    let to = last.place();
    let range = [from.stamp.into(), from.number.into(), to.stamp.into(), to.number.into()];
    let removed = tx.execute_raw(Statement::from_sql_and_values(backend, REMOVE, range)).await?;
    let floor = [to.stamp.into(), to.number.into()];
    tx.execute_raw(Statement::from_sql_and_values(backend, RAISE, floor)).await?;
    Ok(removed.rows_affected())
}
