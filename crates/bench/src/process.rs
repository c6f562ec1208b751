//! What processes use, from `/proc`.

use std::{fs, time::Duration};

/// The length of a tick of `/proc/PID/stat`, which is the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time that a process has used so far, in user and in system mode; zero if it is gone.
pub fn cpu(pid: u32) -> Duration {
    ticks(pid, 11..13)
}

/// Returns the CPU time of a process, its children that have ended, and those that run.
pub fn cpu_with_children(pid: u32) -> Duration {
    children(pid).into_iter().fold(ticks(pid, 11..15), |sum, child| sum + cpu_with_children(child))
}

/// Sums fields of `/proc/PID/stat`, counted from the state, which follows the name in parentheses.
fn ticks(pid: u32, fields: std::ops::Range<usize>) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(fields.start).take(fields.len());
    TICK * fields.filter_map(|field| field.parse::<u32>().ok()).sum()
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most so far.
    pub peak: u64,
}

/// Returns the resident memory of a process.
pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    Memory { now: of("VmRSS:"), peak: of("VmHWM:") }
}

/// Returns the resident memory of a process and its children, in KiB.
pub fn memory_of_all(pid: u32) -> u64 {
    children(pid).into_iter().fold(memory(pid).now, |sum, child| sum + memory_of_all(child))
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_this_process_are_known() {
        let pid = std::process::id();
        let mut sum = 0_u64;
        while super::cpu(pid).is_zero() {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(super::cpu_with_children(pid) >= super::cpu(pid));
        let memory = super::memory(pid);
        assert!(memory.peak >= memory.now && memory.now > 0);
    }
}
