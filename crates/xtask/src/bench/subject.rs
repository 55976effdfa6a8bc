//! The server that is measured: the release binary as a process on loopback, in a folder of its own.
//!
//! Requests go over plain sockets with as little of our own around them as there can be, since client and server share
//! the machine and what the client burns the server lacks.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Password of `admin` on the servers measured here.
const PASSWORD: &str = "bench";
/// `admin:bench` in the encoding that Basic authentication wants.
const BASIC: &str = "YWRtaW46YmVuY2g=";
/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that goes with the benchmark.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reeve-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the system's temporary one is the system's to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server.
pub(crate) struct Subject {
    child: Child,
    address: SocketAddr,
    binary: PathBuf,
}

/// An answer.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Header lines, lower case, with the status line.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Subject {
    /// Starts the server on `folder` and waits until it listens; answers how long that took, too.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub(crate) fn start(binary: &Path, folder: &Folder, config: &str) -> Result<(Self, Duration)> {
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config).context("write the configuration")?;
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--config")
            .arg(&file)
            .env("REEVE_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log"))?)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("read what it says")?).lines();
        let url = output.find_map(|line| {
            line.ok()?
                .strip_prefix("reeve: listening on http://")
                .map(str::to_owned)
        });
        let took = begun.elapsed();
        let Some(url) = url else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            bail!("the server ended: {}: {log}", child.wait()?);
        };
        let subject = Self {
            child,
            address: url.trim_end_matches('/').parse().context("read its address")?,
            binary: binary.to_owned(),
        };
        Ok((subject, took))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text of a request with the administrator's credential.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Basic {BASIC}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    ///
    /// # Errors
    /// When the server does not answer, or not with this status.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str, status: u16) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(self.request(method, path, body).as_bytes())?;
        let answer = read(&mut stream).with_context(|| format!("{method} {path}"))?;
        let text = || {
            String::from_utf8_lossy(&answer.body)
                .chars()
                .take(300)
                .collect::<String>()
        };
        ensure!(answer.status == status, "{method} {path}: {} {}", answer.status, text());
        Ok(answer)
    }

    /// Runs the command line against this server.
    ///
    /// # Errors
    /// When it fails; what it said is in the message.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("REEVE_URL", format!("http://{}", self.address))
            .env("REEVE_USER", "admin")
            .env("REEVE_PASSWORD", PASSWORD);
        crate::process::capture(command).map(|_| ())
    }

    /// Memory of the process that is its own and in use, in MB of 10^6 bytes: what would come free if it ended.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn memory_mb(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u32>().ok())
            .context("find VmRSS")?;
        Ok(f64::from(kilobytes) * 1024.0 / 1e6)
    }

    /// Ends the server as a user would, and waits until it has.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("its process id")?;
        kill_process(pid, Signal::TERM).context("ask it to end")?;
        self.child.wait().context("wait for its end")?;
        Ok(())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one answer whose length its head tells.
fn read(stream: &mut TcpStream) -> Result<Answer> {
    let mut seen = Vec::with_capacity(1 << 16);
    let mut chunk = vec![0; 1 << 16];
    let (head, end) = loop {
        if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..at]).to_ascii_lowercase();
            break (head, at + 4);
        }
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "the connection ended before an answer");
        seen.extend_from_slice(&chunk[..count]);
    };
    let length: usize = header(&head, "content-length")
        .and_then(|value| value.parse().ok())
        .context("the answer does not tell its length")?;
    let mut body = seen.split_off(end);
    let have = body.len();
    body.resize(length.max(have), 0);
    stream.read_exact(&mut body[have..]).context("read the body")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("read the status")?;
    Ok(Answer { status, head, body })
}

/// The value of a header in a lower-case head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

/// Asks until `done` says yes, every 50 ms.
///
/// # Errors
/// When it does not in [`PATIENCE`], or cannot be asked.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if done()? {
            return Ok(begun.elapsed());
        }
        pause(Duration::from_millis(50));
    }
    bail!("{what}: not within {} s", PATIENCE.as_secs())
}

/// Lets the server be for a while.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement is made of time, and nothing else happens in this process meanwhile"
)]
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_by_its_whole_name() {
        let head = "http/1.1 202 accepted\r\nx-content-length: 1\r\ncontent-length: 27\r\n";
        assert_eq!(header(head, "content-length"), Some("27"));
        assert_eq!(header(head, "location"), None);
    }
}
