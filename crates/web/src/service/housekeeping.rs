//! Hourly deletion of what is no longer needed: sessions that are over, expired idempotency keys, and old events.
//!
//! ```no_run
//! # async fn example(db: groundwork_core::Db) {
//! use std::time::Duration;
//!
//! use groundwork_web::service::housekeeping;
//!
//! let clearing = tokio::spawn(housekeeping::run(db, Duration::from_hours(24 * 30))); // Service::run does this
//! # clearing.abort();
//! # }
//! ```

use std::time::Duration;

use groundwork_core::{Db, Result, events};

/// The interval.
const INTERVAL: Duration = Duration::from_hours(1);
/// How long a session that is over is kept, so that its tokens are refused with `session_ended` or `token_expired`.
const KEEP_SESSIONS: Duration = Duration::from_hours(24);

/// How long an expired idempotency key is kept, so that none is deleted under a request that is still running.
const KEEP_KEYS: Duration = Duration::from_hours(1);

/// Runs [`sweep`] and removes the events that are older than `keep_events`, immediately and then every hour, without end.
pub async fn run(db: Db, keep_events: Duration) {
    let sweep = || async {
        sweep(&db).await?;
        let removed = events::prune(&db, db.now() - keep_events).await?;
        tracing::debug!(removed, "removed old events");
        Ok(())
    };
    hourly("housekeeping", sweep).await;
}

/// Runs `task` immediately and then every hour, without end. A service runs its own housekeeping with it. An error is
/// logged under `name`, and the task runs again in an hour.
pub async fn hourly<F: Future<Output = Result<()>>>(name: &str, task: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = task().await {
            tracing::warn!(%error, "{name} failed; it runs again in an hour");
        }
    }
}

/// Deletes what is no longer needed, in batches.
pub async fn sweep(db: &Db) -> Result<()> {
    let now = db.now();
    let sessions = groundwork_auth::session::sweep(db, now - KEEP_SESSIONS).await?;
    let keys = crate::http::idempotency::sweep(db, now - KEEP_KEYS).await?;
    tracing::debug!(sessions, keys, "deleted what is no longer needed");
    Ok(())
}
