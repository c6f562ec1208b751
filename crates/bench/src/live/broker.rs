//! The brokers that live delivery is compared with, each as a process of its own with the settings that it needs.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::mqtt::{Login, Mqtt};
use crate::{Result, postgres::ids_of, service::free_port};

/// The name and the password at ejabberd.
const USER: (&str, &str) = ("bench@localhost", "bench");

/// A running broker, which ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    process: Child,
    /// Its name.
    pub name: &'static str,
    /// Where it listens for MQTT.
    pub address: SocketAddr,
    needs_name: bool,
}

impl Broker {
    /// Starts Mosquitto; none if it is not installed.
    pub async fn mosquitto(folder: &Path) -> Result<Option<Self>> {
        let program = Path::new("/usr/sbin/mosquitto");
        if !program.exists() {
            return Ok(None);
        }
        let port = free_port()?;
        let settings = folder.join("mosquitto.conf");
        fs::write(
            &settings,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\nmax_queued_messages 0\n"
            ),
        )?;
        let process = quiet(Command::new(program).arg("-c").arg(settings)).spawn()?;
        Self { process, name: "Mosquitto", address: local(port), needs_name: false }.ready().await
    }

    /// Starts ejabberd; none if it is not installed. Its own script would start it under a name that only one can have.
    pub async fn ejabberd(folder: &Path) -> Result<Option<Self>> {
        let Ok(script) = fs::read_to_string("/usr/sbin/ejabberdctl") else { return Ok(None) };
        let libraries = script.lines().find_map(|line| line.strip_prefix("ERL_LIBS="));
        let libraries = libraries.ok_or("/usr/sbin/ejabberdctl names no libraries")?.trim_matches('\'');
        let port = free_port()?;
        let folder = folder.join("ejabberd");
        fs::create_dir(&folder)?;
        let settings = folder.join("ejabberd.yml");
        fs::write(&settings, EJABBERD.replace("PORT", &port.to_string()))?;
        let mut erlang = Command::new("erl");
        if rustix::process::getuid().is_root() {
            let (user, group) = ids_of("ejabberd")?;
            chown(&folder, Some(user), Some(group))?;
            erlang.uid(user).gid(group);
        }
        erlang.args(["+K", "true", "+P", "250000", "+Q", "131072", "-noinput", "-mnesia", "dir"]);
        erlang.arg(format!("\"{}\"", folder.display())).args(["-s", "ejabberd"]).current_dir(&folder);
        erlang.env("HOME", &folder).env("ERL_LIBS", libraries).env("EJABBERD_CONFIG_PATH", &settings);
        erlang.env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"));
        let process = quiet(&mut erlang).spawn()?;
        Self { process, name: "ejabberd", address: local(port), needs_name: true }.ready().await
    }

    async fn ready(mut self) -> Result<Option<Self>> {
        let until = Instant::now() + Duration::from_secs(30);
        let mut failure = None;
        while Instant::now() < until && self.process.try_wait()?.is_none() {
            match Mqtt::open(self.address, 0, self.login()).await {
                Ok(_) => return Ok(Some(self)),
                Err(error) => failure = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(format!("{} does not answer: {failure:?}", self.name).into())
    }

    /// How to sign in.
    pub fn login(&self) -> Login<'static> {
        Login { user: self.needs_name.then_some(USER) }
    }

    /// The id of its first process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // What a script started ends with it, as it is in a group of its own.
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::TERM);
            let _ = kill_process(group, Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Anybody may sign in with any name.
const EJABBERD: &str = "
hosts: [localhost]
loglevel: error
listen:
  - port: PORT
    ip: 127.0.0.1
    module: mod_mqtt
    backlog: 1000
    max_fsm_queue: 10000
auth_method: anonymous
anonymous_protocol: login_anon
allow_multiple_connections: true
modules:
  mod_mqtt:
    max_queue: 10000
";
