//! The beat loop: post what is seen, get goals, for ever.
//!
//! One beat per interval, held by the server for that long, so the agent hears of new goals at once and still
//! calls rarely. A beat that is being held is given up for a fresh one when there is news (a script ended).
//! Network trouble and refusals that may pass are answered with growing pauses; only the few refusals named in
//! [`Session::refused`] end an agent.
//!
//! What the goals mean is [`super::work`]'s business.

use std::pin::Pin;
use std::time::Duration;

use reeve_wire::agent::{Beat, Facts, Goals, PROTOCOL, Refusal};
use tokio::time::{Instant, sleep_until, timeout};

use super::backoff::{Backoff, jitter};
use super::client::{Answer, CallError};
use super::clock::now_us;
use super::enroll::{self, Membership};
use super::sample::Sampler;
use super::state::{Identity, Watch};
use super::work::Work;
use super::{Agent, Ended, Failure};

/// Longest time a beat asks to be held.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Time between beats before the first goals.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// Limits on what a server may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Pause before new goals are acknowledged: what keeps a server that always has news from being hammered.
const NEWS_PAUSE: Duration = Duration::from_millis(20);
/// How often facts are looked at again.
const FACTS_INTERVAL: Duration = Duration::from_secs(300);
/// Time for the last beat of an agent that was asked to stop.
const LAST_BEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// An enrolled agent at work.
pub(super) struct Session<'a> {
    agent: &'a Agent,
    identity: Identity,
    goals: Option<Goals>,
    first_goals: Option<Goals>,
    work: Work<'a>,
    sampler: Sampler,
    sequence: u64,
    facts: Facts,
    facts_looked: Instant,
    facts_known: bool,
    backoff: Backoff,
    enrolled_again: bool,
}

/// What to do after a beat.
enum Next {
    /// Beat again at this moment.
    BeatAt(Instant),
    /// The credential is void: enroll with the join token.
    Enroll,
}

impl<'a> Session<'a> {
    /// Prepares the work; fails when the state directory cannot be read.
    pub(super) fn new(agent: &'a Agent, membership: Membership) -> Result<Self, Failure> {
        Ok(Self {
            agent,
            identity: membership.identity,
            goals: None,
            // The server knows the facts when it has just been told them.
            facts_known: membership.goals.is_some(),
            first_goals: membership.goals,
            work: Work::new(&agent.state)?,
            sampler: Sampler::default(),
            sequence: 0,
            facts: agent.machine.facts.clone(),
            facts_looked: Instant::now(),
            backoff: Backoff::default(),
            enrolled_again: false,
        })
    }

    /// Beats until `stop` resolves, the state directory goes, or a refusal is final.
    pub(super) async fn run(mut self, mut stop: Pin<&mut impl Future>, mut watch: Watch) -> Result<Ended, Failure> {
        if let Some(goals) = self.first_goals.take() {
            self.adopt(goals).await;
        }
        loop {
            self.work.settle().await;
            let (started, interval) = (Instant::now(), jitter(self.interval()));
            let beat = self.compose(interval.min(WAIT_MAX));
            let credential = self.identity.credential();
            let outcome = tokio::select! {
                biased;
                _ = &mut stop => return Ok(self.finish().await),
                () = watch.gone() => return Ok(Ended::StateRemoved),
                () = self.work.changed() => continue,
                outcome = self.agent.client.beat(&credential, &beat) => outcome,
            };
            let next = match outcome {
                Ok(answer) => self.accept(&beat, answer, started + interval).await,
                Err(error) => self.cope(error)?,
            };
            match next {
                Next::BeatAt(moment) => tokio::select! {
                    biased;
                    _ = &mut stop => return Ok(self.finish().await),
                    () = watch.gone() => return Ok(Ended::StateRemoved),
                    () = self.news() => {}
                    () = sleep_until(moment) => {}
                },
                Next::Enroll => tokio::select! {
                    biased;
                    _ = &mut stop => return Ok(Ended::Stopped),
                    () = watch.gone() => return Ok(Ended::StateRemoved),
                    outcome = enroll::enroll(self.agent, Some(&self.identity)) => self.join_again(outcome?).await,
                },
            }
        }
    }

    /// Resolves when a beat should not wait any longer. While the server is away news must wait like all else, but
    /// the scripts go on.
    async fn news(&mut self) {
        loop {
            self.work.changed().await;
            if self.backoff.failures() == 0 {
                return;
            }
        }
    }

    fn interval(&self) -> Duration {
        let asked = self
            .goals
            .as_ref()
            .map(|goals| Duration::from_millis(u64::from(goals.beat_interval_ms)));
        asked.unwrap_or(INTERVAL_DEFAULT).clamp(INTERVAL_MIN, INTERVAL_MAX)
    }

