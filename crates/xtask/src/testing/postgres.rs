//! One private PostgreSQL server for the time of a test run.
//!
//! Lives in a temporary folder, listens on loopback at a port the kernel picked and on a socket in that folder, and
//! forgets durability for speed. The server refuses to run as root, so root starts it as the account `postgres`.
//! `setpriv` stands between us and it for two reasons: it changes the account by replacing itself, so the process id
//! we hold is the server's own; and it asks the kernel to end the server should we die without a word.

use crate::{environment, process};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Account that runs the server when we are root.
const ACCOUNT: &str = "postgres";
/// Superuser inside the database; trusted without password, since only loopback can reach it.
const USER: &str = "reeve";
/// How long the server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts at finding a port that nobody takes between our asking and the server's binding it.
const ATTEMPTS: u32 = 3;

/// A running server; ended and removed on drop.
pub(crate) struct Postgres {
    child: Child,
    url: String,
    folder: Folder,
}

impl Postgres {
    /// Makes a database cluster and starts a server on it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not come up in time; the message carries the server's log.
    pub(crate) fn start() -> Result<Self> {
        let binaries = find_binaries()?;
        let started = Instant::now();
        let folder = Folder::make()?;
        initialize(&binaries, &folder.0)?;
        let mut outcome = spawn(&binaries, &folder.0);
        for _ in 1..ATTEMPTS {
            if outcome.is_ok() {
                break;
            }
            outcome = spawn(&binaries, &folder.0);
        }
        let (child, port) = outcome?;
        let server = Self {
            child,
            url: format!("postgres://{USER}@127.0.0.1:{port}/postgres"),
            folder,
        };
        eprintln!(
            "xtask: PostgreSQL on port {port} in {} ms",
            started.elapsed().as_millis()
        );
        Ok(server)
    }

    /// Connection URL of the superuser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = end(&mut self.child) {
            eprintln!("xtask: end PostgreSQL in {}: {error:#}", self.folder.0.display());
        }
    }
}

/// A temporary folder, removed on drop.
struct Folder(PathBuf);

impl Folder {
    /// A new folder that the server's account owns and nobody else can enter.
    fn make() -> Result<Self> {
        let made = process::capture(command("mktemp", &["-d", "-t", "reeve-postgres-XXXXXX"]))?;
        let folder = Self(PathBuf::from(made.trim()));
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700)).context("close the folder")?;
        if is_root() {
            let id = |flag| -> Result<u32> {
                process::capture(command("id", &[flag, ACCOUNT]))?
                    .trim()
                    .parse()
                    .context("read an account's number")
            };
            chown(&folder.0, Some(id("-u")?), Some(id("-g")?)).context("hand the folder to the server's account")?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: remove {}: {error}", self.0.display());
        }
    }
}

/// Folder with the server's programs: where the `initdb` of the search path really stands, else the newest that Debian's
/// packages installed.
fn find_binaries() -> Result<PathBuf> {
    let path = environment::variable("PATH").unwrap_or_default();
    let on_path = path
        .split(':')
        .filter_map(|folder| Path::new(folder).join("initdb").canonicalize().ok());
    let on_path = on_path.filter_map(|initdb| initdb.parent().map(Path::to_path_buf));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed = versions.map(|entry| entry.path().join("bin")).collect::<Vec<_>>();
    installed.sort_by_key(|folder| version_of(folder));
    let mut candidates = on_path.chain(installed.into_iter().rev());
    candidates
        .find(|folder| {
            ["initdb", "postgres", "pg_isready"]
                .iter()
                .all(|program| folder.join(program).exists())
        })
        .context("find initdb: PostgreSQL's server is not installed; run scripts/test-setup")
}

