//! Waits for operations and endings: with a bar on a terminal, with plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{CONFLICT, Failure, NOT_FOUND, SERVER, TIMEOUT, client::Client};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What an operation's progress looks like here.
enum Shown {
    Bar(ProgressBar),
    Lines(String),
}

impl Shown {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(String::new());
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&mut self, operation: &Value) {
        let count = |at: &str| operation.pointer(at).and_then(Value::as_u64).unwrap_or(0);
        let word = |at: &str| operation.get(at).and_then(Value::as_str).unwrap_or_default();
        let (done, failed, total) = (
            count("/progress/done"),
            count("/progress/failed"),
            count("/progress/total"),
        );
        match self {
            Self::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done + failed);
                bar.set_message(format!("{} {}", word("verb"), word("cluster")));
            }
            Self::Lines(last) => {
                let line = format!("{}: {done} of {total} done, {failed} failed", word("state"));
                if *last != line {
                    eprintln!("{line}");
                    *last = line;
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Waits until an operation has ended; answers it when it succeeded.
pub(super) async fn operation(client: &Client, id: &str, limit: Duration) -> Result<Value, Failure> {
    let started = Instant::now();
    let mut beat = tokio::time::interval(LOOK_EVERY);
    let mut shown = Shown::new();
    loop {
        beat.tick().await;
        let operation = client.get(&["operations", id]).await?;
        shown.show(&operation);
        let state = operation.get("state").and_then(Value::as_str).unwrap_or_default();
        let ended = match state {
            "running" if started.elapsed() < limit => continue,
            "running" => Err(Failure::new(
                TIMEOUT,
                format!("operation {id} still runs after {} s", limit.as_secs()),
            )),
            "succeeded" => Ok(()),
            "superseded" => Err(Failure::new(
                CONFLICT,
                format!("a later request took over from operation {id}"),
            )),
            other => Err(Failure::new(
                SERVER,
                format!("operation {id} {other}; reeve node list says why"),
            )),
        };
        shown.end();
        return ended.map(|()| operation);
    }
}

/// Waits until there is nothing at `path` any more.
pub(super) async fn gone(client: &Client, path: &[&str], limit: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    let mut beat = tokio::time::interval(LOOK_EVERY);
    loop {
        beat.tick().await;
        match client.get(path).await {
            Err(failure) if failure.code == NOT_FOUND => return Ok(()),
            Err(failure) => return Err(failure),
            Ok(_) if started.elapsed() < limit => {}
            Ok(_) => {
                return Err(Failure::new(
                    TIMEOUT,
                    format!("it is still there after {} s", limit.as_secs()),
                ));
            }
        }
    }
}
