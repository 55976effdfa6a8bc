//! Becoming a node: join token in, credential out.
//!
//! The order matters. The instance id is on disk before the first call, so an answer that is lost on the way can
//! be asked for again; the credential is on disk before it is used, so a crash cannot strand a node that the
//! server believes to be enrolled. Nothing here beats.

use reeve_wire::agent::{Enroll, Goals, PROTOCOL, Refusal};

use super::backoff::Backoff;
use super::client::CallError;
use super::clock::now_us;
use super::state::Identity;
use super::{Agent, Ended, Failure};
use crate::Secret;

/// Tries with `once` before the server counts as not reachable: a few seconds.
const TRIES_ONCE: u32 = 5;

/// File with the saved membership.
pub(super) const FILE: &str = "identity.json";

/// Membership, and the first goals when it is new.
pub(super) struct Membership {
    pub(super) identity: Identity,
    pub(super) goals: Option<Goals>,
}

impl Membership {
    /// Outcome for an agent that was asked for no more.
    pub(super) fn into_ended(self) -> Ended {
        let Identity { node_name, cluster, .. } = self.identity;
        match self.goals {
            Some(_) => Ended::Enrolled { node_name, cluster },
            None => Ended::AlreadyEnrolled { node_name, cluster },
        }
    }
}

/// Uses the saved membership, or enrolls.
///
/// With `once` and another token than the one used before, the server is asked whether the token is for the same
/// cluster; a running agent keeps the credential it has.
pub(super) async fn ensure(agent: &Agent) -> Result<Membership, Failure> {
    let Some(identity) = agent.state.load::<Identity>(FILE)? else {
        return enroll(agent, None).await;
    };
    check_server(agent, &identity)?;
    let token = &agent.config.join_token;
    if agent.config.once && !token.is_empty() && !identity.came_from(token) {
        enroll(agent, Some(&identity)).await?;
    }
    tracing::info!(
        node.name = identity.node_name,
        cluster.name = identity.cluster,
        "using the saved credential"
    );
    Ok(Membership { identity, goals: None })
}

/// Enrolls; `known` is the membership this machine had so far, which must not change its cluster.
pub(super) async fn enroll(agent: &Agent, known: Option<&Identity>) -> Result<Membership, Failure> {
    check_prechecks(agent)?;
    let token = &agent.config.join_token;
    if token.is_empty() {
        let reason = "a join token is needed: this machine has not enrolled yet".to_owned();
        return Err(Failure::Settings {
            name: "join_token",
            reason,
        });
    }
    let mut backoff = Backoff::default();
    loop {
        let request = request(agent);
        let trouble = match agent.client.enroll(token, &request).await {
            Ok(answer) => {
                let middle_us = request.clock_us.midpoint(answer.arrived_us);
                agent.clock.compare(answer.body.clock_us, middle_us);
                return accept(agent, token, known, answer.body);
            }
            Err(CallError::Network(reason)) => reason,
            Err(CallError::Refused(refusal)) if refusal.retryable => refusal.message,
            Err(CallError::Refused(refusal)) => return Err(refused(agent, known, refusal)),
        };
        if agent.config.once && backoff.failures() + 1 >= TRIES_ONCE {
            return Err(Failure::Unreachable {
                server: agent.config.server.clone(),
                reason: trouble,
            });
        }
        let pause = backoff.pause();
        tracing::warn!(retry.pause_s = pause.as_secs_f64(), "cannot enroll yet: {trouble}");
        tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
    }
}

fn request(agent: &Agent) -> Enroll {
    Enroll {
        protocol: PROTOCOL,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: agent.state.instance().to_owned(),
        machine_id: agent.machine.id.clone(),
        clock_us: now_us(),
        facts: agent.machine.facts.clone(),
        prechecks: agent.config.prechecks.clone(),
    }
}

fn accept(
    agent: &Agent,
    token: &Secret,
    known: Option<&Identity>,
    granted: reeve_wire::agent::Enrolled,
) -> Result<Membership, Failure> {
    if let Some(known) = known.filter(|known| known.cluster != granted.cluster) {
        return Err(elsewhere(agent, known, format!("cluster {}", granted.cluster)));
    }
    let identity = Identity::new(agent.client.origin(), agent.config.ca_sha256.clone(), token, &granted);
    agent.state.save(FILE, &identity)?;
    tracing::info!(
        node.id = identity.node_id,
        node.name = identity.node_name,
        cluster.name = identity.cluster,
        "enrolled as {} in {}",
        identity.node_name,
        identity.cluster
    );
    Ok(Membership {
        identity,
        goals: Some(granted.goals),
    })
}

fn check_prechecks(agent: &Agent) -> Result<(), Failure> {
    let failed: Vec<_> = agent
        .config
        .prechecks
        .iter()
        .filter(|check| check.hard && !check.passed)
        .cloned()
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Precheck { failed })
    }
}

fn check_server(agent: &Agent, identity: &Identity) -> Result<(), Failure> {
    let same_pin = identity.ca_sha256.is_some() && identity.ca_sha256 == agent.config.ca_sha256;
    if same_pin || identity.server == agent.client.origin() {
        return Ok(());
    }
    Err(elsewhere(
        agent,
        identity,
        format!("the server at {}", agent.client.origin()),
    ))
}

/// What a final refusal means for this machine.
pub(super) fn refused(agent: &Agent, known: Option<&Identity>, refusal: Refusal) -> Failure {
    let Refusal { code, message, .. } = refusal;
    match (code.as_str(), known) {
        ("unsupported_protocol", _) => Failure::UnsupportedProtocol { message },
        ("wrong_cluster", Some(known)) => elsewhere(agent, known, "another cluster of that server".to_owned()),
        ("token_expired" | "token_used" | "token_unknown" | "credential_revoked" | "wrong_cluster", _) => {
            Failure::Refused { code, message }
        }
        _ => Failure::Rejected { code, message },
    }
}

fn elsewhere(agent: &Agent, known: &Identity, asked: String) -> Failure {
    Failure::BelongsElsewhere {
        owner: format!("cluster {} of {}", known.cluster, known.server),
        asked,
        state_dir: agent.state.path().to_owned(),
    }
}
