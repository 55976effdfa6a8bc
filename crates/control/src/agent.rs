//! What agents ask: to be let in, and to have heard what they see.
//!
//! A beat that changes nothing costs one read and no transaction: when it was heard is kept in memory and written
//! with others every few seconds.

use std::{sync::Arc, time::Duration};

use reeve_model::{
    Error, Result, Timestamp,
    node::{AgentView, Goal, Init, Node},
    pool::{Pool, Script},
};
use reeve_store::{self as store, engine::Conn, node::Report};
use tokio::sync::Notify;

use crate::{
    core::{Core, lock, stored},
    host,
    secret::token,
};

/// What an agent says when it asks to be let in.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The join token.
    pub token: String,
    /// The agent's own random id.
    pub instance: String,
    /// The machine's own id.
    pub machine_id: String,
    /// Host name as reported.
    pub hostname: String,
    /// Addresses of the machine, without prefix length.
    pub addresses: Vec<String>,
    /// JSON of the facts.
    pub facts: String,
    /// The first hard precheck that failed, in words.
    pub failed_precheck: Option<String>,
}

/// An agent let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Its node.
    pub node: Node,
    /// Name of the cluster.
    pub cluster: String,
    /// The credential, shown once.
    pub credential: String,
    /// First goals.
    pub goals: Goals,
}

/// What an agent should bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goals {
    /// Grows with every change.
    pub epoch: i64,
    /// What the machine is wanted for.
    pub wish: Wish,
    /// Scripts to run once per `run`.
    pub scripts: Vec<Script>,
    /// Identity of the initialisation.
    pub run: String,
}

/// What a machine is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Initialise and keep running.
    Run,
    /// Finish; the machine will be stopped or released next.
    Drain,
    /// Stay registered, change nothing.
    Stand,
}

/// What a beat carries.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Epoch of the goals the agent carries out.
    pub epoch_seen: i64,
    /// Run that `init` speaks of.
    pub run: String,
    /// How far it is.
    pub init: Init,
    /// Why it failed, or what runs.
    pub message: String,
    /// Newest epoch whose drain is complete.
    pub drained: i64,
    /// JSON of the facts, when they changed, with the host name.
    pub facts: Option<(String, String)>,
    /// JSON of the latest sample.
    pub sample: Option<String>,
    /// JSON of the scripts' results.
    pub scripts: Option<String>,
}

/// Why an agent was refused; each dialect of the agent protocol has a word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No such token.
    TokenUnknown,
    /// Its time is over.
    TokenExpired,
    /// Another agent used it.
    TokenUsed,
    /// The credential is not, or no longer, good.
    CredentialRevoked,
    /// The host is not declared in the cluster.
    NotDeclared,
    /// The host name is held by another machine.
    NameHeld,
    /// A hard precheck failed.
    Precheck,
}

/// A refusal with its text, or an error of ours.
#[derive(Debug)]
pub enum Failure {
    /// The agent is at fault, or late.
    Refused(Refused, String),
    /// We are.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn refused<T>(why: Refused, text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Refused(why, text.into()))
}

/// The token that admits the agent of a node's present machine; derived, so that a lost launch can be repeated.
#[must_use]
pub fn join_token(core: &Core, node: &Node) -> String {
    token::join_token(&core.key, &node.token()).expose().to_owned()
}

/// Whether a join token still opens the door, without using it: for what a host fetches before it has an agent.
///
/// # Errors
/// `TokenUnknown`, `TokenExpired`, or an error of ours.
pub async fn known_token(core: &Core, token: &str) -> Result<(), Failure> {
    let hash = core.key.keyed_hash("join", token);
    let mut db = core.store.read().await.map_err(stored("read"))?;
    match store::identity::find_join_token(&mut db, &hash)
        .await
        .map_err(stored("find join token"))?
    {
        Some(known) if core.now() < known.expires_at => Ok(()),
        Some(_) => refused(
            Refused::TokenExpired,
            "this join token has expired; ask for a new installer command",
        ),
        None => refused(
            Refused::TokenUnknown,
            "this join token is not known here; ask for a new installer command",
        ),
    }
}