    fn compose(&mut self, wait: Duration) -> Beat {
        if self.facts_looked.elapsed() > FACTS_INTERVAL {
            let facts = self.agent.machine.probe.facts();
            self.facts_known &= facts == self.facts;
            self.facts = facts;
            self.facts_looked = Instant::now();
        }
        self.sequence += 1;
        Beat {
            protocol: PROTOCOL,
            sequence: self.sequence,
            clock_us: now_us(),
            epoch_seen: self.goals.as_ref().map_or(0, |goals| goals.epoch),
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(0),
            facts: (!self.facts_known).then(|| self.facts.clone()),
            sample: Some(self.sampler.take(&self.agent.machine.probe)),
            init: self.work.report(),
            drained_epoch: self.work.drained_epoch(),
        }
    }

    async fn accept(&mut self, beat: &Beat, answer: Answer<Goals>, due: Instant) -> Next {
        if self.backoff.reset() > 0 {
            tracing::info!("the server answers again");
        }
        if let Some(server_us) = answer.server_clock_us {
            // The header has whole seconds: its middle is the best guess.
            self.agent.clock.compare(server_us + 500_000, answer.arrived_us);
        }
        self.facts_known |= beat.facts.is_some();
        if self.adopt(answer.body).await {
            return Next::BeatAt(Instant::now() + NEWS_PAUSE);
        }
        Next::BeatAt(due)
    }

    /// Takes goals that are newer than those the agent has; true when they were.
    async fn adopt(&mut self, goals: Goals) -> bool {
        let epoch_seen = self.goals.as_ref().map(|goals| goals.epoch);
        if epoch_seen.is_some_and(|seen| goals.epoch <= seen) {
            if Some(goals.epoch) != epoch_seen {
                tracing::debug!(goals.epoch, "ignoring older goals");
            }
            return false;
        }
        tracing::info!(goals.epoch, goals.wish = ?goals.wish, "new goals");
        self.work.adopt(&goals, &self.identity).await;
        self.goals = Some(goals);
        true
    }

    fn cope(&mut self, error: CallError) -> Result<Next, Failure> {
        let trouble = match error {
            CallError::Network(reason) => reason,
            CallError::Refused(refusal) if refusal.retryable => refusal.message,
            CallError::Refused(refusal) => match self.refused(refusal)? {
                Ok(next) => return Ok(next),
                Err(trouble) => trouble,
            },
        };
        let pause = self.backoff.pause();
        if self.backoff.failures() == 1 {
            tracing::warn!("cannot beat: {trouble}; trying again until it works");
        } else {
            tracing::debug!(retry.pause_s = pause.as_secs_f64(), "cannot beat: {trouble}");
        }
        Ok(Next::BeatAt(Instant::now() + pause))
    }

    /// A refusal that is not said to pass: final, or cured by another credential, or (inner error) only odd.
    fn refused(&mut self, refusal: Refusal) -> Result<Result<Next, String>, Failure> {
        match refusal.code.as_str() {
            "credential_revoked" | "token_unknown" | "token_expired" | "token_used" => {
                if self.take_saved_credential()? {
                    return Ok(Ok(Next::BeatAt(Instant::now())));
                }
                if self.enrolled_again || self.agent.config.join_token.is_empty() {
                    return Err(enroll::refused(self.agent, Some(&self.identity), refusal));
                }
                tracing::warn!("the credential was revoked; enrolling again: {}", refusal.message);
                self.enrolled_again = true;
                Ok(Ok(Next::Enroll))
            }
            "unsupported_protocol" | "wrong_cluster" => Err(enroll::refused(self.agent, Some(&self.identity), refusal)),
            _ => Ok(Err(format!("{} ({})", refusal.message, refusal.code))),
        }
    }

    /// The installer may have enrolled this machine anew beside us; true when there is another credential to try.
    fn take_saved_credential(&mut self) -> Result<bool, Failure> {
        let saved = self.agent.state.load::<Identity>(enroll::FILE)?;
        let Some(saved) = saved.filter(|saved| saved.credential() != self.identity.credential()) else {
            return Ok(false);
        };
        self.become_node(saved);
        Ok(true)
    }

    async fn join_again(&mut self, membership: Membership) {
        self.become_node(membership.identity);
        self.facts_known = true;
        if let Some(goals) = membership.goals {
            self.adopt(goals).await;
        }
    }

    /// Epochs count per node, so those of another node are forgotten.
    fn become_node(&mut self, identity: Identity) {
        if identity.node_id != self.identity.node_id {
            self.goals = None;
            self.work.forget_drain();
        }
        self.identity = identity;
    }

    /// Stops the scripts and says so to the server, if it answers quickly.
    async fn finish(mut self) -> Ended {
        self.work.stop().await;
        let beat = self.compose(Duration::ZERO);
        let credential = self.identity.credential();
        let last = self.agent.client.beat(&credential, &beat);
        match timeout(LAST_BEAT_TIMEOUT, last).await {
            Ok(Ok(_)) => tracing::info!("stopped"),
            Ok(Err(_)) | Err(_) => tracing::info!("stopped; the server was not told"),
        }
        Ended::Stopped
    }
}
