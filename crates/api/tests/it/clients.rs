//! The clients in docs/realtime.md, run from the document against the built server, which is killed again and again.
#![expect(clippy::print_stdout, reason = "says which client is not tested")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use groundwork_testkit::{Client, client::PASSWORD, port};

use crate::support::Talks;

const DOCUMENT: &str = include_str!("../../../../docs/realtime.md");
/// How long to wait for a line. A client may wait some seconds before it connects again.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of an output, read by a thread of its own.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn start_server(folder: &Path, port: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
    command.current_dir(folder).env_clear().env("DATA_DIR", folder).env("BCRYPT_COST", "4");
    command.env("PORT", port.to_string()).env("LOG", "warn").stdout(Stdio::piped()).stdin(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    let started = lines(process.0.stdout.take().unwrap());
    let url = format!("http://127.0.0.1:{port}");
    while !started.recv_timeout(PATIENCE).unwrap().contains(&url) {}
    process
}

/// A client of the document.
struct Printer {
    name: &'static str,
    printed: Receiver<String>,
    /// Held, so that the client can always write, and shown if it ends.
    errors: Receiver<String>,
    _process: Process,
}

impl Printer {
    /// Starts the client in this block of the document, and waits until it is connected. `None` if its language is not
    /// installed.
    fn start(
        language: &str,
        name: &'static str,
        program: &[&str],
        folder: &Path,
        base: &str,
    ) -> Option<Self> {
        let text = DOCUMENT.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap();
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(file).args([base, "ada", PASSWORD]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().ok()?);
        let errors = lines(process.0.stderr.take().unwrap());
        loop {
            match errors.recv_timeout(PATIENCE) {
                Ok(line) if line == "connected" => break,
                Ok(line) => println!("{name}: {line}"),
                Err(error) => panic!("{name} does not connect: {error}"),
            }
        }
        let printed = lines(process.0.stdout.take().unwrap());
        Some(Self { name, printed, errors, _process: process })
    }

    fn expect(&self, line: &str) {
        let printed = self.printed.recv_timeout(PATIENCE);
        let errors = || self.errors.try_iter().collect::<Vec<_>>().join("\n");
        assert_eq!(printed.as_deref(), Ok(line), "{}: {}", self.name, errors());
    }
}

/// Whether a program is there and takes these arguments.
fn runs(program: &[&str]) -> bool {
    let mut command = Command::new(program[0]);
    let status = command.args(&program[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let runs = status.is_ok_and(|status| status.success());
    if !runs {
        println!("{} does not run: the client of the document is not tested", program.join(" "));
    }
    runs
}

/// Node has a WebSocket of its own from version 22 on, and version 20 has it behind an option.
fn node() -> Option<Vec<&'static str>> {
    let check = "process.exit(typeof WebSocket === 'function' ? 0 : 1)";
    let programs = [vec!["node"], vec!["node", "--experimental-websocket"]];
    programs.into_iter().find(|program| runs(&[&**program, &["-e", check]].concat()))
}

/// Each message is printed once, and in order, whatever happens to the server.
#[actix_web::test]
async fn clients_of_the_document_lose_nothing_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = port::free();
    let base = format!("http://127.0.0.1:{port}");
    let mut server = start_server(folder.path(), port);
    let ada = Client::new(&base).register("ada").await;
    let mut bob = Client::new(&base).register("bob").await;
    let thread = bob.starts_group("Engines", &[&ada]).await;

    let mut clients = Vec::new();
    if let Some(node) = node() {
        clients.extend(Printer::start("js", "client.mjs", &node, folder.path(), &base));
    }
    if runs(&["python3", "--version"]) {
        clients.extend(Printer::start("python", "client.py", &["python3"], folder.path(), &base));
    }
    for round in 0..3 {
        for number in 0..10 {
            bob.says(&thread, &format!("{round}.{number}")).await;
        }
        // As `kill -9`: the clients have not seen all of it yet.
        drop(server);
        server = start_server(folder.path(), port);
        // A client of its own, without connections to the server that is gone.
        bob = Client::new(&base).login("bob").await;
    }
    bob.says(&thread, "the end").await;
    for client in &clients {
        for round in 0..3 {
            for number in 0..10 {
                client.expect(&format!("{round}.{number}"));
            }
        }
        client.expect("the end");
    }
    drop(server);
}
