//! Running one script to its end.
//!
//! The script waits at a gate until its process group is on disk, so there is no moment at which a crash of the
//! agent could leave behind a script that the next agent does not know of. Its output goes to a file rather than
//! through the agent, so a script that outlives its agent's attention never blocks. Which scripts to run, and when
//! never again, is decided in [`super::work`].
//!
//! Scripts get a clean environment: a usual `PATH`, `HOME`, the four `REEVE_` variables and the mark of
//! [`super::processes`]. The agent's own environment may hold the join token and is not handed on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reeve_wire::agent::{Script, ScriptResult};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::processes::{GRACE, Group, MARK};
use super::state::{Identity, StateDir};

/// File that remembers the process group of the running script.
pub(super) const RUNNING_FILE: &str = "running.json";
/// Longest output that is reported.
const TAIL_BYTES: usize = 16 << 10;
/// Waits for the word of the agent, which ends with the agent, then becomes the script.
const GATE: &str = "read -r go || exit 125; exec \"$@\" </dev/null";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a script's output goes.
pub(super) fn log_path(state: &StateDir, index: usize) -> PathBuf {
    state.path().join("scripts").join(format!("{index}.log"))
}

/// Runs a script; absent when `cancel` fired and it was stopped before its end.
///
/// A script that cannot even be started counts as failed, with the reason as its output.
/// Dropping the future kills the script's process group.
pub(super) async fn run(
    state: &StateDir,
    identity: &Identity,
    index: usize,
    script: &Script,
    cancel: &mut oneshot::Receiver<()>,
) -> Option<ScriptResult> {
    let started = Instant::now();
    let log = log_path(state, index);
    let ended = attend(state, identity, index, script, cancel).await;
    let mut result = ScriptResult {
        name: script.name.clone(),
        exit_code: None,
        timed_out: false,
        duration_ms: milliseconds(started.elapsed()),
        output_tail: output_tail(&log),
    };
    match ended {
        Ok(End::Exited(status)) => result.exit_code = status.code(),
        Ok(End::TimedOut) => result.timed_out = true,
        Ok(End::Canceled) => return None,
        Err(error) => result.output_tail = format!("the agent cannot run this script: {error}"),
    }
    Some(result)
}

/// How it ended.
enum End {
    Exited(ExitStatus),
    TimedOut,
    Canceled,
}

async fn attend(
    state: &StateDir,
    identity: &Identity,
    index: usize,
    script: &Script,
    cancel: &mut oneshot::Receiver<()>,
) -> io::Result<End> {
    let deadline = Instant::now() + Duration::from_millis(script.timeout_ms);
    let mut running = Running::start(state, identity, index, script).await?;
    let end = tokio::select! {
        status = running.child.wait() => End::Exited(status?),
        () = sleep_until(deadline) => {
            running.group.signal(Signal::KILL);
            End::TimedOut
        }
        _ = cancel => {
            running.group.signal(Signal::TERM);
            let _ = timeout(GRACE, running.child.wait()).await;
            running.group.signal(Signal::KILL);
            End::Canceled
        }
    };
    running.child.wait().await?;
    running.ended = true;
    Ok(end)
}

/// A script at work; killed with all its group when dropped.
struct Running {
    child: Child,
    group: Group,
    ended: bool,
}

impl Running {
    async fn start(state: &StateDir, identity: &Identity, index: usize, script: &Script) -> io::Result<Self> {
        let file = write_script(state, index, &script.body)?;
        let output = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(log_path(state, index))?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "reeve-script"])
            .args(interpreter(&script.body))
            .arg(&file)
            .env_clear()
            .envs(environment(state, identity))
            .current_dir(state.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()?;
        let group = child
            .id()
            .and_then(Group::of)
            .ok_or_else(|| io::Error::other("it ended before it began"))?;
        let gate = child.stdin.take();
        let running = Self {
            child,
            group,
            ended: false,
        };
        state.save(RUNNING_FILE, &running.group).map_err(io::Error::other)?;
        if let Some(mut gate) = gate {
            gate.write_all(b"go\n").await?;
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.group.signal(Signal::KILL);
        }
    }
}

fn environment(state: &StateDir, identity: &Identity) -> Vec<(&'static str, String)> {
    let folder = state.path().display().to_string();
    let home = if rustix::process::getuid().is_root() {
        "/root".to_owned()
    } else {
        folder.clone()
    };
    vec![
        ("PATH", PATH.to_owned()),
        ("HOME", home),
        ("REEVE_NODE_NAME", identity.node_name.clone()),
        ("REEVE_NODE_ID", identity.node_id.clone()),
        ("REEVE_CLUSTER", identity.cluster.clone()),
        ("REEVE_STATE_DIR", folder),
        (MARK, state.instance().to_owned()),
    ]
}

fn write_script(state: &StateDir, index: usize, body: &str) -> io::Result<PathBuf> {
    let folder = state.path().join("scripts");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{index}.sh"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o700)
        .open(&path)?;
    file.write_all(body.as_bytes())?;
    Ok(path)
}

/// Program that reads the script, with at most one argument, as the kernel would take it from the first line.
/// Naming it ourselves works on file systems mounted `noexec` too.
fn interpreter(body: &str) -> Vec<&str> {
    let line = body
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("#!"))
        .unwrap_or_default()
        .trim();
    match line.split_once(char::is_whitespace) {
        Some((program, argument)) => vec![program, argument.trim()],
        None if line.is_empty() => vec!["/bin/sh"],
        None => vec![line],
    }
}

/// The end of a script's output so far, at most 16 KiB.
pub(super) fn output_tail(log: &Path) -> String {
    read_tail(log).map(|bytes| tail_of(&bytes)).unwrap_or_default()
}

fn read_tail(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES as u64)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Cuts at a character, not in the middle of one; what is no text becomes replacement characters, which are longer
/// than what they replace, so the limit is applied again.
fn tail_of(bytes: &[u8]) -> String {
    let cut = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let text = String::from_utf8_lossy(&bytes[cut..]);
    let mut start = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// Whole milliseconds.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        assert_eq!(interpreter("echo hi"), ["/bin/sh"]);
        assert_eq!(interpreter("#!/bin/bash\necho"), ["/bin/bash"]);
        assert_eq!(
            interpreter("#! /usr/bin/env python3 -u\n"),
            ["/usr/bin/env", "python3 -u"]
        );
        assert_eq!(interpreter("#!\n"), ["/bin/sh"]);
    }

    #[test]
    fn a_tail_begins_with_a_whole_character_and_keeps_its_limit() {
        assert_eq!(tail_of("äb".as_bytes().get(1..).unwrap()), "b");
        let noise = vec![0xff; TAIL_BYTES];
        assert!(tail_of(&noise).len() <= TAIL_BYTES);
    }
}
