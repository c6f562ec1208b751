//! What the service needs when it does little.

use std::{fs, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    drive::{self, Times, work},
    measure::mib,
    process, scenario,
    stage::Stage,
};

/// Sign-ins in a second while others are measured.
const LOGINS: f64 = 8.0;

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Little {
    /// The database.
    pub database: String,
    /// The time of a start on a migrated database, in milliseconds.
    pub start_ms: f64,
    /// The memory after the start, in MiB.
    pub idle_mib: f64,
    /// The size of the binary, in MiB.
    pub binary_mib: f64,
    /// The bytes on the disk for each message, with indexes and events.
    pub bytes_per_message: u64,
    /// p99 of `me` at 8 connections and a quarter of the highest rate, in milliseconds.
    pub me_p99: f64,
    /// The same while others sign in.
    pub me_p99_with_logins: f64,
}

/// Measures it on a stage that has just been made.
pub async fn measure(stage: &Stage, binary: &Path, times: Times) -> Result<Little> {
    let idle_mib = mib(process::memory(stage.service.pid()).now);
    let (bytes, messages) = stage.loaded;
    let all = scenario::all(&stage.ground);
    let request = |name: &str| {
        let found = all.iter().find(|scenario| scenario.name == name);
        found.map(|scenario| scenario.request.clone()).ok_or("no such scenario")
    };
    let (me, login) = (request("me")?, request("login")?);
    let address = stage.service.address;
    let workers = async |count| work::requests(address, count, &me).await;
    let highest = drive::closed(workers(8).await?, 0, times, || ()).await?.rate();
    let rate = highest / 4.0;
    let alone = drive::open(workers(8).await?, 0, rate, times, || ()).await?;
    let logins = work::requests(address, 32, &login).await?;
    let (with_logins, signed_in) = tokio::join!(
        drive::open(workers(8).await?, 0, rate, times, || ()),
        drive::open(logins, 0, LOGINS, times, || ()),
    );
    signed_in?;
    Ok(Little {
        database: stage.ground.dialect.name().into(),
        start_ms: Duration::as_secs_f64(&stage.service.started_in) * 1000.0,
        idle_mib,
        binary_mib: mib(fs::metadata(binary)?.len() / 1024),
        bytes_per_message: bytes / messages.max(1),
        me_p99: alone.quantile(0.99),
        me_p99_with_logins: with_logins?.quantile(0.99),
    })
}
