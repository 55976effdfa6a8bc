//! Processes that scripts have started, found again after anything.
//!
//! Each script leads its own process group, and everything it starts inherits a mark in its environment. The
//! group is how a running script is stopped; the mark finds what has left the group, and proves that a group
//! remembered from before a crash is still the same one although its leader is gone. Process numbers alone prove
//! nothing: the kernel gives them out again.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval};

/// Environment variable that marks what scripts have started; its value is the agent's instance id.
pub(super) const MARK: &str = "REEVE_SCRIPT_OF";
/// Time that processes get to end by themselves.
pub(super) const GRACE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A process group that can be recognized after a restart of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// Process id of the leader, and id of the group.
    leader: i32,
    /// When the leader started, clock ticks since boot.
    started_ticks: u64,
    /// Which boot of the machine that was.
    boot_id: String,
}

impl Group {
    /// Describes the group that `leader` leads; absent when that process has ended.
    pub(super) fn of(leader: u32) -> Option<Self> {
        let leader = i32::try_from(leader).ok()?;
        let started_ticks = Process::new(leader).ok()?.stat().ok()?.starttime;
        Some(Self {
            leader,
            started_ticks,
            boot_id: boot_id(),
        })
    }

    /// Sends a signal to everything in the group; false when there is nothing in it.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.leader).is_some_and(|group| kill_process_group(group, signal).is_ok())
    }

    /// Kills what an earlier agent with this `mark` has left of the group; true when there was something.
    pub(super) fn kill_leftover(&self, mark: &str) -> bool {
        self.boot_id == boot_id() && self.is_still_ours(mark) && self.signal(Signal::KILL)
    }

    fn is_still_ours(&self, mark: &str) -> bool {
        if let Some(now) = u32::try_from(self.leader).ok().and_then(Self::of) {
            return now == *self;
        }
        processes().any(|process| process.stat().is_ok_and(|stat| stat.pgrp == self.leader) && has_mark(&process, mark))
    }
}

/// Ends every process that carries `mark`: asks first, then kills. Returns how many there were.
pub(super) async fn end_marked(mark: &str) -> usize {
    let found = signal_marked(mark, Signal::TERM);
    if found == 0 {
        return 0;
    }
    let mut ticks = interval(LOOK_AGAIN);
    let until = Instant::now() + GRACE;
    while Instant::now() < until && marked(mark).next().is_some() {
        ticks.tick().await;
    }
    signal_marked(mark, Signal::KILL);
    found
}

fn signal_marked(mark: &str, signal: Signal) -> usize {
    marked(mark).filter(|pid| kill_process(*pid, signal).is_ok()).count()
}

fn marked(mark: &str) -> impl Iterator<Item = Pid> {
    processes()
        .filter(move |process| has_mark(process, mark))
        .filter_map(|process| Pid::from_raw(process.pid))
}

fn processes() -> impl Iterator<Item = Process> {
    all_processes().into_iter().flatten().flatten()
}

fn has_mark(process: &Process, mark: &str) -> bool {
    let environment = process.environ().unwrap_or_default();
    environment
        .iter()
        .any(|(name, value)| name.as_bytes() == MARK.as_bytes() && value.as_bytes() == mark.as_bytes())
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_whose_leader_started_at_another_time_is_not_ours() {
        let own = Group::of(std::process::id()).expect("this process is running");
        let other = Group {
            started_ticks: own.started_ticks + 1,
            ..own.clone()
        };
        assert!(own.is_still_ours("no such mark"));
        assert!(!other.is_still_ours("no such mark"));
    }

    #[test]
    fn nothing_carries_a_mark_that_nobody_gave() {
        assert_eq!(marked("no such mark").count(), 0);
    }
}
