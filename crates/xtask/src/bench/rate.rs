//! How many small authenticated requests are answered per second.

use super::{
    figure::Figure,
    fleet, load,
    subject::{Folder, Subject, header},
};
use anyhow::{Context, Result};
use std::{path::Path, time::Duration};

/// How this measures.
pub(crate) const METHOD: &str = "32 kept connections from one thread of another process on this machine, 5 s a run, \
    Basic authentication: one operation of the log, read from the database each time; the peer is the same load on \
    /healthz, which asks nobody";

const CONNECTIONS: u32 = 32;
const LENGTH: Duration = Duration::from_secs(5);
/// Fewest answers per second.
const BOUND: f64 = 15_000.0;
/// Slowest of the faster 99 of 100 answers at half the highest rate, in milliseconds.
const P99_MS: f64 = 10.0;

/// Puts load on one address.
///
/// # Errors
/// When the server does not start or an answer is wrong.
pub(crate) fn measure(binary: &Path) -> Result<Vec<Figure>> {
    let folder = Folder::new()?;
    let (subject, _) = Subject::start(binary, &folder, fleet::CONFIG)?;
    fleet::import(&subject, &folder)?;
    let answer = fleet::create(&subject, 1)?;
    let location = header(&answer.head, "location").context("the operation's address")?;
    let (_, path) = location
        .split_once(&subject.address().to_string())
        .context("an absolute address")?;
    let small = subject.request("GET", path, "");
    let peer = subject.request("GET", "/healthz", "");
    let run = |request: &str, pace| load::run(subject.address(), request, CONNECTIONS, LENGTH, pace);
    // Once for nothing, so that connections to the database and remembered credentials are there.
    run(&small, None)?;
    let mut rates = Vec::new();
    let mut ceilings = Vec::new();
    for _ in 0..3 {
        rates.push(run(&small, None)?.rate);
        ceilings.push(run(&peer, None)?.rate);
    }
    let ceiling = Figure::new("peer: GET /healthz", "/s", ceilings);
    let rate = Figure::new("small authenticated GET", "/s", rates)
        .at_least(BOUND, format!("our target; {:.0}/s is the peer", ceiling.median()));
    let calm = run(&small, Some(rate.median() / 2.0))?;
    let p99 = Figure::new("p99 at half that rate", "ms", vec![calm.p99_ms]).at_most(P99_MS, "our target");
    subject.stop()?;
    Ok(vec![rate, ceiling, p99])
}
