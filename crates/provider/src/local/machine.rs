//! One local machine: what it is doing, and the steps that change that.
//!
//! Every step is taken under the machine's lock and may be taken again: a server killed between any two of them leaves
//! something the next call finishes. The lock's file is inherited by a process between fork and exec, so nobody can
//! look for an unrecorded process before it carries its mark.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::Inner;
use super::folder::{Record, Wish};
use super::process::{self, Identity};
use crate::error::{Error, ErrorKind};
use crate::machines::{Launch, Machine, State, hostname_of};

/// How long a release waits for killed processes to be gone before it answers `Releasing`.
const KILL_WAIT: Duration = Duration::from_secs(1);
const KILL_POLL: Duration = Duration::from_millis(2);

/// Brings a prepared machine to life and answers what it is; for a token that is spent, what it was.
pub(super) fn run(inner: &Inner, launch: &Launch) -> Result<Machine, Error> {
    let Some(_lock) = inner.root.lock_machine(&launch.token)? else {
        return spent(inner, &launch.token);
    };
    let Some(record) = inner.root.record(&launch.token)? else {
        return spent(inner, &launch.token);
    };
    // Always the newest: the one of an earlier attempt may have expired before it was used.
    inner
        .root
        .write_join_token(&launch.token, launch.boot.join_token.expose())?;
    if record.wish == Wish::On && inner.root.process(&launch.token)?.is_none() {
        spawn(inner, &record)?;
    }
    shown(inner, &record)
}

fn spent(inner: &Inner, token: &str) -> Result<Machine, Error> {
    let released = inner.root.released(token)?.map(|record| gone(&record, None));
    released.ok_or_else(|| {
        Error::new(
            ErrorKind::Failed,
            format!("the machine of token {token} was released meanwhile"),
        )
    })
}

/// Starts the process unless it is there without a record of it. The caller holds the machine's lock.
fn spawn(inner: &Inner, record: &Record) -> Result<(), Error> {
    let token = &record.token;
    let folder = inner.root.machine(token);
    if let Some(identity) = unrecorded(inner, token) {
        return inner.root.write_process(token, &identity);
    }
    inner.root.begin_spawn(token)?;
    let (child, identity) = match process::spawn(&inner.settings.binary, &folder, record) {
        Ok(spawned) => spawned,
        Err(error) => {
            inner.root.forget_process(token)?;
            return Err(error);
        }
    };
    inner.adopt(child);
    inner.root.write_process(token, &identity)
}

/// A process that was started by a server which was killed before it could write that down.
fn unrecorded(inner: &Inner, token: &str) -> Option<Identity> {
    if !inner.root.spawn_begun(token) {
        return None;
    }
    process::find(&inner.root.machine(token))
}

/// What is to be seen of a token, after finishing what is overdue.
pub(super) fn look(inner: &Inner, token: &str) -> Result<Option<Machine>, Error> {
    let Some(record) = inner.root.record(token)? else {
        return Ok(inner.root.released(token)?.map(|record| gone(&record, None)));
    };
    match record.wish {
        Wish::Release => finish_release(inner, token).map(Some),
        Wish::On | Wish::Off { .. } => shown(inner, &record).map(Some),
    }
}

fn finish_release(inner: &Inner, token: &str) -> Result<Machine, Error> {
    let record = inner.root.record(token)?;
    let state = release(inner, &[token.to_owned()]).remove(0)?;
    let record = match record {
        Some(record) => record,
        None => return spent(inner, token),
    };
    Ok(if state == State::Gone {
        gone(&record, None)
    } else {
        machine(&record, State::Releasing, None, Some(KILL_WAIT))
    })
}

fn shown(inner: &Inner, record: &Record) -> Result<Machine, Error> {
    let process = inner.root.process(&record.token)?;
    let alive = process.as_ref().is_some_and(Identity::alive);
    Ok(match (record.wish, process) {
        (Wish::On, Some(_)) if alive => machine(record, State::Running, None, None),
        (Wish::On, Some(_)) => gone(
            record,
            Some("its process ended by itself; the log is kept until release"),
        ),
        (Wish::On, None) => machine(
            record,
            State::Pending,
            Some("its launch was cut short; launch it again"),
            None,
        ),
        (Wish::Off { since_us }, Some(process)) if alive => {
            let left = grace_left(inner, since_us);
            if left.is_zero() {
                process.signal(Signal::KILL);
            }
            machine(
                record,
                State::Stopping,
                None,
                Some(left.clamp(Duration::from_millis(10), Duration::from_millis(500))),
            )
        }
        (Wish::Off { .. }, _) => machine(record, State::Stopped, None, None),
        (Wish::Release, _) => machine(record, State::Releasing, None, Some(KILL_WAIT)),
    })
}

fn grace_left(inner: &Inner, since_us: i64) -> Duration {
    let passed_us = inner.clock.now_us().saturating_sub(since_us);
    let passed = Duration::from_micros(u64::try_from(passed_us).unwrap_or_default());
    Duration::from_millis(inner.settings.stop_grace_ms).saturating_sub(passed)
}

