//! What the tests share: a provider with a way to let time pass, launches, and waiting for a condition with a bound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reeve_provider::{Boot, Launch, Machine, Machines, ManualClock, Secret, State};

/// A provider under test.
pub(crate) struct Harness {
    pub(crate) machines: Box<dyn Machines>,
    /// The provider's clock where the test moves it; real time passes otherwise.
    pub(crate) clock: Option<Arc<ManualClock>>,
    pub(crate) size: &'static str,
    /// Region its machines are asked for in.
    pub(crate) region: &'static str,
    /// Removed with the harness.
    pub(crate) folder: Option<Folder>,
    /// What else must live as long as the harness.
    pub(crate) keep: Option<Arc<dyn Send + Sync>>,
}

impl Harness {
    /// Lets a little time pass.
    pub(crate) fn step(&self) {
        match &self.clock {
            Some(clock) => clock.advance_ms(100),
            None => std::thread::yield_now(),
        }
    }

    pub(crate) fn launch(&self, token: &str) -> Launch {
        let mut launch = launch(token, self.size);
        launch.region = self.region.to_owned();
        launch
    }

    pub(crate) async fn launched(&self, tokens: &[&str]) -> Vec<Machine> {
        let launches: Vec<Launch> = tokens.iter().map(|token| self.launch(token)).collect();
        let answers = self.machines.launch(&launches).await;
        answers.into_iter().map(|answer| answer.expect("launched")).collect()
    }

    pub(crate) async fn describe(&self, token: &str) -> Option<Machine> {
        describe(self.machines.as_ref(), token).await
    }

    /// Waits until the machine is in this state; unknown counts as gone.
    pub(crate) async fn reaches(&self, token: &str, state: State) -> Option<Machine> {
        self.until(token, |machine| {
            machine.map_or(State::Gone, |machine| machine.state) == state
        })
        .await
    }

    /// Waits until what is known of the machine satisfies `holds`.
    pub(crate) async fn until(&self, token: &str, holds: impl Fn(Option<&Machine>) -> bool) -> Option<Machine> {
        let begun = Instant::now();
        loop {
            let seen = self.describe(token).await;
            if holds(seen.as_ref()) {
                return seen;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "waited too long; last seen: {seen:?}"
            );
            self.step();
        }
    }

    /// Releases everything, so that no process is left.
    pub(crate) async fn finish(self) {
        while let Some(machine) = self.machines.list(None, 1).await.expect("listed").machines.first() {
            let answers = self.machines.release(std::slice::from_ref(&machine.token)).await;
            answers[0].as_ref().expect("released");
            self.step();
        }
        drop(self.keep);
    }
}

pub(crate) async fn describe(machines: &dyn Machines, token: &str) -> Option<Machine> {
    let mut answer = machines.describe(&[token.to_owned()]).await.expect("described");
    assert_eq!(answer.len(), 1);
    let (described, machine) = answer.remove(0);
    assert_eq!(described, token);
    machine
}

pub(crate) fn launch(token: &str, size: &str) -> Launch {
    Launch {
        token: token.into(),
        node_id: format!("id-of-{token}"),
        node_name: format!("node-{token}"),
        cluster_name: "demo".into(),
        size: size.into(),
        region: "local".into(),
        zone: None,
        spot: false,
        max_price: None,
        placement_group: None,
        tags: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        boot: Boot {
            server_url: "http://127.0.0.1:9".into(),
            join_token: Secret::new("join-me-quietly"),
            ca_sha256: Some("ab12".into()),
            hostname: None,
        },
    }
}

/// A folder that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("provider-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays is under the build folder and harms nobody.
        _ = std::fs::remove_dir_all(&self.0);
    }
}
