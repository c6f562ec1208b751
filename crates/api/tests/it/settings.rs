//! The settings: what they default to, what they refuse, and that their documents are true.

use std::{collections::BTreeSet, fs, path::PathBuf};

use api::settings::{Settings, names, reference};

fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_pairs(pairs).map_err(|error| error.to_string())
}

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[test]
fn with_nothing_set_it_runs_here() {
    let settings = read(&[("JWT_SECRET", ""), ("PORT", "")]).unwrap();
    assert_eq!((settings.server.host.as_str(), settings.server.port), ("127.0.0.1", 8080));
    assert_eq!(settings.database_url("messenger"), "sqlite://data/messenger.db");
    assert_eq!(settings.auth.bcrypt_cost, 12);
    assert!(!settings.is_production());
}

#[test]
fn every_bound_is_named() {
    for (name, low, high) in [
        ("WORKERS", "0", "1025"),
        ("BODY_LIMIT_BYTES", "16383", "16777217"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "-1", "3601"),
        ("DATABASE_MAX_CONNECTIONS", "0", "1001"),
        ("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "0", "301"),
        ("DATABASE_STATEMENT_TIMEOUT_SECONDS", "0", "3601"),
        ("ACCESS_TOKEN_MINUTES", "0", "1441"),
        ("SESSION_DAYS", "0", "366"),
        ("BCRYPT_COST", "3", "21"),
        ("PORT", "http", "65536"),
        ("APP_ENV", "staging", "PRODUCTION"),
        ("MESSAGE_DELETE_POLICY", "never", "true"),
        ("MIGRATE_ON_START", "maybe", "2"),
        ("DATABASE_URL", "mysql://localhost/x", "messenger.db"),
    ] {
        for value in [low, high] {
            let error = read(&[(name, value)]).expect_err(name).to_uppercase();
            let told =
                error.contains(name) || error.contains("VARIANT") && error.contains(&value.to_uppercase());
            assert!(told, "{name}={value}: {error}");
        }
    }
}

#[test]
fn production_needs_a_secret_of_its_own() {
    let error = read(&[("APP_ENV", "production")]).unwrap_err();
    assert!(error.contains("JWT_SECRET") && error.contains("32"), "{error}");
    let (short, long) = ("x".repeat(31), "x".repeat(32));
    assert!(read(&[("JWT_SECRET", &short)]).unwrap_err().contains("JWT_SECRET"));
    assert!(read(&[("APP_ENV", "production"), ("JWT_SECRET", &long)]).unwrap().is_production());
}

#[test]
fn secrets_are_not_shown() {
    let secret = "s".repeat(32);
    let url = "postgres://messenger:hunter2@localhost/messenger";
    let settings = read(&[("JWT_SECRET", &secret), ("DATABASE_URL", url)]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains(&secret) && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_reference_is_that_of_the_code() {
    let written = fs::read_to_string(root("docs/settings.md")).unwrap();
    assert_eq!(written, reference(), "run: cargo run -p api -- settings > docs/settings.md");
}

#[test]
fn the_files_name_every_setting_once() {
    for file in [".envs/.local", ".envs/.production"] {
        let text = fs::read_to_string(root(file)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let pairs: Vec<_> = lines.map(|line| line.split_once('=').unwrap()).collect();
        let named: BTreeSet<_> = pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!((named.len(), &named), (pairs.len(), &names()), "{file}");
        if file.ends_with("production") {
            assert!(read(&pairs).unwrap_err().contains("JWT_SECRET"));
            let secret = "x".repeat(32);
            let filled: Vec<_> = pairs.into_iter().chain([("JWT_SECRET", secret.as_str())]).collect();
            let filled: Vec<_> = filled.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            assert!(read(&filled).unwrap().is_production());
        } else {
            read(&pairs).unwrap();
        }
    }
}

#[test]
fn the_deployment_names_only_settings_that_exist() {
    let foreign = ["AF_", "DB_PASSWORD", "POSTGRES_"];
    for file in fs::read_dir(root("deploy")).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with(".env") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for word in words.filter(|word| word.trim_matches('_').contains('_')) {
            let known = names().contains(word) || foreign.iter().any(|prefix| word.starts_with(prefix));
            assert!(known, "{} names {word}, which is not a setting", path.display());
        }
    }
}

#[test]
fn the_secret_is_made_once_and_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let folder = folder.path().to_owned();
            std::thread::spawn(move || api::secret::keep(&folder).unwrap().expose().to_owned())
        })
        .collect();
    let secrets: BTreeSet<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(secrets.len(), 1);
    assert!(secrets.first().unwrap().len() >= 32);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join("jwt-secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