/// Asks the process to end; a later call kills it when it takes too long.
pub(super) fn stop(inner: &Inner, token: &str) -> Result<State, Error> {
    let (_lock, mut record) = held(inner, token)?;
    if record.wish == Wish::On {
        if shown(inner, &record)?.state == State::Gone {
            return Err(missing(token));
        }
        record.wish = Wish::Off {
            since_us: inner.clock.now_us(),
        };
        inner.root.write_record(&record)?;
        if let Some(process) = running(inner, token)? {
            process.signal(Signal::TERM);
        }
    }
    Ok(shown(inner, &record)?.state)
}

/// Starts a stopped machine's process again.
pub(super) fn start(inner: &Inner, token: &str) -> Result<State, Error> {
    let (_lock, mut record) = held(inner, token)?;
    if let Wish::Off { .. } = record.wish {
        if running(inner, token)?.is_some_and(|process| process.alive()) {
            return Err(Error::new(
                ErrorKind::Failed,
                format!("machine {token} is still stopping"),
            ));
        }
        inner.root.forget_process(token)?;
        record.wish = Wish::On;
        inner.root.write_record(&record)?;
    }
    if inner.root.process(token)?.is_none() {
        spawn(inner, &record)?;
    }
    let state = shown(inner, &record)?.state;
    if state == State::Gone {
        Err(missing(token))
    } else {
        Ok(state)
    }
}

/// The process, also when its launch was cut short before it was written down.
fn running(inner: &Inner, token: &str) -> Result<Option<Identity>, Error> {
    let recorded = inner.root.process(token)?;
    if recorded.is_some() {
        return Ok(recorded);
    }
    let found = unrecorded(inner, token);
    if let Some(found) = &found {
        inner.root.write_process(token, found)?;
    }
    Ok(found)
}

fn held(inner: &Inner, token: &str) -> Result<(std::fs::File, Record), Error> {
    let lock = inner.root.lock_machine(token)?.ok_or_else(|| missing(token))?;
    let record = inner.root.record(token)?.filter(|record| record.wish != Wish::Release);
    Ok((lock, record.ok_or_else(|| missing(token))?))
}

fn missing(token: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no machine for token {token}"))
}

/// Kills all processes of these machines first, waits for them together, then removes the folders.
/// No lock is held while waiting; the wish that was written down keeps everybody else from starting one again.
pub(super) fn release(inner: &Inner, tokens: &[String]) -> Vec<Result<State, Error>> {
    inner.root.tidy(inner.clock.now_us());
    let begun: Vec<_> = tokens.iter().map(|token| begin_release(inner, token)).collect();
    let there = tokens.iter().zip(&begun).filter(|(_, begun)| matches!(begun, Ok(true)));
    let living = kill(inner, there.map(|(token, _)| inner.root.machine(token)).collect());
    let ended = tokens.iter().zip(begun).map(|(token, begun)| match begun? {
        true if living.contains(&inner.root.machine(token)) => Ok(State::Releasing),
        true => end_release(inner, token),
        false => Ok(State::Gone),
    });
    ended.collect()
}

/// Writes the wish down and kills the process group; answers whether there was a machine.
fn begin_release(inner: &Inner, token: &str) -> Result<bool, Error> {
    let Some(_lock) = inner.root.lock_machine(token)? else {
        return Ok(false);
    };
    let Some(mut record) = inner.root.record(token)? else {
        return Ok(false);
    };
    record.wish = Wish::Release;
    inner.root.write_record(&record)?;
    if let Some(process) = inner.root.process(token)? {
        process.signal(Signal::KILL);
    }
    Ok(true)
}

fn end_release(inner: &Inner, token: &str) -> Result<State, Error> {
    if let Some(_lock) = inner.root.lock_machine(token)? {
        inner.root.remove(token)?;
    }
    Ok(State::Gone)
}

/// Kills whatever carries the mark of these folders, stragglers outside the process group too; answers those that
/// still had a living process after a while.
#[expect(
    clippy::disallowed_methods,
    reason = "runs on a blocking thread; the kernel tells nobody that a group has ended"
)]
fn kill(inner: &Inner, folders: HashSet<PathBuf>) -> HashSet<PathBuf> {
    let mut living = folders;
    let mut waited = Duration::ZERO;
    while !living.is_empty() && waited < KILL_WAIT {
        living = process::kill_marked(&living);
        if !living.is_empty() {
            thread::sleep(KILL_POLL);
            waited += KILL_POLL;
        }
    }
    inner.reap();
    living
}

fn gone(record: &Record, reason: Option<&str>) -> Machine {
    machine(record, State::Gone, reason, None)
}

fn machine(record: &Record, state: State, reason: Option<&str>, check_after: Option<Duration>) -> Machine {
    let address: Option<Ipv4Addr> = (state != State::Gone).then_some(record.address);
    Machine {
        token: record.token.clone(),
        id: format!("local-{}", hostname_of(record.address)),
        size: record.size.clone(),
        state,
        reason: reason.map(str::to_owned),
        address,
        hostname: Some(record.hostname.clone()),
        launched_at_us: record.launched_at_us,
        check_after,
        guest: None,
        request_id: format!("local-{}", record.token),
        tags: Arc::new(record.tags.clone()),
    }
}
