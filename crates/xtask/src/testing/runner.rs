//! Runs cargo test, passes its output on as it comes, and ends it when we are told to end.
//!
//! The command gets a process group of its own, so that a signal reaches the test binaries and what they started, not
//! only cargo; in return we have to pass on the Ctrl-C that the terminal no longer sends it.

use super::results::Results;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::signal::unix::{SignalKind, signal};

/// How long the tests may take to end once asked.
const GRACE: Duration = Duration::from_secs(10);

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Exit status 0.
    Passed,
    /// Any other exit status.
    Failed,
    /// We were told to stop.
    Interrupted,
}

/// What came of the run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Sum over all result lines that came out.
    pub(crate) results: Results,
    /// How the command ended.
    pub(crate) end: End,
}

/// The signals that ask this program to end.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on these signals no longer end the process by themselves. Call inside a runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until one of them arrives.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Runs `command`, printing each line of its standard output and adding up the results, until it ends or `stop` does.
///
/// # Errors
/// When the command cannot be started or its output not be read.
pub(crate) async fn run(mut command: Command, stop: impl Future<Output = ()>) -> Result<Outcome> {
    command.stdout(Stdio::piped()).stdin(Stdio::null()).process_group(0);
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .context("start cargo test")?;
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .context("learn the id of cargo test")?;
    let mut lines = BufReader::new(child.stdout.take().context("take the output of cargo test")?).lines();
    let mut results = Results::default();
    let interrupted = tokio::select! {
        read = pass_on(&mut lines, &mut results) => { read?; false }
        () = stop => true,
    };
    if interrupted {
        end_group(&mut child, group).await?;
        return Ok(Outcome {
            results,
            end: End::Interrupted,
        });
    }
    let status = child.wait().await.context("wait for cargo test")?;
    Ok(Outcome {
        results,
        end: if status.success() { End::Passed } else { End::Failed },
    })
}

async fn pass_on(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, results: &mut Results) -> Result<()> {
    while let Some(line) = lines.next_line().await.context("read the output of cargo test")? {
        results.read(&line);
        println!("{line}");
    }
    Ok(())
}

/// Asks the whole group to end, and makes it end when it takes too long.
async fn end_group(child: &mut tokio::process::Child, group: Pid) -> Result<()> {
    // The group may be gone already; then there is nothing left to end.
    let _gone = kill_process_group(group, Signal::TERM);
    let waited = tokio::time::timeout(GRACE, child.wait()).await;
    let _gone = kill_process_group(group, Signal::KILL);
    if waited.is_err() {
        child.wait().await.context("wait for cargo test")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_good_run_is_summed_and_passes() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        let outcome = run(shell(script), pending()).await.expect("the shell runs");
        assert_eq!(
            (outcome.results, outcome.end),
            (Results { passed: 2, failed: 0 }, End::Passed)
        );
    }

    #[tokio::test]
    async fn a_run_that_dies_without_a_result_fails() {
        let outcome = run(shell("exit 101"), pending()).await.expect("the shell runs");
        assert_eq!((outcome.results, outcome.end), (Results::default(), End::Failed));
    }

    #[tokio::test]
    async fn being_told_to_stop_ends_the_whole_group() {
        // The shell alone would be easy; its child shares the group and must go as well, or its output stays open.
        let outcome = run(shell("sleep 600 & wait"), ready(())).await.expect("the shell runs");
        assert_eq!(outcome.end, End::Interrupted);
    }
}
