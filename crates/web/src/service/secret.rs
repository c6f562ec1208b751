//! The JWT secret that the server generates and stores if none is set.
//!
//! ```
//! let folder = tempfile::tempdir().unwrap();
//! let secret = groundwork_web::service::secret::keep(folder.path()).unwrap();
//! let again = groundwork_web::service::secret::keep(folder.path()).unwrap();
//! assert_eq!(secret.expose(), again.expose());
//! ```

use std::{fs, io, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use crate::service::settings::Secret;

const FILE: &str = "jwt-secret";

/// Returns the secret stored in `folder`. The first call generates it, readable by this user only. Two servers that start
/// at the same time get the same secret.
pub fn keep(folder: &Path) -> io::Result<Secret> {
    let path = folder.join(FILE);
    if !path.exists() {
        make(folder, &path)?;
    }
    let text = fs::read_to_string(&path)?;
    let text = text.trim();
    if text.len() < groundwork_auth::keys::MIN_SECRET_BYTES {
        let message = format!("{} contains no secret; delete the file to generate a new one", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Secret::new(text))
}

/// Writes a new secret to a temporary file and links it to its place, which fails if a secret exists. So no reader sees a
/// partly written secret, and none is replaced.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    let (mut random, mut suffix) = ([0; 48], [0; 4]);
    for bytes in [&mut random[..], &mut suffix[..]] {
        getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))?;
    }
    // Named at random, as two servers in containers over one folder both have the process id 1.
    let suffix = u32::from_ne_bytes(suffix);
    let beside = folder.join(format!("{FILE}.{suffix:08x}"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(STANDARD_NO_PAD.encode(random).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
