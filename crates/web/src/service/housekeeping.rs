//! What is cleared away now and then: sessions that are over, and answers kept for idempotency keys.
//!
//! ```no_run
//! # async fn example(db: groundwork_core::Db) {
//! let clearing = tokio::spawn(groundwork_web::service::housekeeping::run(db)); // Service::run does this
//! # clearing.abort();
//! # }
//! ```

use std::time::Duration;

use groundwork_core::{Db, Result};

/// How often.
const INTERVAL: Duration = Duration::from_hours(1);
/// How long a session that is over is kept, so that a refresh token that comes back is still known to be spent.
const KEEP_SESSIONS: Duration = Duration::from_hours(24);

/// How long an expired idempotency key is kept, so that none is deleted under a request that is still running.
const KEEP_KEYS: Duration = Duration::from_hours(1);

/// Clears away every hour, for ever.
pub async fn run(db: Db) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = sweep(&db).await {
            tracing::warn!(%error, "housekeeping failed; it is tried again in an hour");
        }
    }
}

/// Clears away once.
pub async fn sweep(db: &Db) -> Result<()> {
    let now = db.now();
    let sessions = groundwork_auth::session::sweep(db, now - KEEP_SESSIONS).await?;
    let keys = crate::http::idempotency::sweep(db, now - KEEP_KEYS).await?;
    tracing::debug!(sessions, keys, "cleared away");
    Ok(())
}
