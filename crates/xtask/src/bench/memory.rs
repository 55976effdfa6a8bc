//! How much memory a server holds that nobody asks anything.

use super::{
    figure::Figure,
    fleet,
    subject::{Folder, Subject, pause},
};
use anyhow::Result;
use std::{path::Path, time::Duration};

/// How this measures.
pub(crate) const METHOD: &str = "resident memory of the server process by the system's own count, 45 s after its start \
    and after the last request: empty, and started again with 10,000 nodes stored; by then every timer has run at least once";

/// Most an idle server may hold, in MB of 10^6 bytes.
const BOUND_MB: f64 = 60.0;
/// Longer than the longest of the server's timers.
const QUIET: Duration = Duration::from_secs(45);

/// Looks at an idle server.
///
/// # Errors
/// When the server does not do as it should.
pub(crate) fn measure(binary: &Path) -> Result<Vec<Figure>> {
    let folder = Folder::new()?;
    let (subject, _) = Subject::start(binary, &folder, fleet::CONFIG)?;
    pause(QUIET);
    let empty = subject.memory_mb()?;
    fleet::import(&subject, &folder)?;
    fleet::create(&subject, fleet::NODES)?;
    fleet::converged(&subject, fleet::NODES)?;
    let busy = subject.memory_mb()?;
    subject.stop()?;
    let (again, _) = Subject::start(binary, &folder, fleet::CONFIG)?;
    pause(QUIET);
    let stored = again.memory_mb()?;
    again.stop()?;
    Ok(vec![
        Figure::new("idle, empty", "MB", vec![empty]).at_most(BOUND_MB, "our target"),
        Figure::new("idle, 10,000 nodes", "MB", vec![stored]).at_most(BOUND_MB, "our target"),
        Figure::new("just after 10,000 nodes were made", "MB", vec![busy]),
    ])
}
