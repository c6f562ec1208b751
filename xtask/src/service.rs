//! Generates a service.

use std::{
    fs,
    path::{Path, PathBuf},
};

use heck::{ToKebabCase, ToSnakeCase, ToTitleCase};

use crate::{resource, spec};

/// The libraries that a service depends on.
const LIBRARIES: [&str; 5] = ["core", "auth", "web", "realtime", "testkit"];

/// Files copied unchanged.
const SHARED: [&str; 6] =
    ["Cargo.lock", "rust-toolchain.toml", "rustfmt.toml", "clippy.toml", "deny.toml", ".gitignore"];

/// Generates a service at `path` and returns what to do next. Errors: the folder is not empty, or its last component is
/// not a valid name.
pub fn make(path: &Path, with_messenger: bool, git: Option<&str>) -> Result<String, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.to_kebab_case() == name;
    if !plain || name.len() > 40 || name == "bookmarks" {
        return Err(format!(
            "the name {name:?} must be in kebab-case, for example my-service, with at most 40 characters"
        ));
    }
    if path.exists() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{} exists and is not empty", path.display()));
    }
    let home = home()?;
    let made =
        if with_messenger { messenger(&home, path, git) } else { plain_service(&home, path, name, git) };
    made.map_err(|error| format!("{}: {error}", path.display()))?;
    if !with_messenger {
        let fields = ["title:string", "body:text?", "done:bool"].map(str::to_owned);
        resource::write(path, &spec::Resource::parse("Item", &fields)?)?;
    }
    let run = if with_messenger { "cargo run -p api" } else { "cargo run" };
    Ok(format!(
        "Created {} with the libraries of {}. Next, in that folder:\n  {run}\n  cargo test{}",
        path.display(),
        git.map_or_else(|| home.display().to_string(), str::to_owned),
        if with_messenger { " --workspace" } else { "" }
    ))
}

/// Returns the repository of this program; `cargo run` sets the folder of its crate.
fn home() -> Result<PathBuf, String> {
    let krate = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run this as `cargo xtask`")?;
    let home = Path::new(&krate).join("..");
    home.canonicalize().map_err(|error| format!("{}: {error}", home.display()))
}

fn plain_service(home: &Path, path: &Path, name: &str, git: Option<&str>) -> std::io::Result<()> {
    let template = home.join("examples/bookmarks");
    let (snake, title) = (name.to_snake_case(), name.to_title_case());
    let rename = |text: String| {
        text.replace("bookmarks::", &format!("{snake}::"))
            .replace("\"bookmarks\"", &format!("\"{name}\""))
            .replace("title: \"Bookmarks\"", &format!("title: \"{title}\""))
            .replace("Bookmarks with tags, each user's own.", &format!("{title}."))
            .replace(
                "Bookmarks: a small service with accounts, built on the groundwork libraries.",
                &format!("{title}: a service with accounts."),
            )
            .replace("bookmarks", "assembled")
            .replace("Bookmarks", "Assembled")
    };
    for file in [
        "src/main.rs",
        "src/lib.rs",
        "src/app.rs",
        "src/user.rs",
        "src/migrations.rs",
        "tests/it/support.rs",
        "tests/it/accounts.rs",
    ] {
        write(&path.join(file), &rename(fs::read_to_string(template.join(file))?))?;
    }
    let mine = |line: &&str| !line.contains("bookmark") && *line != "mod live;";
    for file in ["src/resources/mod.rs", "tests/it/main.rs"] {
        let text = fs::read_to_string(template.join(file))?;
        let kept: Vec<_> = text.lines().filter(mine).collect();
        write(&path.join(file), &(kept.join("\n") + "\n"))?;
    }
    let readme = format!(
        "# {title}\n\nRun it with `cargo run`: the documentation is at <http://127.0.0.1:8080/docs>. Test it with `cargo test`.\n\n\
         Each resource has a file in `src/resources` and a line in each list of `src/resources/mod.rs`. Its changes are live \
         at `/api/v1/ws`, `/api/v1/events` and `/api/v1/sync`.\n"
    );
    write(&path.join("README.md"), &readme)?;
    share(home, path)?;
    let manifest = fs::read_to_string(template.join("Cargo.toml"))?;
    let manifest = manifest
        .replace("name = \"bookmarks\"", &format!("name = \"{name}\""))
        .replace("A small service built on the groundwork libraries", &format!("{title}, a service"));
    write(&path.join("Cargo.toml"), &format!("{manifest}\n{}", workspace(home, git, &[])?))
}

/// The messenger itself, to be changed; the library crates stay dependencies.
fn messenger(home: &Path, path: &Path, git: Option<&str>) -> std::io::Result<()> {
    for folder in ["crates/domain", "crates/api", "migration", "deploy", ".envs", "docs"] {
        copy(&home.join(folder), &path.join(folder))?;
    }
    share(home, path)?;
    fs::copy(home.join(".dockerignore"), path.join(".dockerignore"))?;
    let own = [("messenger-domain", "crates/domain"), ("migration", "migration")];
    write(&path.join("Cargo.toml"), &workspace(home, git, &own)?)
}

fn share(home: &Path, path: &Path) -> std::io::Result<()> {
    for file in SHARED {
        fs::copy(home.join(file), path.join(file))?;
    }
    Ok(())
}

/// Returns the workspace part of a manifest: that of this repository, with the libraries as dependencies on it.
fn workspace(home: &Path, git: Option<&str>, own: &[(&str, &str)]) -> std::io::Result<String> {
    let manifest = fs::read_to_string(home.join("Cargo.toml"))?;
    let mut lines = Vec::new();
    for line in manifest.lines() {
        let key = line.split(" = ").next().unwrap_or_default();
        let library = LIBRARIES.iter().find(|library| key == format!("groundwork-{library}"));
        if let Some(library) = library {
            lines.push(match git {
                Some(url) => format!("{key} = {{ git = {url:?} }}"),
                None => format!("{key} = {{ path = \"{}/crates/{library}\" }}", home.display()),
            });
        } else if line.starts_with("members") {
            if !own.is_empty() {
                lines.push("members = [\"crates/*\", \"migration\"]".to_owned());
            }
        } else if line.contains("path = \"") {
            if own.iter().any(|(name, _)| *name == key) {
                lines.push(line.to_owned());
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // `deploy/.env` holds the secrets of an installation.
        if entry.file_name() == ".env" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("deploy"), folder.path().join("copy"));
        for file in [".env", "compose.yml"] {
            write(&from.join(file), "JWT_SECRET=secret").unwrap();
        }
        copy(&from, &to).unwrap();
        assert!(to.join("compose.yml").exists());
        assert!(!to.join(".env").exists());
    }
}
