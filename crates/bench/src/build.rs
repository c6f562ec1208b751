//! The binaries that are measured.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, say::say};

/// Returns the binary of a package: next to the one of the bench, built now, so that it is that of these sources.
pub fn binary(package: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or("the bench is in no folder")?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    if sources.exists() {
        say(&format!("Building {package}"));
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "-p", package]).current_dir(sources);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        // The target folder may be another than usual.
        if let Some(target) = folder.parent() {
            cargo.arg("--target-dir").arg(target);
        }
        if !cargo.status()?.success() {
            return Err(format!("{package} can't be built").into());
        }
    }
    Ok(folder.join(package))
}
