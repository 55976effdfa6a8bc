//! Carrying out goals: which scripts to run, which never again, and stopping.
//!
//! **Invariant:** a script whose end was recorded for an `init_run` is never started again for that run. The
//! record is on disk before the end is reported. A script that was interrupted has no recorded end and is run
//! again.
//!
//! The scripts run inside a future that this module holds and drives from [`Work::changed`]; beats and the network
//! are not known here.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use reeve_wire::agent::{Goals, Init, InitState, Script, ScriptResult, Wish};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Failure;
use super::processes::{self, Group};
use super::script::{self, RUNNING_FILE, milliseconds, output_tail};
use super::state::{Identity, StateDir};

/// File with the record of the initialisation.
const RECORD_FILE: &str = "init.json";

type Scripts<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What a beat says about the scripts.
#[derive(Debug, Clone)]
struct Progress {
    record: Init,
    running: Option<RunningScript>,
}

/// The script that runs now.
#[derive(Debug, Clone)]
struct RunningScript {
    name: String,
    since: Instant,
    log: PathBuf,
}

/// The scripts of one machine.
pub(super) struct Work<'a> {
    state: &'a StateDir,
    sender: watch::Sender<Progress>,
    progress: watch::Receiver<Progress>,
    running: Option<(Scripts<'a>, oneshot::Sender<()>)>,
    drained_epoch: i64,
}

impl<'a> Work<'a> {
    /// Reads what was done before, and kills what an earlier agent has left behind.
    pub(super) fn new(state: &'a StateDir) -> Result<Self, Failure> {
        if let Some(group) = state.load::<Group>(RUNNING_FILE)? {
            if group.kill_leftover(state.instance()) {
                tracing::warn!("a script of an earlier agent was still running and has been killed; it will run again");
            }
            state.remove(RUNNING_FILE)?;
        }
        let mut record: Init = state.load(RECORD_FILE)?.unwrap_or_else(|| fresh(String::new()));
        if record.state == InitState::Running {
            record.state = InitState::Pending;
        }
        let (sender, progress) = watch::channel(Progress { record, running: None });
        Ok(Self {
            state,
            sender,
            progress,
            running: None,
            drained_epoch: 0,
        })
    }

    /// Starts or stops scripts as `goals` say. Returns once scripts that must not run any more have ended, which
    /// takes a few seconds at most.
    pub(super) async fn adopt(&mut self, goals: &Goals, identity: &Identity) {
        match goals.wish {
            Wish::Run => self.initialize(goals, identity).await,
            Wish::Drain => {
                self.stop().await;
                let others = processes::end_marked(self.state.instance()).await;
                tracing::info!(goals.epoch, processes.ended = others, "drained");
                self.drained_epoch = goals.epoch;
            }
            Wish::Stand => {
                if self.running.is_none() && self.run() != goals.init_run {
                    self.begin(&goals.init_run);
                }
            }
        }
    }

    async fn initialize(&mut self, goals: &Goals, identity: &Identity) {
        if self.run() != goals.init_run {
            self.stop().await;
            self.begin(&goals.init_run);
        }
        let ended = matches!(self.progress.borrow().record.state, InitState::Done | InitState::Failed);
        if ended || self.running.is_some() {
            return;
        }
        let (cancel, canceled) = oneshot::channel();
        let scripts = goals.scripts.clone();
        let scripts = Box::pin(perform(
            self.state,
            identity.clone(),
            scripts,
            self.sender.clone(),
            canceled,
        ));
        self.running = Some((scripts, cancel));
    }

    fn run(&self) -> String {
        self.progress.borrow().record.run.clone()
    }

    fn begin(&self, run: &str) {
        self.sender.send_replace(Progress {
            record: fresh(run.to_owned()),
            running: None,
        });
    }

    /// Runs scripts until there is something new to report; resolves never when there is nothing to run.
    /// Cancel-safe.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.progress.changed() => return,
                () = drive(&mut self.running) => self.running = None,
            }
        }
    }

    /// Lets the scripts do what they can do without waiting, so that a beat composed now tells it.
    pub(super) async fn settle(&mut self) {
        tokio::select! {
            biased;
            () = drive(&mut self.running) => self.running = None,
            () = std::future::ready(()) => {}
        }
    }

    /// Progress for a beat; what is returned no longer counts as new.
    pub(super) fn report(&mut self) -> Init {
        let progress = self.progress.borrow_and_update().clone();
        let mut record = progress.record;
        record.scripts.extend(progress.running.map(|script| ScriptResult {
            name: script.name,
            exit_code: None,
            timed_out: false,
            duration_ms: milliseconds(script.since.elapsed()),
            output_tail: output_tail(&script.log),
        }));
        record
    }

    /// Epoch whose drain is complete, 0 when none.
    pub(super) fn drained_epoch(&self) -> i64 {
        self.drained_epoch
    }

    /// Forgets drains: epochs of another node mean nothing for this one.
    pub(super) fn forget_drain(&mut self) {
        self.drained_epoch = 0;
    }

    /// Stops the running script and all its process group, within a few seconds.
    pub(super) async fn stop(&mut self) {
        if let Some((scripts, cancel)) = self.running.take() {
            let _ = cancel.send(());
            scripts.await;
        }
    }
}

async fn drive(running: &mut Option<(Scripts<'_>, oneshot::Sender<()>)>) {
    match running {
        Some((scripts, _)) => scripts.await,
        None => std::future::pending().await,
    }
}

fn fresh(run: String) -> Init {
    Init {
        run,
        state: InitState::Pending,
        scripts: Vec::new(),
    }
}

/// Runs those of `scripts` that have not ended yet, in order, until one fails or `canceled` fires.
async fn perform(
    state: &StateDir,
    identity: Identity,
    scripts: Vec<Script>,
    progress: watch::Sender<Progress>,
    mut canceled: oneshot::Receiver<()>,
) {
    let mut record = progress.borrow().record.clone();
    for (index, script) in scripts.iter().enumerate() {
        if record.scripts.iter().any(|result| result.name == script.name) {
            continue;
        }
        record.state = InitState::Running;
        let log = script::log_path(state, index);
        let running = RunningScript {
            name: script.name.clone(),
            since: Instant::now(),
            log,
        };
        progress.send_replace(Progress {
            record: record.clone(),
            running: Some(running),
        });
        tracing::info!(script.name, init.run = record.run, "script {} starts", script.name);
        let Some(result) = script::run(state, &identity, index, script, &mut canceled).await else {
            tracing::info!(script.name, "script {} was stopped", script.name);
            record.state = InitState::Pending;
            if let Err(error) = state.remove(RUNNING_FILE) {
                tracing::debug!("{error}");
            }
            progress.send_replace(Progress { record, running: None });
            return;
        };
        let failed = result.exit_code != Some(0);
        tracing::info!(
            script.name,
            script.exit_code = result.exit_code,
            script.timed_out = result.timed_out,
            "script {} ended",
            script.name
        );
        record.scripts.push(result);
        if failed {
            record.state = InitState::Failed;
            break;
        }
        save(state, &record);
    }
    if record.state != InitState::Failed {
        record.state = InitState::Done;
    }
    save(state, &record);
    progress.send_replace(Progress { record, running: None });
}

/// Writes the record. When that fails (a full disk), the work goes on: losing a node over it would be worse than
/// perhaps repeating a script after a restart.
fn save(state: &StateDir, record: &Init) {
    if let Err(error) = state
        .save(RECORD_FILE, record)
        .and_then(|()| state.remove(RUNNING_FILE))
    {
        tracing::error!("a script may run again after a restart: {error}");
    }
}
