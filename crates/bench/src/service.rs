//! The service's own binary, as a process.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, drive::http::Http};

/// The secret that signs the tokens of the bench.
pub const SECRET: &str = "the bench signs its own tokens with this";

/// A running service, which ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it took until it was ready.
    pub started_in: Duration,
}

impl Service {
    /// Starts `binary` on a database and waits until it is ready.
    pub async fn start(
        binary: &Path,
        folder: &Path,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let port = free_port()?;
        let log = File::options().create(true).append(true).open(folder.join("service.log"))?;
        let begun = Instant::now();
        let process = Command::new(binary)
            .env_clear()
            .envs([("DATABASE_URL", database), ("JWT_SECRET", SECRET), ("LOG", "warn")])
            .env("DATA_DIR", folder)
            .env("PORT", port.to_string())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut service = Self { process, address, started_in: Duration::ZERO };
        service.is_ready(folder).await?;
        service.started_in = begun.elapsed();
        Ok(service)
    }

    async fn is_ready(&mut self, folder: &Path) -> Result<()> {
        let request = b"GET /health/ready HTTP/1.1\r\nHost: bench\r\n\r\n";
        let until = Instant::now() + Duration::from_mins(5);
        while Instant::now() < until && self.process.try_wait()?.is_none() {
            if let Ok(mut http) = Http::connect(self.address).await
                && http.send(request).await.is_ok_and(|status| status == 200)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(format!("the service is not ready; see {}", folder.join("service.log").display()).into())
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // If it is gone already, there is nothing to do.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

/// Returns a port that is free now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
