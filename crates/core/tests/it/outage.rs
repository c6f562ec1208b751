//! What happens while PostgreSQL is away, and how it is reached by TLS.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use groundwork_core::{Db, DbOptions, Result, error::codes};
use groundwork_testkit::postgres::OwnServer;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// Far longer than the test may take: who waits that long has not noticed that the server is away.
const FOREVER: Duration = Duration::from_hours(1);

fn options(url: &str) -> DbOptions {
    DbOptions { acquire_timeout: FOREVER, max_connections: 4, ..DbOptions::new(url).unwrap() }
}

async fn write(db: &Db) -> Result<()> {
    db.write(async |tx| {
        tx.execute_unprepared("CREATE TABLE IF NOT EXISTS t (i int)").await?;
        Ok(())
    })
    .await
}

async fn read(db: &Db) -> Result<()> {
    db.reader().execute_unprepared("SELECT 1").await?;
    Ok(())
}

/// Requests are refused without waiting for a connection once the server is gone, also in the middle of their work.
#[tokio::test]
async fn nobody_waits_for_a_server_that_is_away() {
    let Some(server) = OwnServer::start().await else { return };
    let db = Db::open(&options(&server.url)).await.unwrap();
    write(&db).await.unwrap();

    let held = db.begin().await.unwrap();
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    held.after_commit(move || tell.store(true, Ordering::SeqCst));
    server.stop().await;
    assert_eq!(held.commit().await.unwrap_err().code(), codes::UNAVAILABLE);
    assert!(told.load(Ordering::SeqCst), "nobody knows whether it took effect");
    for _ in 0..5 {
        let (ping, read, write) = tokio::join!(db.ping(), read(&db), write(&db));
        for refused in [ping, read, write] {
            assert_eq!(refused.unwrap_err().code(), codes::UNAVAILABLE);
        }
    }
    assert_eq!(Db::open(&options(&server.url)).await.unwrap_err().code(), codes::UNAVAILABLE);
    db.close().await.unwrap();
}

/// A server that hangs, or a network that loses everything, is not waited for either.
#[tokio::test]
async fn nobody_waits_for_a_server_that_is_silent() {
    // The system accepts the connection, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ada:secret@{}/x", silent.local_addr().unwrap());
    assert_eq!(Db::open(&options(&url)).await.unwrap_err().code(), codes::UNAVAILABLE);
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// Runs openssl in `folder`.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Creates a certificate authority, and a certificate of its own for the name `localhost`.
fn certificates(folder: &Path) {
    openssl(folder, &format!("req -x509 {KEY} -days 2 -subj /CN=Test-CA -keyout ca.key -out ca.crt"));
    openssl(folder, &format!("req -x509 {KEY} -days 2 -subj /CN=Other-CA -keyout other.key -out other.crt"));
    let request = format!("req {KEY} -subj /CN=localhost -keyout server.key -out server.csr");
    openssl(folder, &request);
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost").unwrap();
    let sign = "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names";
    openssl(folder, &format!("{sign} -out server.crt"));
}

/// Makes the certificate of that name and its key those of the server, from its next reload on.
fn install(server: &OwnServer, folder: &Path, name: &str) {
    for kind in ["key", "crt"] {
        let there = server.data.join(format!("server.{kind}"));
        fs::copy(folder.join(format!("{name}.{kind}")), &there).unwrap();
        // PostgreSQL refuses a key that it does not own.
        let owner = format!("--reference={}", server.data.display());
        for (command, argument) in [("chown", owner.as_str()), ("chmod", "600")] {
            assert!(Command::new(command).arg(argument).arg(&there).status().unwrap().success());
        }
    }
}

async fn reload(url: &str) {
    let db = sea_orm::Database::connect(url).await.unwrap();
    db.execute_unprepared("ALTER SYSTEM SET ssl = on").await.unwrap();
    db.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    db.close().await.unwrap();
}

/// Whether a connection with these parameters is encrypted; an error where there is none.
async fn is_encrypted(url: &str, parameters: &str) -> Result<bool> {
    let db = Db::open(&options(&format!("{url}?{parameters}"))).await?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = db.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let ssl = row.unwrap().try_get("", "ssl")?;
    db.close().await?;
    Ok(ssl)
}

/// What `sslmode` and `sslrootcert` mean is what deploy/README.md says.
#[tokio::test]
async fn tls_is_as_documented() {
    let Some(server) = OwnServer::start().await else { return };
    assert!(!is_encrypted(&server.url, "sslmode=prefer").await.unwrap());
    assert!(is_encrypted(&server.url, "sslmode=require").await.is_err(), "the server has no TLS yet");

    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    install(&server, folder.path(), "server");
    reload(&server.url).await;
    while is_encrypted(&server.url, "sslmode=require").await.is_err() {}

    let named = &server.url;
    assert!(named.contains("@localhost:"), "{named}");
    let by_address = named.replace("@localhost:", "@127.0.0.1:");
    let [ca, other] = ["ca.crt", "other.crt"].map(|file| folder.path().join(file).display().to_string());
    for (url, parameters, expected) in [
        (named, "sslmode=disable".to_owned(), Some(false)),
        (named, "sslmode=prefer".to_owned(), Some(true)),
        (named, String::new(), Some(true)),
        (named, "sslmode=require".to_owned(), Some(true)),
        (named, format!("sslmode=verify-ca&sslrootcert={ca}"), Some(true)),
        (named, format!("sslmode=verify-full&sslrootcert={ca}"), Some(true)),
        (&by_address, format!("sslmode=verify-ca&sslrootcert={ca}"), Some(true)),
        (&by_address, format!("sslmode=verify-full&sslrootcert={ca}"), None),
        (named, format!("sslmode=verify-full&sslrootcert={other}"), None),
        (named, format!("sslmode=verify-ca&sslrootcert={other}"), None),
        (named, "sslmode=verify-full".to_owned(), None),
    ] {
        let found = is_encrypted(url, &parameters).await;
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{parameters}: {found:?}");
    }

    // A certificate that is an authority itself, as `openssl req -x509` creates it, is not accepted as a server's.
    install(&server, folder.path(), "other");
    reload(&server.url).await;
    while is_encrypted(named, &format!("sslmode=verify-full&sslrootcert={ca}")).await.is_ok() {}
    assert!(is_encrypted(named, &format!("sslmode=verify-ca&sslrootcert={other}")).await.is_err());

    // One that is no authority is accepted, when it is the one that is named.
    let leaf = "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost";
    let own = format!("req -x509 {KEY} -days 2 -subj /CN=localhost {leaf} -keyout own.key -out own.crt");
    openssl(folder.path(), &own);
    install(&server, folder.path(), "own");
    reload(&server.url).await;
    let own = folder.path().join("own.crt").display().to_string();
    while is_encrypted(named, &format!("sslmode=verify-full&sslrootcert={own}")).await.is_err() {}
    assert!(is_encrypted(named, &format!("sslmode=verify-full&sslrootcert={ca}")).await.is_err());
}
