//! The settings: defaults, errors, and generated documents.

use std::{collections::BTreeSet, fs, path::PathBuf};

use api::settings::{Settings, files};
use groundwork_web::service::settings::{Environment, FromEnvironment};

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
    assert_eq!(settings.database_url("messenger").to_string(), "sqlite://data/messenger.db");
    assert_eq!(settings.auth.bcrypt_cost, 12);
    assert!(!settings.is_production());
}

const NATS_URL: &str = "must be nats:// or tls:// with a host, as in nats://user:password@nats.example.org:4222, or \
    several of them, separated by commas; special characters in the user and the password are percent-encoded";

const JWT_KEYS: &str = "must name PEM files with an Ed25519 private key each (`openssl genpkey -algorithm ed25519`), or \
    `secret` for `JWT_SECRET`, separated by commas";

/// An error names the variable and what is allowed, and does not repeat the value.
#[test]
fn every_bound_is_named() {
    let whole = |low: u32, high: u32| format!("must be a whole number from {low} to {high}");
    for (name, values, requirement) in [
        ("WORKERS", ["0", "1025"], whole(1, 1024)),
        ("BODY_LIMIT_BYTES", ["16383", "16777217"], whole(16_384, 16_777_216)),
        ("SHUTDOWN_TIMEOUT_SECONDS", ["-1", "3601"], whole(0, 3600)),
        ("DATABASE_MAX_CONNECTIONS", ["1", "1001"], whole(2, 1000)),
        ("DATABASE_ACQUIRE_TIMEOUT_SECONDS", ["0", "301"], whole(1, 300)),
        ("DATABASE_STATEMENT_TIMEOUT_SECONDS", ["0", "99999999999999999999"], whole(1, 3600)),
        ("DATABASE_READ_TIMEOUT_SECONDS", ["0", "3601"], whole(1, 3600)),
        ("DATABASE_LOCK_TIMEOUT_SECONDS", ["0", "301"], whole(1, 300)),
        ("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", ["0", "3601"], whole(1, 3600)),
        ("ACCESS_TOKEN_MINUTES", ["0", "1441"], whole(1, 1440)),
        ("SESSION_DAYS", ["0", "1.5"], whole(1, 365)),
        ("REFRESH_GRACE_SECONDS", ["-1", "301"], whole(0, 300)),
        ("BCRYPT_COST", ["3", " 12"], whole(4, 20)),
        ("PASSWORD_MIN_CHARS", ["7", "65"], whole(8, 64)),
        ("PASSWORD_COMPOSITION", ["yes", "1"], "must be true or false".to_owned()),
        (
            "JWT_KEYS",
            ["secret, hunter2.pem", "-----BEGIN PRIVATE KEY-----hunter2"],
            format!("{JWT_KEYS}; a file can't be read: No such file or directory (os error 2)"),
        ),
        ("JWT_KEYS", ["Cargo.toml", "secret,Cargo.toml"], format!("{JWT_KEYS}; a file has no such key")),
        ("PORT", ["http", "65536"], whole(0, 65535)),
        ("SQLITE_SYNCHRONOUS", ["off", "FULL"], "must be full or normal".to_owned()),
        ("APP_ENV", ["staging", "PRODUCTION"], "must be development or production".to_owned()),
        ("LOG_FORMAT", ["xml", "JSON"], "must be text or json".to_owned()),
        ("MESSAGE_DELETE_POLICY", ["never", "true"], "must be unread or always".to_owned()),
        ("MIGRATE_ON_START", ["maybe", "2"], "must be true or false".to_owned()),
        (
            "DATABASE_URL",
            ["mysql://hunter2@x", "hunter2"],
            "must begin with postgres:// or sqlite://".to_owned(),
        ),
        ("DATABASE_REPLICA_URL", ["sqlite://hunter2", "hunter2"], "must begin with postgres://".to_owned()),
        ("DATABASE_POOLER_URL", ["sqlite://hunter2", "hunter2"], "must begin with postgres://".to_owned()),
        ("NATS_URL", ["hunter2@localhost", "http://hunter2@localhost"], NATS_URL.to_owned()),
        ("JWT_SECRET", ["hunter2", "short"], "must have 32 to 4096 bytes".to_owned()),
    ] {
        for value in values {
            assert_eq!(read(&[(name, value)]).expect_err(name), format!("{name} {requirement}"));
        }
    }
}

