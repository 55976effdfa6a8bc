//! What every command works with: a client, the output, and the pace of asking again.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{self, Format, Record};

/// How often a watched thing is asked for.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// How long `--wait` waits unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// One run of the command line.
pub(super) struct Session {
    /// The server.
    pub(super) client: Client,
    /// How answers are printed.
    pub(super) format: Format,
    /// Where answers go: standard output.
    pub(super) answers: Box<dyn Write>,
    /// Where everything else goes: standard error.
    pub(super) notes: Box<dyn Write>,
    /// Answers go to a terminal.
    pub(super) answers_on_terminal: bool,
    /// Notes go to a terminal.
    pub(super) notes_on_terminal: bool,
    /// Time between two questions of the same kind.
    pub(super) poll: Duration,
}

impl Session {
    /// Prints to standard output, at once.
    ///
    /// # Errors
    /// When nobody reads it any more, or the disk it goes to is full.
    pub(super) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .answers
            .write_all(text.as_bytes())
            .and_then(|()| self.answers.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::closed(),
            _ => Failure::new(
                Kind::Server,
                "print the answer",
                error.to_string(),
                "see where the output goes",
            ),
        })
    }

    /// Prints a list.
    ///
    /// # Errors
    /// As [`Session::print`].
    pub(super) fn print_list<T: Record>(&mut self, items: &[T]) -> Result<(), Failure> {
        let text = output::list(items, self.format)?;
        self.print(&text)
    }

    /// Prints one thing.
    ///
    /// # Errors
    /// As [`Session::print`].
    pub(super) fn print_one<T: Record>(&mut self, item: &T) -> Result<(), Failure> {
        let text = output::one(item, self.format)?;
        self.print(&text)
    }

    /// Prints what became of a request: words for people, `names` for shells one a line, the whole answer for programs.
    ///
    /// # Errors
    /// As [`Session::print`].
    pub(super) fn print_outcome(&mut self, words: &str, names: &str, answer: &impl Serialize) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table | Format::Wide => format!("{}\n", output::clean(words)),
            Format::Name => names.lines().map(|name| format!("{}\n", output::clean(name))).collect(),
            Format::Json | Format::Yaml => output::document(answer, self.format)?,
        };
        self.print(&text)
    }

    /// Says something on standard error. Nobody listening is no failure.
    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.notes, "{}", output::clean(text));
    }
}

/// Flags of commands that change something and can wait for it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Patience {
    /// Wait until the change has come true or was given up
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most, e.g. 90s, 10m, 2h [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) timeout: Option<Duration>,
}

impl Patience {
    /// How long to wait.
    pub(super) fn time(&self) -> Duration {
        self.timeout.unwrap_or(PATIENCE)
    }
}

/// Flags of commands that show something and can keep showing it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Watching {
    /// Keep showing it: redrawn on a terminal, else line by line as it changes
    #[arg(long, short)]
    pub(super) watch: bool,
    /// How long to keep showing it, e.g. 90s, 10m, 2h; until interrupted when absent
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "watch")]
    pub(super) timeout: Option<Duration>,
}

/// A length of time as people write it; without a unit it is seconds.
///
/// # Errors
/// In words, when it is none.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time; write it like 90s, 10m, 2h or 1d");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    // Longer than a few thousand years overflows the clocks it is added to.
    let seconds = number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= u64::from(u32::MAX))
        .ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(parse_time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_time("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "m", "-1s", "1w", "1.5h", "99999999999999999999d", "999999999d"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
