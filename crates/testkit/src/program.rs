//! Programs that tests start, which a machine may lack.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Returns a program, on the path or where Debian installs it; `None` if it is not installed, which is said once.
///
/// # Panics
/// If it is not installed, and the variable `required` is `1`.
pub(crate) fn find(name: &'static str, required: &str) -> Option<PathBuf> {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    #[expect(clippy::disallowed_methods, reason = "looking for a program, and a switch for the tests")]
    let (path, is_required) =
        (std::env::var("PATH"), std::env::var(required).is_ok_and(|value| value == "1"));
    let path = path.unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.exists());
    if found.is_none() {
        assert!(!is_required, "{required}=1, and {name} is not installed");
        // Not `eprintln!`, which is held back for a test that passes.
        if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            let line = format!("tests with {name} are skipped, as it is not installed\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
    found
}