/// Lets an agent in: join token against credential.
///
/// Idempotent on (token, instance): an agent that lost the answer asks again.
///
/// # Errors
/// A refusal, or an error of ours.
pub async fn enroll(core: &Core, ask: &Enrolment) -> Result<Admitted, Failure> {
    let now = core.now();
    let hash = core.key.keyed_hash("join", &ask.token);
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    let Some(known) = store::identity::find_join_token(&mut tx, &hash)
        .await
        .map_err(stored("find join token"))?
    else {
        return refused(
            Refused::TokenUnknown,
            "this join token is not known here; ask for a new installer command",
        );
    };
    if now >= known.expires_at {
        let ended = known.expires_at.rfc3339_seconds();
        return refused(
            Refused::TokenExpired,
            format!("this join token expired at {ended}; ask for a new one"),
        );
    }
    let node = match known.node {
        Some(id) => store::node::find(&mut tx, id)
            .await
            .map_err(stored("load node"))?
            .map(|full| full.node),
        None => Some(host::admit(core, &mut tx, &known, ask).await?),
    };
    let Some(mut node) = node.filter(|node| known.node.is_none() || node.seen.incarnation == known.incarnation) else {
        return refused(
            Refused::TokenUnknown,
            "the node this join token was made for no longer exists",
        );
    };
    if let Some(why) = ask.failed_precheck.as_ref().filter(|_| known.node.is_none()) {
        tx.commit().await.map_err(stored("commit"))?;
        return refused(Refused::Precheck, why.clone());
    }
    let first = store::identity::use_join_token(&mut tx, &hash, &ask.instance)
        .await
        .map_err(stored("use join token"))?;
    if !first {
        return refused(Refused::TokenUsed, "this join token has been used by another agent");
    }
    let credential = token::Kind::AgentKey
        .generate()
        .map_err(Error::internal)?
        .into_exposed();
    let kept = core.key.keyed_hash("agent", &credential);
    store::identity::put_agent_credential(&mut tx, node.tenant, node.id, node.seen.incarnation, &kept, now)
        .await
        .map_err(stored("keep credential"))?;
    node.agent = AgentView {
        incarnation: node.seen.incarnation,
        rerun: node.seen.reruns,
        hostname: Some(ask.hostname.clone()),
        last_seen: Some(now),
        ..AgentView::default()
    };
    store::node::agent(&mut tx, node.id, &node.agent)
        .await
        .map_err(stored("write agent"))?;
    let report = Report {
        instance: ask.instance.clone(),
        facts: ask.facts.clone(),
        ..Report::default()
    };
    store::node::report(&mut tx, node.id, &report, now)
        .await
        .map_err(stored("write report"))?;
    store::node::wake(&mut tx, node.id, now)
        .await
        .map_err(stored("wake node"))?;
    let (goals, cluster) = goals(&mut tx, &node).await?;
    tx.commit().await.map_err(stored("commit"))?;
    core.nodes_due.notify_one();
    Ok(Admitted {
        node,
        cluster,
        credential,
        goals,
    })
}

/// Hears a beat and answers with goals, at once when they are newer than the agent's, else after `wait` at most.
///
/// # Errors
/// A refusal, or an error of ours.
pub async fn beat(core: &Core, credential: &str, beat: &Beat, wait: Duration) -> Result<Goals, Failure> {
    let hash = core.key.keyed_hash("agent", credential);
    let bell = {
        let node = hear(core, &hash, beat).await?;
        let bell = Arc::clone(
            lock(&core.waiting)
                .entry(node.id)
                .or_insert_with(|| Arc::new(Notify::new())),
        );
        tracing::trace!(node.id = %node.id, "beat heard");
        bell
    };
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let rung = bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        let mut db = core.store.read().await.map_err(stored("read"))?;
        let node = standing(&mut db, &hash).await?;
        let (goals, _) = goals(&mut db, &node).await?;
        drop(db);
        if goals.epoch > beat.epoch_seen {
            return Ok(goals);
        }
        tokio::select! {
            () = core.closing.cancelled() => return Ok(goals),
            rung = tokio::time::timeout_at(deadline, rung) => if rung.is_err() {
                return Ok(goals);
            }
        }
    }
}

