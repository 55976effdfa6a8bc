//! `reeve events`: what happened, and what happens.
//!
//! The latest events come first to be shown, and the stream is then followed from the last of them, so that nothing is
//! lost in between. A server that is away for a moment is asked again for what came after the last event seen.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use reeve_wire::native::Event;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::client::Stream;
use super::failure::{Failure, Kind};
use super::output::{self, Format, Record, or_dash};
use super::session::{Session, parse_time};
use super::watch::{FAILURES_MAX, compact, passing};

const DOING: &str = "read the events";

/// Which events.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// Keep showing what happens
    #[arg(long, short)]
    follow: bool,
    /// Only what happened after the event of this number
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,
    /// At most so many of those that have happened, the latest
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// How long to follow, e.g. 90s, 10m, 2h; until interrupted when absent
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "follow")]
    timeout: Option<Duration>,
}

impl Record for Event {
    const COLUMNS: &'static [&'static str] = &["SEQUENCE", "AT", "KIND", "SUBJECT", "TEXT"];
    const MORE: &'static [&'static str] = &["CLUSTER"];

    fn name(&self) -> String {
        self.sequence.to_string()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.sequence.to_string(),
            self.at.clone(),
            self.kind.clone(),
            self.subject.clone(),
            self.text.clone(),
        ]
    }

    fn more(&self) -> Vec<String> {
        vec![or_dash(self.cluster.as_deref())]
    }
}

/// Shows events.
///
/// # Errors
/// When the server refuses or cannot be reached, or the time to follow is over.
pub(super) async fn run(session: &mut Session, show: &Show) -> Result<(), Failure> {
    let deadline = show.timeout.map(|time| Instant::now() + time);
    let (latest, last) = latest(session, show).await?;
    if !show.follow {
        return session.print_list(&latest);
    }
    if session.format.is_table() {
        session.print_list(&latest)?;
    } else {
        for event in &latest {
            print(session, event)?;
        }
    }
    let following = follow(session, last);
    match deadline {
        None => following.await,
        Some(deadline) => timeout_at(deadline, following).await.map_err(|_| over())?,
    }
}

/// The latest events that have happened, and the number of the very last.
async fn latest(session: &Session, show: &Show) -> Result<(Vec<Event>, i64), Failure> {
    let mut last = i64::try_from(show.after).unwrap_or(i64::MAX);
    let mut stream = open(session, last, false).await?;
    let mut kept = VecDeque::new();
    while let Some(event) = next(&mut stream).await? {
        last = event.sequence;
        kept.push_back(event);
        if kept.len() > show.limit {
            kept.pop_front();
        }
    }
    Ok((kept.into(), last))
}

/// Prints what happens after the event of number `last`, until there is a reason to stop.
async fn follow(session: &mut Session, mut last: i64) -> Result<(), Failure> {
    let mut ticker = interval(session.poll);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        ticker.tick().await;
        let outcome = match open(session, last, true).await {
            Ok(stream) => {
                failures = 0;
                copy(session, stream, &mut last).await
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            // The server ends streams when it stops, and when the credential has lost its rights: asking tells which.
            Ok(()) => {}
            Err(failure) if passing(&failure) && failures < FAILURES_MAX => failures += 1,
            Err(failure) => return Err(failure),
        }
    }
}

/// Prints a stream to its end; `last` is kept at the number of the last event printed.
async fn copy(session: &mut Session, mut stream: Stream, last: &mut i64) -> Result<(), Failure> {
    while let Some(event) = next(&mut stream).await? {
        print(session, &event)?;
        *last = event.sequence;
    }
    Ok(())
}

async fn open(session: &Session, after: i64, follow: bool) -> Result<Stream, Failure> {
    let after = after.to_string();
    let query = [("cursor", &*after), ("follow", if follow { "true" } else { "false" })];
    session.client.stream(DOING, &["events"], &query).await
}

async fn next(stream: &mut Stream) -> Result<Option<Event>, Failure> {
    let Some(text) = stream.next().await? else {
        return Ok(None);
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let why = format!("an event cannot be read: {error}");
        Failure::new(
            Kind::Server,
            DOING,
            why,
            "check that the address is a Reeve server of about this version",
        )
    })
}

/// One event as one line.
fn print(session: &mut Session, event: &Event) -> Result<(), Failure> {
    let line = match session.format {
        Format::Json | Format::Yaml => compact(event)?,
        Format::Name => event.name(),
        Format::Table | Format::Wide => output::line(event, session.format).join("  "),
    };
    session.print(&format!("{line}\n"))
}

fn over() -> Failure {
    let why = "the time given by --timeout is over";
    Failure::new(Kind::Timeout, "keep following", why, "")
}