/// Each entry of `CORS_ORIGINS` is checked, and the error names the invalid one.
#[test]
fn origins_are_checked_one_by_one() {
    assert!(read(&[("CORS_ORIGINS", "https://a.example.org,http://localhost:3000")]).is_ok());
    assert!(read(&[("CORS_ORIGINS", "*")]).is_ok());
    let error = read(&[("CORS_ORIGINS", "https://a.example.org,b.example.org")]).unwrap_err();
    assert!(error.starts_with("CORS_ORIGINS must contain origins"), "{error}");
    assert!(error.ends_with("\"b.example.org\" has no scheme"), "{error}");
}

/// All errors are reported at once.
#[test]
fn all_errors_are_told_at_once() {
    let error =
        read(&[("PORT", "http"), ("APP_ENV", "staging"), ("MESSAGE_DELETE_POLICY", "never")]).unwrap_err();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "3 settings are not valid:",
            "  APP_ENV must be development or production",
            "  PORT must be a whole number from 0 to 65535",
            "  MESSAGE_DELETE_POLICY must be unread or always",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_text_is_named() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    let variables = [(OsString::from("HOST"), OsString::from_vec(vec![0xff]))];
    let error = Environment::new(variables).read::<Settings>().unwrap_err();
    assert_eq!(error.to_string(), "HOST must be UTF-8 text");
}

/// SQLite has neither.
#[test]
fn a_replica_and_a_pooler_need_postgres() {
    let (primary, other) = ("postgres://hunter2@localhost/a", "postgres://hunter2@localhost:6432/a");
    for name in ["DATABASE_REPLICA_URL", "DATABASE_POOLER_URL"] {
        assert!(read(&[("DATABASE_URL", primary), (name, other)]).is_ok());
        let error = read(&[(name, other)]).unwrap_err();
        assert_eq!(
            error,
            format!("{name} must be unset, unless DATABASE_URL is that of a PostgreSQL database")
        );
    }
}

#[test]
fn production_needs_a_secret_of_its_own() {
    let error = read(&[("APP_ENV", "production")]).unwrap_err();
    assert!(error.starts_with("JWT_SECRET must be set in production"), "{error}");
    let (short, long) = ("x".repeat(31), "x".repeat(32));
    assert!(read(&[("JWT_SECRET", &short)]).unwrap_err().contains("JWT_SECRET"));
    assert!(read(&[("APP_ENV", "production"), ("JWT_SECRET", &long)]).unwrap().is_production());
}

#[test]
fn secrets_are_not_shown() {
    let secret = "s".repeat(32);
    let url = "postgres://messenger:hunter2@localhost/messenger";
    let nats = "nats://messenger:hunter2@localhost,nats://messenger:hunter2@127.0.0.1";
    let settings = read(&[("JWT_SECRET", &secret), ("DATABASE_URL", url), ("NATS_URL", nats)]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains(&secret) && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_written_files_are_those_of_the_code() {
    for (path, text) in files() {
        let written = fs::read_to_string(root(path)).unwrap();
        assert_eq!(written, text, "run: cargo run -p api -- settings --write");
    }
}

/// The reference describes what each setting allows, and the files set each one once.
#[test]
fn every_setting_is_in_every_file() {
    let settings: Vec<_> = Settings::sections().into_iter().flat_map(|section| section.settings).collect();
    let [(_, reference), (_, local), (_, production)] = files();
    for setting in &settings {
        let row =
            reference.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.name))).unwrap();
        let restricted = setting.name != "PORT" || row.ends_with("Must be a whole number from 0 to 65535. |");
        assert!(restricted && row.contains(&setting.description), "{row}");
    }
    for file in [&local, &production] {
        let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let pairs: Vec<_> = lines.map(|line| line.split_once('=').unwrap()).collect();
        let names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, settings.iter().map(|setting| setting.name.as_str()).collect::<Vec<_>>());
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
        if file == &local {
            read(&pairs).unwrap();
        } else {
            assert!(read(&pairs).unwrap_err().contains("JWT_SECRET"));
            let secret = "x".repeat(32);
            let filled: Vec<_> = pairs.into_iter().chain([("JWT_SECRET", secret.as_str())]).collect();
            assert!(read(&filled).unwrap().is_production());
        }
    }
}

#[test]
fn the_deployment_names_only_settings_that_exist() {
    let settings = Settings::sections().into_iter().flat_map(|section| section.settings);
    let names: BTreeSet<_> = settings.map(|setting| setting.name).collect();
    let foreign = [
        "AF_",
        "API_PORTS",
        "COMPOSE_",
        "DB_PASSWORD",
        "NATS_PASSWORD",
        "ON_ERROR_STOP",
        "POSTGRES_",
        "SSL_CERT_FILE",
    ];
    for file in fs::read_dir(root("deploy")).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with(".env") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for word in words.filter(|word| word.trim_matches('_').contains('_')) {
            let known = names.contains(word) || foreign.iter().any(|prefix| word.starts_with(prefix));
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