/// The node a credential stands for, if its machine is still the present one.
async fn standing(db: &mut Conn, hash: &str) -> Result<Node, Failure> {
    let gone = "this agent's node no longer exists, or has another machine now";
    let Some((id, incarnation)) = store::identity::find_agent(db, hash)
        .await
        .map_err(stored("find agent"))?
    else {
        return refused(Refused::CredentialRevoked, gone);
    };
    match store::node::find(db, id).await.map_err(stored("load node"))? {
        Some(full) if full.node.seen.incarnation == incarnation => Ok(full.node),
        _ => refused(Refused::CredentialRevoked, gone),
    }
}

async fn hear(core: &Core, hash: &str, beat: &Beat) -> Result<Node, Failure> {
    let now = core.now();
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let node = standing(&mut db, hash).await?;
    drop(db);
    let current = beat.run == node.run();
    let (init, message) = if current {
        (beat.init, beat.message.clone())
    } else {
        (Init::Pending, String::new())
    };
    let changed = init != node.agent.init
        || message != node.agent.message
        || beat.drained > node.agent.drained
        || beat.facts.is_some();
    if !changed {
        lock(&core.beats).insert(node.id, (now, beat.sample.clone()));
        return Ok(node);
    }
    let mut view = AgentView {
        rerun: node.seen.reruns,
        init,
        message,
        drained: beat.drained.max(node.agent.drained),
        last_seen: Some(now),
        ..node.agent.clone()
    };
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    let before = store::node::find_report(&mut tx, node.id)
        .await
        .map_err(stored("load report"))?
        .unwrap_or_default();
    let mut report = Report {
        sample: beat.sample.clone().or(before.sample.clone()),
        ..before
    };
    report.scripts = beat.scripts.clone().or(report.scripts);
    if let Some((facts, hostname)) = &beat.facts {
        report.facts.clone_from(facts);
        view.hostname = Some(hostname.clone());
    }
    store::node::agent(&mut tx, node.id, &view)
        .await
        .map_err(stored("write agent"))?;
    store::node::report(&mut tx, node.id, &report, now)
        .await
        .map_err(stored("write report"))?;
    store::node::wake(&mut tx, node.id, now)
        .await
        .map_err(stored("wake node"))?;
    tx.commit().await.map_err(stored("commit"))?;
    core.nodes_due.notify_one();
    Ok(node)
}

/// What a node's agent should bring about.
async fn goals(db: &mut Conn, node: &Node) -> Result<(Goals, String)> {
    let pool: Pool = store::pool::find(db, node.pool)
        .await
        .map_err(stored("load pool"))?
        .ok_or_else(|| Error::internal(format!("node {} has no pool", node.id)))?;
    let cluster = store::cluster::find(db, node.tenant, node.cluster)
        .await
        .map_err(stored("load cluster"))?
        .ok_or_else(|| Error::internal(format!("node {} has no cluster", node.id)))?;
    let wish = match node.goal {
        Goal::Started if pool.kind == reeve_model::pool::PoolKind::Hosts => Wish::Stand,
        Goal::Started => Wish::Run,
        Goal::Absent | Goal::Off | Goal::Deallocated => Wish::Drain,
    };
    let scripts = if wish == Wish::Run { pool.scripts } else { Vec::new() };
    Ok((
        Goals {
            epoch: node.generation,
            wish,
            scripts,
            run: node.run(),
        },
        cluster.name,
    ))
}

/// Writes the beats heard since the last time.
///
/// # Errors
/// `Unavailable`; the beats are kept for the next try.
pub async fn flush_beats(core: &Core) -> Result<usize> {
    let heard: Vec<_> = lock(&core.beats)
        .drain()
        .map(|(node, (at, sample))| (node, at, sample))
        .collect();
    if heard.is_empty() {
        return Ok(0);
    }
    let write = async {
        let mut tx = core.store.begin().await?;
        store::node::heard(&mut tx, &heard).await?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        let mut beats = lock(&core.beats);
        for (node, at, sample) in heard {
            beats.entry(node).or_insert((at, sample));
        }
        return Err(stored("write beats")(error));
    }
    Ok(heard.len())
}

/// When the clock of an agent is off by more than this, people are told.
pub const SKEW_MAX: Duration = Duration::from_secs(5);

/// How far an agent's clock is off, signed microseconds.
#[must_use]
pub fn skew_us(server: Timestamp, agent_us: i64) -> i64 {
    // An agent may say anything.
    agent_us.saturating_sub(server.0)
}
