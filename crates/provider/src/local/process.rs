//! Which process is a machine's, and ending it.
//!
//! A process id alone says little: ids are used again. A process is known by its id, its start time and the host's
//! boot; a machine's processes are also marked by an environment variable that holds the machine's folder, which
//! finds one whose id was never written down and stragglers that left the process group.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::failed;
use super::folder::Record;
use crate::error::Error;

/// Marks every process of a machine; its value is the machine's folder.
const MARK: &str = "REEVE_LOCAL_MACHINE";

/// Where a machine looks for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a process may be between two programs.
const EXEC_POLLS: u32 = 100;
const EXEC_POLL: Duration = Duration::from_millis(1);

/// Flag of threads that belong to the kernel.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// One process of this host, never mistaken for a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Process id, and the id of its process group.
    pub(super) pid: i32,
    /// Start time in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// The host's boot.
    pub(super) boot_id: String,
}

/// Fields of `/proc/PID/stat` that matter here.
struct Stat {
    dead: bool,
    parent: i32,
    group: i32,
    kernel: bool,
    start_ticks: u64,
}

impl Identity {
    /// The living process with this id.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid).filter(|stat| !stat.dead)?;
        Some(Self {
            pid,
            start_ticks: stat.start_ticks,
            boot_id: boot_id(),
        })
    }

    /// Whether it still runs. One that has ended and waits to be reaped does not.
    pub(super) fn alive(&self) -> bool {
        let same = |stat: Stat| !stat.dead && stat.start_ticks == self.start_ticks;
        stat(self.pid).is_some_and(same) && boot_id() == self.boot_id
    }

    /// Sends a signal to its process group if it still runs.
    pub(super) fn signal(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            // It may have ended in between, which is what was wanted.
            _ = kill_process_group(pid, signal);
        }
    }
}

/// Starts the machine's agent in a process group of its own, with its output in the log.
pub(super) fn spawn(binary: &Path, folder: &Path, record: &Record) -> Result<(Child, Identity), Error> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log"));
    let log = log.map_err(|error| failed("open the log in", folder, &error))?;
    let errors = log
        .try_clone()
        .map_err(|error| failed("open the log in", folder, &error))?;
    let mut command = Command::new(binary);
    command
        .args(["agent", "node", "--server", &record.server_url, "--token-file"])
        .arg(folder.join("join-token"));
    command.arg("--state-dir").arg(folder.join("state"));
    command.args(["--address", &record.address.to_string(), "--hostname", &record.hostname]);
    command.args(["--machine-id", &record.token]);
    if let Some(sha256) = &record.ca_sha256 {
        command.args(["--ca-sha256", sha256]);
    }
    // A machine boots with an environment of its own: the server's may hold secrets.
    command
        .env_clear()
        .env(MARK, folder)
        .env("PATH", PATH)
        .env("HOME", folder.join("state"));
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    let child = command.spawn().map_err(|error| failed("start", binary, &error))?;
    let pid = i32::try_from(child.id()).expect("process ids fit in 31 bits");
    // Nobody has reaped it, so the id is its own even when it has ended already.
    let start_ticks = stat(pid).map_or(0, |stat| stat.start_ticks);
    Ok((
        child,
        Identity {
            pid,
            start_ticks,
            boot_id: boot_id(),
        },
    ))
}

/// Living processes that carry the mark, with the folder it names.
fn marked() -> Vec<(PathBuf, i32, Stat)> {
    let mark = format!("{MARK}=");
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let marked = ids.filter_map(|pid| {
        let environment = environment(pid)?;
        let folder = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(mark.as_bytes()))?;
        let folder = PathBuf::from(OsStr::from_bytes(folder));
        Some((folder, pid, stat(pid).filter(|stat| !stat.dead)?))
    });
    marked.collect()
}

/// The environment a process was started with; `None` for one that belongs to somebody else, has ended, or is part of
/// the kernel.
///
/// A process that is just being replaced by another program shows neither environment nor arguments for a moment. It
/// has let go of its inherited locks by then, so it has to be waited for, or it would be taken for a stranger.
#[expect(
    clippy::disallowed_methods,
    reason = "runs on a blocking thread; the kernel does not tell when an exec is done"
)]
fn environment(pid: i32) -> Option<Vec<u8>> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    for _ in 0..EXEC_POLLS {
        // In this order: arguments that are there mean that an environment read after them is there as well.
        let settled = !read("cmdline")?.is_empty();
        let environment = read("environ")?;
        if settled || !environment.is_empty() {
            return Some(environment);
        }
        stat(pid).filter(|stat| !stat.dead && !stat.kernel)?;
        thread::sleep(EXEC_POLL);
    }
    None
}

/// A machine's process when nobody wrote its id down: the oldest group leader that carries the mark and was not
/// started by another that does.
pub(super) fn find(folder: &Path) -> Option<Identity> {
    let marked: Vec<_> = marked().into_iter().filter(|(place, ..)| place == folder).collect();
    let leads = |pid: i32, stat: &Stat| stat.group == pid && !marked.iter().any(|(_, other, _)| *other == stat.parent);
    let leaders = marked.iter().filter(|(_, pid, stat)| leads(*pid, stat));
    Identity::of(leaders.min_by_key(|(.., stat)| stat.start_ticks)?.1)
}

/// Kills every process that carries the mark of one of these folders; answers the folders that had any.
pub(super) fn kill_marked(folders: &HashSet<PathBuf>) -> HashSet<PathBuf> {
    let ours = marked().into_iter().filter(|(folder, ..)| folders.contains(folder));
    let killed = ours.map(|(folder, pid, _)| {
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended in between, which is what was wanted.
            _ = kill_process(pid, Signal::KILL);
        }
        folder
    });
    killed.collect()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in parentheses and may hold anything, so counting starts after the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        kernel: fields.get(6)?.parse::<u32>().ok()? & KERNEL_THREAD != 0,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Identity, parse_stat};

    #[test]
    fn a_program_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0";
        let stat = parse_stat(text).expect("whole");
        assert_eq!(
            (stat.dead, stat.parent, stat.group, stat.start_ticks),
            (false, 1, 7, 4242)
        );
    }

    #[test]
    fn another_process_with_the_same_id_is_not_taken_for_ours() {
        let own = Identity::of(i32::try_from(std::process::id()).expect("small")).expect("alive");
        assert!(own.alive());
        assert!(
            !Identity {
                start_ticks: own.start_ticks + 1,
                ..own.clone()
            }
            .alive()
        );
        assert!(
            !Identity {
                boot_id: "another boot".into(),
                ..own
            }
            .alive()
        );
    }
}
