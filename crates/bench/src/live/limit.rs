//! How many sockets the system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The files that the service keeps open for each socket.
const FILES_PER_SOCKET: u64 = 1;
/// Files other than those of sockets.
const OTHERS: u64 = 1_000;
/// More than anybody asks for.
const ENOUGH: u64 = 250_000;

/// Raises the number of files that this process, and those that it starts, may have open. Returns how many sockets a service
/// can have then.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Only a privileged process may go beyond the maximum.
    for wanted in
        [Rlimit { current: Some(ENOUGH), maximum: Some(ENOUGH) }, Rlimit { current: limit.maximum, ..limit }]
    {
        if limit.current.is_none_or(|current| current >= ENOUGH)
            || setrlimit(Resource::Nofile, wanted).is_ok()
        {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH).saturating_sub(OTHERS) / FILES_PER_SOCKET
}

/// Cuts a number of sockets to what is allowed, and notes it in `missing`.
pub fn cut(wanted: usize, allowed: u64, missing: &mut Vec<String>) -> usize {
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if wanted <= allowed {
        return wanted;
    }
    missing.push(format!(
        "{wanted} sockets: the system allows {allowed}, by the limit of open files of a process, of which the service \
         takes {FILES_PER_SOCKET} for each socket"
    ));
    allowed
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_allowed_is_not_cut() {
        let mut missing = Vec::new();
        assert_eq!(super::cut(10, 20, &mut missing), 10);
        assert!(missing.is_empty());
        assert_eq!(super::cut(30, 20, &mut missing), 20);
        assert!(missing[0].starts_with("30 sockets"));
    }
}
