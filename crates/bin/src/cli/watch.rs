//! Keeps showing a list: redrawn on a terminal, and elsewhere one line for each change.
//!
//! A server that is away for a moment does not end the watching; one that refuses does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{self, Format, Record};
use super::session::{Session, Watching};

/// Clears the terminal and puts the cursor into its upper left corner.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";
/// How many questions in a row may fail before the watching ends.
pub(super) const FAILURES_MAX: u32 = 10;

/// Shows a list once, or as long as asked. `fetch` reads the present state.
///
/// # Errors
/// When reading or printing fails, or the time is over.
pub(super) async fn show<T: Record>(
    session: &mut Session,
    watching: &Watching,
    fetch: impl AsyncFn(&Client) -> Result<Vec<T>, Failure>,
) -> Result<(), Failure> {
    let items = fetch(&session.client).await?;
    if !watching.watch {
        return session.print_list(&items);
    }
    let deadline = watching.timeout.map(|time| Instant::now() + time);
    let mut ticker = interval(session.poll);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Snapshot::new(&items, session.format)?;
    draw(session, &items, None, &before)?;
    let mut failures = 0;
    loop {
        let next = async {
            ticker.tick().await;
            fetch(&session.client).await
        };
        let outcome = match deadline {
            None => next.await,
            Some(deadline) => timeout_at(deadline, next).await.map_err(|_| over())?,
        };
        match outcome {
            Ok(items) => {
                failures = 0;
                let now = Snapshot::new(&items, session.format)?;
                draw(session, &items, Some(&before), &now)?;
                before = now;
            }
            Err(failure) if passing(&failure) && failures < FAILURES_MAX => failures += 1,
            Err(failure) => return Err(failure),
        }
    }
}

/// The failure may be gone at the next question.
pub(super) fn passing(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Server | Kind::Timeout)
}

fn over() -> Failure {
    Failure::new(
        Kind::Timeout,
        "keep watching",
        "the time given by --timeout is over",
        "",
    )
}

fn draw<T: Record>(
    session: &mut Session,
    items: &[T],
    before: Option<&Snapshot>,
    now: &Snapshot,
) -> Result<(), Failure> {
    if session.answers_on_terminal {
        // Redrawing what did not change would only flicker.
        if before.is_none_or(|before| before.lines != now.lines) {
            let text = output::list(items, session.format)?;
            session.print(&format!("{CLEAR}{text}"))?;
        }
        return Ok(());
    }
    match before {
        None if session.format.is_table() => session.print_list(items),
        None => session.print(&now.lines.values().map(|line| format!("{line}\n")).collect::<String>()),
        Some(before) => session.print(&changes(before, now, session.format)),
    }
}

/// The line of each item by its name, as printed where changes are.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    lines: BTreeMap<String, String>,
}

impl Snapshot {
    fn new<T: Record>(items: &[T], format: Format) -> Result<Self, Failure> {
        let mut lines = BTreeMap::new();
        for item in items {
            let line = match format {
                Format::Json | Format::Yaml => compact(item)?,
                Format::Name => output::clean(&item.name()),
                Format::Table | Format::Wide => output::line(item, format).join("  "),
            };
            lines.insert(item.name(), line);
        }
        Ok(Self { lines })
    }
}

/// One line of JSON, which is also one document of YAML.
///
/// # Errors
/// When it cannot be written so.
pub(super) fn compact(item: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(item).map_err(|error| Failure::new(Kind::Server, "print the answer", error.to_string(), ""))
}

/// One line for each item that came, changed or went.
fn changes(before: &Snapshot, now: &Snapshot, format: Format) -> String {
    let names: BTreeSet<&String> = before.lines.keys().chain(now.lines.keys()).collect();
    let mut text = String::new();
    for name in names {
        let line = match (before.lines.get(name), now.lines.get(name)) {
            (old, Some(new)) if old == Some(new) => continue,
            (_, Some(new)) => new.clone(),
            (_, None) if format.is_table() => format!("{}  gone", output::clean(name)),
            (_, None) if format == Format::Name => continue,
            (_, None) => json!({ "gone": name }).to_string(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lines: &[(&str, &str)]) -> Snapshot {
        Snapshot {
            lines: lines
                .iter()
                .map(|(name, line)| ((*name).to_owned(), (*line).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn only_what_changed_is_printed() {
        let before = snapshot(&[("a", "a  booting"), ("b", "b  running"), ("c", "c  running")]);
        let now = snapshot(&[("a", "a  running"), ("b", "b  running"), ("d", "d  booting")]);
        assert_eq!(
            changes(&before, &now, Format::Table),
            "a  running\nc  gone\nd  booting\n"
        );
        assert_eq!(changes(&now, &now, Format::Table), "");
    }

    #[test]
    fn what_went_is_a_line_of_json_for_programs() {
        let text = changes(&snapshot(&[("a", "{}")]), &snapshot(&[]), Format::Json);
        assert_eq!(text, "{\"gone\":\"a\"}\n");
    }
}