fn version_of(binaries: &Path) -> u32 {
    let version = binaries
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn initialize(binaries: &Path, folder: &Path) -> Result<()> {
    let mut initdb = as_account(&binaries.join("initdb"));
    initdb.args([
        "--no-sync",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--username",
        USER,
    ]);
    initdb.arg("--pgdata").arg(folder.join("data")).current_dir(folder);
    process::capture(initdb).context("make a database cluster").map(drop)
}

/// Starts the server and waits until it answers.
fn spawn(binaries: &Path, folder: &Path) -> Result<(Child, u16)> {
    let port = free_port()?;
    let log = folder.join("server.log");
    let output = std::fs::File::create(&log).context("make the server's log")?;
    let mut server = as_account(&binaries.join("postgres"));
    server
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    for setting in [
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=128MB",
    ] {
        server.args(["-c", setting]);
    }
    server.current_dir(folder).stdin(Stdio::null());
    server
        .stdout(output.try_clone().context("share the server's log")?)
        .stderr(output);
    let mut child = server.spawn().context("start PostgreSQL")?;
    if let Err(error) = wait_until_ready(&mut child, binaries, port) {
        end(&mut child)?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(error.context(format!("start PostgreSQL; its log:\n{said}")));
    }
    Ok((child, port))
}

/// A port of loopback that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("ask for a free port")?;
    Ok(listener.local_addr().context("learn the free port")?.port())
}

fn wait_until_ready(child: &mut Child, binaries: &Path, port: u16) -> Result<()> {
    let started = Instant::now();
    loop {
        let probe = command(
            binaries.join("pg_isready"),
            &["-q", "-h", "127.0.0.1", "-p", &port.to_string()],
        )
        .status();
        if probe.context("ask whether PostgreSQL is ready")?.success() {
            return Ok(());
        }
        if let Some(status) = child.try_wait().context("look at PostgreSQL")? {
            bail!("it ended at once: {status}");
        }
        if started.elapsed() > PATIENCE {
            bail!("it does not answer after {} s", PATIENCE.as_secs());
        }
        pause();
    }
}

/// Fast shutdown by process id, and the hard way when that takes too long.
fn end(child: &mut Child) -> Result<()> {
    let id = Pid::from_raw(child.id().cast_signed()).context("learn the server's process id")?;
    if child.try_wait().context("look at PostgreSQL")?.is_some() {
        return Ok(());
    }
    kill_process(id, Signal::INT).context("ask PostgreSQL to end")?;
    let asked = Instant::now();
    while child.try_wait().context("look at PostgreSQL")?.is_none() {
        if asked.elapsed() > PATIENCE {
            child.kill().context("kill PostgreSQL")?;
            child.wait().context("wait for PostgreSQL")?;
            break;
        }
        pause();
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "another program's progress can only be polled, and this one has nothing else to do"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// A command that replaces itself by `program` under the server's account and does not outlive us.
fn as_account(program: &Path) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "INT"]);
    if is_root() {
        wrapped.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups"]);
    }
    wrapped.arg("--").arg(program);
    wrapped
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_answers_and_leaves_nothing_behind() {
        let server = Postgres::start().expect("PostgreSQL starts");
        let (folder, id) = (server.folder.0.clone(), server.child.id());
        let psql = find_binaries().expect("PostgreSQL is installed").join("psql");
        let answer = process::capture(command(psql, &["-Atc", "show max_connections", server.url()]));
        assert_eq!(answer.expect("psql connects").trim(), "300");
        drop(server);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_server_that_cannot_start_is_reported_with_its_log() {
        let folder = Folder::make().expect("a folder");
        let binaries = find_binaries().expect("PostgreSQL is installed");
        let error = format!(
            "{:#}",
            spawn(&binaries, &folder.0).expect_err("there is no cluster in the folder")
        );
        assert!(error.contains("its log") && error.contains("data"), "{error}");
    }

    #[test]
    fn the_newest_version_counts_by_number() {
        assert!(
            version_of(Path::new("/usr/lib/postgresql/15/bin")) > version_of(Path::new("/usr/lib/postgresql/9/bin"))
        );
    }
}
