//! Waits for what was asked to come true, and shows how far it is.
//!
//! On a terminal a bar with counts and the time left, elsewhere a line at each change. It knows operations and how
//! they end; what they are about does not matter here.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reeve_wire::native::{Node, Operation, Progress};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::client::Client;
use super::failure::{Failure, Kind};
use super::session::Session;
use super::watch::{FAILURES_MAX, passing};

/// How many failed nodes are named when an operation fails.
const CULPRITS_MAX: usize = 3;

/// Asks again and again until `look` has an answer.
///
/// # Errors
/// When the server refuses, stays away, or the time is over; `doing` completes "cannot …" of the last of these.
pub(super) async fn until<T>(
    session: &mut Session,
    doing: &str,
    time: Duration,
    mut look: impl AsyncFnMut(&mut Session) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + time;
    let mut ticker = interval(session.poll);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        let next = async {
            ticker.tick().await;
            look(session).await
        };
        match timeout_at(deadline, next).await {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => failures = 0,
            Ok(Err(failure)) if passing(&failure) && failures < FAILURES_MAX => failures += 1,
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {
                return Err(Failure::new(
                    Kind::Timeout,
                    doing,
                    format!("it is not over after {}", words(time)),
                    "it goes on without us: look again later, or wait longer with --timeout",
                ));
            }
        }
    }
}

/// Waits for the end of an operation.
///
/// # Errors
/// As [`until`]; also when the operation failed or was overtaken by a later request.
pub(super) async fn operation(session: &mut Session, id: &str, time: Duration) -> Result<Operation, Failure> {
    let doing = format!("see operation {id} through");
    let mut reporter = Reporter::new(session.notes_on_terminal);
    let ended = until(session, &doing, time, async |session: &mut Session| {
        let operation: Operation = session.client.get(&doing, &["operations", id]).await?;
        if let Some(line) = reporter.report(&operation.progress) {
            session.note(&line);
        }
        Ok(Some(operation).filter(|operation| operation.state != "running"))
    })
    .await;
    reporter.finish();
    let operation = ended?;
    match operation.state.as_str() {
        "succeeded" => Ok(operation),
        "superseded" => Err(Failure::new(
            Kind::Conflict,
            doing,
            format!(
                "a later request took over {} of its {} nodes",
                operation.progress.superseded, operation.progress.total
            ),
            format!(
                "see what was asked later: reeve operation list --cluster {}",
                operation.cluster
            ),
        )),
        state => {
            let why = format!(
                "it ended as {state}: {} of {} nodes failed{}",
                operation.progress.failed,
                operation.progress.total,
                culprits(&session.client, &operation.cluster).await
            );
            let next = format!("reeve node list {} --phase failed -o wide", operation.cluster);
            Err(Failure::new(Kind::Server, doing, why, next))
        }
    }
}

/// The first failed nodes of a cluster in words; nothing when they cannot be had, as this only embellishes a failure.
async fn culprits(client: &Client, cluster: &str) -> String {
    let nodes: Result<Vec<Node>, Failure> = client
        .list(
            "list failed nodes",
            &["clusters", cluster, "nodes"],
            &[("phase", Some("failed"))],
            Some(CULPRITS_MAX),
        )
        .await;
    nodes.unwrap_or_default().iter().fold(String::new(), |mut text, node| {
        let _ = write!(text, "; {}: {} ({})", node.name, node.message, node.reason);
        text
    })
}

/// Shows progress in the way that fits where it goes.
enum Reporter {
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// A line per change.
    Lines {
        /// Since when.
        start: Instant,
        /// What the last line said.
        last: Option<Progress>,
    },
}

impl Reporter {
    fn new(on_terminal: bool) -> Self {
        if !on_terminal {
            return Self::Lines {
                start: Instant::now(),
                last: None,
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template that does not parse is replaced by the plain bar rather than by a panic.
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} nodes{msg}, {elapsed} passed, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self::Bar(bar)
    }

    /// Shows the progress, or returns the line that does.
    fn report(&mut self, progress: &Progress) -> Option<String> {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(settled(progress));
                bar.set_message(if progress.failed > 0 {
                    format!(", {} failed", progress.failed)
                } else {
                    String::new()
                });
                None
            }
            Self::Lines { last, .. } if last.as_ref() == Some(progress) => None,
            Self::Lines { start, last } => {
                *last = Some(*progress);
                Some(sentence(progress, start.elapsed()))
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Nodes about which nothing more will happen.
fn settled(progress: &Progress) -> u64 {
    progress
        .done
        .saturating_add(progress.failed)
        .saturating_add(progress.superseded)
}

/// Progress as one line.
fn sentence(progress: &Progress, elapsed: Duration) -> String {
    let mut text = format!("{} of {} nodes done", progress.done, progress.total);
    for (count, label) in [(progress.failed, "failed"), (progress.superseded, "overtaken")] {
        if count > 0 {
            let _ = write!(text, ", {count} {label}");
        }
    }
    let _ = write!(text, ", {} passed", words(elapsed));
    if let Some(left) = time_left(progress, elapsed) {
        let _ = write!(text, ", about {} left", words(left));
    }
    text
}

/// How long the rest takes if it goes on as it went; unknown before the first and meaningless after the last.
fn time_left(progress: &Progress, elapsed: Duration) -> Option<Duration> {
    let settled = settled(progress);
    let rest = progress.total.checked_sub(settled)?;
    if settled == 0 || rest == 0 {
        return None;
    }
    let seconds = u128::from(elapsed.as_secs()) * u128::from(rest) / u128::from(settled);
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// A length of time in its two largest units.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(total: u64, done: u64, failed: u64) -> Progress {
        Progress {
            total,
            done,
            failed,
            superseded: 0,
        }
    }

    #[test]
    fn a_line_says_counts_and_the_time_left() {
        let text = sentence(&progress(100, 24, 1), Duration::from_secs(30));
        assert_eq!(
            text,
            "24 of 100 nodes done, 1 failed, 30 s passed, about 1 min 30 s left"
        );
    }

    #[test]
    fn the_time_left_is_not_guessed_from_nothing() {
        assert_eq!(time_left(&progress(100, 0, 0), Duration::from_secs(30)), None);
        assert_eq!(time_left(&progress(100, 100, 0), Duration::from_secs(30)), None);
        assert_eq!(time_left(&progress(0, 0, 0), Duration::from_secs(30)), None);
    }

    #[test]
    fn progress_that_stands_still_is_told_once() {
        let mut reporter = Reporter::new(false);
        assert!(reporter.report(&progress(2, 0, 0)).is_some());
        assert!(reporter.report(&progress(2, 0, 0)).is_none());
        assert!(reporter.report(&progress(2, 1, 0)).is_some());
    }

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        assert_eq!(words(Duration::from_secs(59)), "59 s");
        assert_eq!(words(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(words(Duration::from_secs(7260)), "2 h 1 min");
    }
}
