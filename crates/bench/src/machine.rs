//! The machine on which was measured.

use std::{fs, io::Write, path::Path, time::Instant};

use serde::{Deserialize, Serialize};

use crate::Result;

/// What a reader has to know to compare.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// The number of cores.
    pub cores: usize,
    /// The memory, in GiB.
    pub memory_gib: u64,
    /// The kernel.
    pub kernel: String,
    /// The median time until 4 KiB are on the disk, in microseconds.
    pub sync_micros: u64,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// The command that measured.
    pub command: String,
    /// The date, by the machine's clock.
    pub date: String,
}

/// Looks at the machine; `folder` is where the data is.
pub fn look(folder: &Path) -> Result<Machine> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
    };
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    Ok(Machine {
        processor: value(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_gib: kib.div_ceil(1024 * 1024),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        sync_micros: sync_micros(folder)?,
        postgres: "No PostgreSQL".into(),
        command: std::iter::once("cargo run --release -p bench --".to_owned())
            .chain(std::env::args().skip(1))
            .collect::<Vec<_>>()
            .join(" "),
        date: date(crate::token::now()?),
    })
}

fn sync_micros(folder: &Path) -> Result<u64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(u64::try_from(begun.elapsed().as_micros())?);
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or(0))
}

/// The date of a time in seconds since 1970, by the algorithm of Howard Hinnant (`civil_from_days`).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_that_of_the_calendar() {
        assert_eq!(super::date(0), "1970-01-01");
        assert_eq!(super::date(951_782_400), "2000-02-29");
        assert_eq!(super::date(1_767_225_599), "2025-12-31");
    }
}
