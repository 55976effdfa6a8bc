//! Ten thousand nodes: accepted, converged, shown, and found again by the next start.

use super::{
    figure::Figure,
    subject::{Answer, Folder, Subject, header, wait_until},
};
use anyhow::{Context, Result, ensure};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How this measures.
pub(crate) const METHOD: &str = "one request for 10,000 nodes on the simulated cloud, which takes exactly 2 s from launch \
    to initialised; accepted: request to whole answer; converged: answer until every node runs, less those 2 s; status: \
    with all nodes, request to whole body, 10 runs, compared with what slurmrestd 22.05 was once seen to take for as \
    many nodes (1.3 s; stated, not measured here); start: from exec to the listening line with those nodes stored";

/// Nodes of the fleet.
pub(crate) const NODES: u32 = 10_000;
/// From launch to initialised, as configured below.
const DELAY: Duration = Duration::from_secs(2);

/// A simulated cloud without chance.
pub(crate) const CONFIG: &str = "
[provider.cloud]
kind = \"fake\"
launch_delay_ms = [1000, 1000]
boot_delay_ms = [700, 700]
init_delay_ms = [300, 300]
";

const TEMPLATE: &str = "
[cluster bench]
Category = Schedulers

[[node defaults]]
Credentials = cloud
Region = westeurope
SubnetId = group/network/subnet
ImageName = cycle.image.ubuntu22

[[nodearray execute]]
Extends = defaults
MachineType = Standard_F2s_v2
MaxCount = 60000
MaxCoreCount = 200000
";

/// Imports and starts the cluster `bench`.
///
/// # Errors
/// When the command line fails.
pub(crate) fn import(subject: &Subject, folder: &Folder) -> Result<()> {
    let file = folder.path().join("bench.txt");
    std::fs::write(&file, TEMPLATE).context("write the template")?;
    let file = file.to_str().context("a plain path")?;
    subject.command(&["cluster", "import", file, "--name", "bench", "--start"])
}

/// Asks for nodes.
///
/// # Errors
/// When the server refuses.
pub(crate) fn create(subject: &Subject, count: u32) -> Result<Answer> {
    let body = format!(r#"{{"sets":[{{"nodearray":"execute","count":{count}}}]}}"#);
    subject.send("POST", "/clusters/bench/nodes/create", &body, 202)
}

/// Waits until every node runs, by the figures of the native API, which cost the server little.
///
/// # Errors
/// When they do not in time.
pub(crate) fn converged(subject: &Subject, count: u32) -> Result<Duration> {
    let wanted = format!("\"running\":{count},");
    wait_until(&format!("{count} nodes run"), || {
        let answer = subject.send("GET", "/reeve/v1/clusters/bench", "", 200)?;
        Ok(String::from_utf8_lossy(&answer.body).contains(&wanted))
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Runs the fleet three times over.
///
/// # Errors
/// When the server does not do as it should.
pub(crate) fn measure(binary: &Path) -> Result<Vec<Figure>> {
    let mut accepted = Vec::new();
    let mut converge = Vec::new();
    let mut shown = Vec::new();
    let mut started = Vec::new();
    let mut body = 0;
    for _ in 0..3 {
        let folder = Folder::new()?;
        let (subject, _) = Subject::start(binary, &folder, CONFIG)?;
        import(&subject, &folder)?;
        let begun = Instant::now();
        let answer = create(&subject, NODES)?;
        accepted.push(milliseconds(begun.elapsed()));
        ensure!(header(&answer.head, "location").is_some(), "no operation to ask for");
        converge.push(converged(&subject, NODES)?.saturating_sub(DELAY).as_secs_f64());
        for _ in 0..10 {
            let begun = Instant::now();
            let status = subject.send("GET", "/clusters/bench/status?nodes=true", "", 200)?;
            shown.push(milliseconds(begun.elapsed()));
            body = status.body.len();
        }
        subject.stop()?;
        let (again, took) = Subject::start(binary, &folder, CONFIG)?;
        started.push(milliseconds(took));
        again.stop()?;
    }
    let megabytes = format!("our target; {:.1} MB of body", body as f64 / 1e6);
    Ok(vec![
        Figure::new("10,000 nodes accepted", "ms", accepted).at_most(200.0, "our target"),
        Figure::new("10,000 nodes converged", "s", converge).at_most(10.0, "our target"),
        Figure::new("status of 10,000 nodes", "ms", shown).at_most(100.0, megabytes),
        Figure::new("start with 10,000 nodes", "ms", started).at_most(1000.0, "our target"),
    ])
}
