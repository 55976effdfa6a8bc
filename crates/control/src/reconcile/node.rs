//! The node reconciler: claims nodes that are due, does the one step that `model` names for each, saves what it saw.
//!
//! Claiming raises an epoch and moves the due time to the end of a lease; every write carries the epoch, so a server
//! that was too slow, or came back from the dead, changes nothing. Machines have names (tokens) before a provider is
//! asked for them, so doing a step twice finds the first one's machine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reeve_model::{
    Error, Result, Timestamp,
    capacity::Deltas,
    cluster::Cluster,
    condition::Reason,
    node::{
        Goal, Init, Node, Phase,
        advance::{Clocks, Guest, MachineState, Outcome, Seen, advance},
        plan::{Step, plan},
        verb,
    },
    pool::{Pool, PoolKind},
};
use reeve_provider::{Boot, ErrorKind, Init as GuestInit, Launch, Machine, Secret, State, Token};
use reeve_store::{self as store, identity::JoinToken, ledger::Event, node::Report};

use crate::{
    agent,
    core::{Account, Core, stored},
    ctx::Ctx,
    node::place,
    record,
    usage::ledger,
};

/// How long a claim holds; longer than the longest provider call.
pub const LEASE: Duration = Duration::from_secs(15);
/// Longest provider call.
pub const CALL_MAX: Duration = Duration::from_secs(10);
/// Most nodes of one activation.
pub const BATCH: u32 = 1000;

/// One claimed node on its way through an activation.
struct Work {
    before: Node,
    node: Node,
    epoch: i64,
    step: Step,
    facts: Option<String>,
    /// The run of its machine is open in the usage ledger.
    running: bool,
}

/// Everything an activation knows of the places its nodes belong to.
struct Places {
    pools: BTreeMap<reeve_model::id::PoolId, Pool>,
    clusters: BTreeMap<reeve_model::id::ClusterId, Cluster>,
}

/// Runs one activation; answers how many nodes were due.
///
/// # Errors
/// `Unavailable` when the database does not answer; what was claimed is due again when the lease ends.
pub async fn activate(core: &Arc<Core>) -> Result<usize> {
    let now = core.now();
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    let claimed = store::node::claim(&mut tx, now, now + LEASE, BATCH)
        .await
        .map_err(stored("claim nodes"))?;
    let places = load_places(&mut tx, &claimed).await?;
    let running = ledger::running(&mut tx, claimed.iter().map(|claimed| &claimed.node)).await?;
    tx.commit().await.map_err(stored("commit"))?;
    if claimed.is_empty() {
        return Ok(0);
    }
    core.crash_point("claimed")?;
    let count = claimed.len();
    let mut works: Vec<Work> = claimed
        .into_iter()
        .map(|claimed| Work {
            running: running.contains(&claimed.node.token()),
            before: claimed.node.clone(),
            node: claimed.node,
            epoch: claimed.epoch,
            step: Step::Nothing,
            facts: None,
        })
        .collect();
    for work in &mut works {
        settle(core, &places, work);
    }
    // Names come before effects: what the pure steps decided is saved before a provider hears of it.
    if works.iter().any(|work| work.node != work.before) {
        works = save(core, &places, works, false).await?;
    }
    core.crash_point("named")?;
    act(core, &places, &mut works).await?;
    core.crash_point("acted")?;
    for work in &mut works {
        settle(core, &places, work);
    }
    save(core, &places, works, true).await?;
    core.crash_point("saved")?;
    Ok(count)
}

async fn load_places(tx: &mut store::engine::Tx, claimed: &[store::node::Claimed]) -> Result<Places> {
    let mut places = Places {
        pools: BTreeMap::new(),
        clusters: BTreeMap::new(),
    };
    for claimed in claimed {
        let node = &claimed.node;
        if !places.pools.contains_key(&node.pool)
            && let Some(pool) = store::pool::find(tx, node.pool).await.map_err(stored("load pool"))?
        {
            places.pools.insert(pool.id, pool);
        }
        if !places.clusters.contains_key(&node.cluster)
            && let Some(cluster) = store::cluster::find(tx, node.tenant, node.cluster)
                .await
                .map_err(stored("load cluster"))?
        {
            places.clusters.insert(cluster.id, cluster);
        }
    }
    Ok(places)
}

/// Does all steps that need nobody else, up to the first that does.
fn settle(core: &Core, places: &Places, work: &mut Work) {
    let now = core.now();
    if places
        .pools
        .get(&work.node.pool)
        .is_none_or(|pool| pool.kind == PoolKind::Hosts)
    {
        // Hosts that people bring have no machine of ours to look after.
        work.node.seen.due = Timestamp::NEVER;
        work.step = Step::Nothing;
        return;
    }
    let clocks = Clocks::default();
    loop {
        let step = plan(&work.node, now);
        let outcome = match step.clone() {
            Step::Reserve => Outcome::Reserved,
            Step::Initialize => Outcome::Initializing,
            Step::Ready => Outcome::Ready,
            Step::Drain => Outcome::Draining,
            Step::Rest { phase } => Outcome::Rested(phase),
            Step::GiveUp { reason, message } => Outcome::GaveUp { reason, message },
            Step::Withdraw => {
                let goal = work.node.rest_goal();
                verb::wish(&mut work.node, goal, now);
                continue;
            }
            Step::Nothing => {
                work.node.seen.due = Timestamp::NEVER;
                work.step = step;
                return;
            }
            Step::Wait { until } => {
                work.node.seen.due = until;
                work.step = step;
                return;
            }
            Step::Launch | Step::Resume | Step::Look | Step::Stop | Step::Release | Step::Retire => {
                work.step = step;
                return;
            }
        };
        advance(&mut work.node, outcome, now, &clocks);
    }
}

/// Calls providers, once per account and kind of step.
async fn act(core: &Arc<Core>, places: &Places, works: &mut [Work]) -> Result<()> {
    let mut groups: BTreeMap<(String, u8), Vec<usize>> = BTreeMap::new();
    for (index, work) in works.iter().enumerate() {
        let kind = match work.step {
            Step::Launch => 0,
            Step::Resume => 1,
            Step::Look => 2,
            Step::Stop => 3,
            Step::Release => 4,
            _ => continue,
        };
        if let Some(pool) = places.pools.get(&work.node.pool) {
            groups.entry((pool.account.clone(), kind)).or_default().push(index);
        }
    }
    for ((account, kind), indices) in groups {
        let Some(account) = core.accounts.get(&account).cloned() else {
            tracing::warn!(
                account,
                "nodes belong to a provider account that is not configured; they wait"
            );
            continue;
        };
        let outcomes = match kind {
            0 => launch(core, &account, places, works, &indices).await?,
            2 => look(&account, works, &indices).await,
            _ => command(&account, kind, works, &indices).await,
        };
        let clocks = Clocks {
            settle: account.machines.capabilities().settle,
            ..Clocks::default()
        };
        let now = core.now();
        for (index, outcome) in indices.into_iter().zip(outcomes) {
            let work = &mut works[index];
            let (outcome, facts) = outcome;
            work.facts = facts.or(work.facts.take());
            advance(&mut work.node, outcome, now, &clocks);
        }
    }
    Ok(())
}

type Told = (Outcome, Option<String>);

async fn launch(
    core: &Arc<Core>,
    account: &Account,
    places: &Places,
    works: &[Work],
    indices: &[usize],
) -> Result<Vec<Told>> {
    let guests = account.machines.capabilities().guest_reports;
    let now = core.now();
    if !guests {
        let tokens: Vec<JoinToken> = indices
            .iter()
            .map(|index| {
                let node = &works[*index].node;
                JoinToken {
                    hash: core.key.keyed_hash("join", &agent::join_token(core, node)),
                    tenant: node.tenant,
                    cluster: node.cluster,
                    node: Some(node.id),
                    incarnation: node.seen.incarnation,
                    used_by: None,
                    single_use: true,
                    created_at: now,
                    expires_at: now + node.start_timeout + Duration::from_secs(600),
                }
            })
            .collect();
        let mut tx = core.store.begin().await.map_err(stored("begin"))?;
        store::identity::add_join_tokens(&mut tx, &tokens)
            .await
            .map_err(stored("keep join tokens"))?;
        tx.commit().await.map_err(stored("commit"))?;
    }
    core.crash_point("launch.named")?;
    let requests: Vec<Launch> = indices
        .iter()
        .map(|index| {
            let node = &works[*index].node;
            let pool = places.pools.get(&node.pool);
            let cluster = places.clusters.get(&node.cluster);
            Launch {
                token: node.token(),
                node_id: node.id.to_string(),
                node_name: node.name.clone(),
                cluster_name: cluster.map(|cluster| cluster.name.clone()).unwrap_or_default(),
                size: node.size.clone(),
                region: pool.map(|pool| pool.region.clone()).unwrap_or_default(),
                zone: pool.and_then(|pool| pool.zone.clone()),
                spot: node.spot,
                max_price: pool.and_then(|pool| pool.max_price),
                placement_group: node.placement_group.clone(),
                tags: BTreeMap::new(),
                boot: Boot {
                    server_url: core.settings.server_url.clone(),
                    join_token: Secret::new(if guests {
                        String::new()
                    } else {
                        agent::join_token(core, node)
                    }),
                    ca_sha256: core.settings.ca_sha256.clone(),
                    hostname: None,
                },
            }
        })
        .collect();
    let answers = match tokio::time::timeout(CALL_MAX, account.machines.launch(&requests)).await {
        Ok(answers) => answers,
        Err(_) => requests.iter().map(|_| Err(silent())).collect(),
    };
    core.crash_point("launch.done")?;
    Ok(answers
        .into_iter()
        .map(|answer| match answer {
            Ok(machine) if machine.state == State::Gone => (Outcome::Looked(None), None),
            Ok(machine) => {
                let facts = facts(&machine);
                (Outcome::Launched(seen(&machine)), facts)
            }
            Err(error) => (refusal(error), None),
        })
        .collect())
}

async fn look(account: &Account, works: &[Work], indices: &[usize]) -> Vec<Told> {
    let tokens: Vec<Token> = indices.iter().map(|index| works[*index].node.token()).collect();
    let answer = tokio::time::timeout(CALL_MAX, account.machines.describe(&tokens)).await;
    match answer.unwrap_or_else(|_| Err(silent())) {
        Ok(described) => {
            let by_token: BTreeMap<Token, Option<Machine>> = described.into_iter().collect();
            tokens
                .iter()
                .map(|token| match by_token.get(token).and_then(Option::as_ref) {
                    Some(machine) => (Outcome::Looked(Some(seen(machine))), facts(machine)),
                    None => (Outcome::Looked(None), None),
                })
                .collect()
        }
        Err(error) => tokens.iter().map(|_| (unanswered(&error), None)).collect(),
    }
}

/// Start (1), stop (3) and release (4): each answers a state per machine.
async fn command(account: &Account, kind: u8, works: &[Work], indices: &[usize]) -> Vec<Told> {
    let tokens: Vec<Token> = indices.iter().map(|index| works[*index].node.token()).collect();
    let call = match kind {
        1 => account.machines.start(&tokens),
        3 => account.machines.stop(&tokens),
        _ => account.machines.release(&tokens),
    };
    let answers = match tokio::time::timeout(CALL_MAX, call).await {
        Ok(answers) => answers,
        Err(_) => tokens.iter().map(|_| Err(silent())).collect(),
    };
    answers
        .into_iter()
        .zip(indices)
        .map(|(answer, index)| {
            let node = &works[*index].node;
            let bare = |state| Seen {
                state,
                machine: node.seen.machine.clone().unwrap_or_default(),
                address: node.seen.address,
                check_after: None,
                provider_request: None,
                guest: None,
            };
            let outcome = match (answer, kind) {
                (Ok(state), 4) => Outcome::ReleaseAccepted {
                    gone: matches!(state, State::Gone),
                },
                (Err(error), 4) if error.kind == ErrorKind::NotFound => Outcome::ReleaseAccepted { gone: true },
                (Ok(state), 3) => Outcome::StopAccepted(bare(machine_state(state))),
                (Ok(state), _) => Outcome::Launched(bare(machine_state(state))),
                (Err(error), 1) if !error.kind.retryable() => refusal(error),
                (Err(error), _) if error.kind == ErrorKind::NotFound => Outcome::Looked(None),
                (Err(error), _) => unanswered(&error),
            };
            (outcome, None)
        })
        .collect()
}

fn silent() -> reeve_provider::Error {
    let message = format!("no answer within {} s", CALL_MAX.as_secs());
    reeve_provider::Error {
        kind: ErrorKind::Unanswered,
        message,
        request_id: None,
    }
}

/// A refusal is told from silence, and kinds of refusal from each other.
fn refusal(error: reeve_provider::Error) -> Outcome {
    let reason = match error.kind {
        ErrorKind::OutOfCapacity => Reason::NoCapacity,
        ErrorKind::QuotaExceeded => Reason::ProviderQuota,
        ErrorKind::Invalid => Reason::ProviderRefused,
        ErrorKind::NotFound | ErrorKind::Throttled { .. } | ErrorKind::Unanswered | ErrorKind::Failed => {
            return unanswered(&error);
        }
    };
    Outcome::Refused {
        reason,
        message: error.message,
        provider_request: error.request_id,
    }
}

fn unanswered(error: &reeve_provider::Error) -> Outcome {
    let (reason, retry_after) = match &error.kind {
        ErrorKind::Throttled { retry_after } => (Reason::Throttled, Some(*retry_after)),
        _ => (Reason::ProviderUnanswered, None),
    };
    Outcome::Unanswered {
        reason,
        message: error.message.clone(),
        retry_after,
        provider_request: error.request_id.clone(),
    }
}

pub(crate) fn machine_state(state: State) -> MachineState {
    match state {
        State::Pending => MachineState::Pending,
        State::Running => MachineState::Running,
        State::Stopping => MachineState::Stopping,
        State::Stopped => MachineState::Stopped,
        State::Releasing => MachineState::Releasing,
        State::Gone => MachineState::Gone,
        State::Evicted => MachineState::Evicted,
    }
}

fn seen(machine: &Machine) -> Seen {
    Seen {
        state: machine_state(machine.state),
        machine: machine.id.clone(),
        address: machine.address,
        check_after: machine.check_after,
        provider_request: Some(machine.request_id.clone()).filter(|id| !id.is_empty()),
        guest: machine.guest.as_ref().map(|guest| {
            let (init, message) = match &guest.init {
                GuestInit::Pending => (Init::Running, String::new()),
                GuestInit::Done => (Init::Done, String::new()),
                GuestInit::Failed(text) => (Init::Failed, text.clone()),
            };
            Guest {
                hostname: guest.hostname.clone(),
                init,
                message,
            }
        }),
    }
}

fn facts(machine: &Machine) -> Option<String> {
    let guest = machine
        .guest
        .as_ref()
        .filter(|guest| matches!(guest.init, GuestInit::Done))?;
    Some(guest.facts.to_string())
}

/// Saves what became of the nodes; answers those that are still ours.
async fn save(core: &Arc<Core>, places: &Places, works: Vec<Work>, last: bool) -> Result<Vec<Work>> {
    let now = core.now();
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    let mut deltas = Deltas::default();
    let mut events = Vec::new();
    let mut entries = ledger::Entries::default();
    let mut ours = Vec::with_capacity(works.len());
    for mut work in works {
        let Some(pool) = places.pools.get(&work.node.pool) else {
            continue;
        };
        let place = place(core, pool, &work.node.size);
        let retire = last && work.step == Step::Retire;
        if !last {
            // The lease stays as it is until the step is done.
            work.node.seen.due = work.before.seen.due;
        }
        let written = if retire {
            store::node::delete(&mut tx, work.node.id, Some(work.epoch)).await
        } else if !last && work.node == work.before {
            Ok(true)
        } else {
            store::node::observe(&mut tx, &work.node, work.epoch).await
        }
        .map_err(stored("save node"))?;
        if !written {
            continue;
        }
        deltas.change(Some(&work.before), (!retire).then_some(&work.node), &place);
        note(core, places, &work, retire, &mut events);
        let cluster = places.clusters.get(&work.node.cluster);
        let after = (!retire).then_some(&work.node);
        entries.note(cluster, pool, &work.before, after, &mut work.running);
        if work.node.agent != work.before.agent && !retire {
            store::node::agent(&mut tx, work.node.id, &work.node.agent)
                .await
                .map_err(stored("save guest"))?;
        }
        if let Some(facts) = work.facts.take().filter(|_| last && !retire) {
            let report = Report {
                instance: work.node.token(),
                facts,
                ..Report::default()
            };
            store::node::report(&mut tx, work.node.id, &report, now)
                .await
                .map_err(stored("save facts"))?;
        }
        let reason = work.node.seen.condition.reason;
        if work.node.seen.phase == Phase::Failed
            && work.before.seen.phase != Phase::Failed
            && reason == Reason::NoCapacity
        {
            store::pool::exhausted(&mut tx, pool.id, &work.node.size, now)
                .await
                .map_err(stored("note stock-out"))?;
        }
        work.before = work.node.clone();
        ours.push(work);
    }
    entries.write(core, &mut tx).await?;
    store::ledger::change_tallies(&mut tx, deltas.into_changes())
        .await
        .map_err(stored("change totals"))?;
    store::ledger::events(&mut tx, &events)
        .await
        .map_err(stored("write events"))?;
    tx.commit().await.map_err(stored("commit"))?;
    core.clusters_due.notify_one();
    Ok(ours)
}

/// What people watching should hear of.
fn note(core: &Arc<Core>, places: &Places, work: &Work, retired: bool, events: &mut Vec<Event>) {
    let Some(cluster) = places.clusters.get(&work.node.cluster) else {
        return;
    };
    let text = if retired {
        "removed".to_owned()
    } else if work.node.seen.phase != work.before.seen.phase || work.node.goal != work.before.goal {
        let condition = &work.node.seen.condition;
        let phase = work.node.seen.phase.word();
        match work.node.seen.phase {
            Phase::Failed => format!("{phase}: {}: {}", condition.reason.code(), condition.message),
            Phase::Running if work.node.goal == Goal::Started => format!(
                "{phase} after {} s",
                work.node
                    .ready_at
                    .map_or(0, |at| at.since(work.node.created_at).as_secs())
            ),
            _ => phase.to_owned(),
        }
    } else {
        return;
    };
    let ctx = Ctx::system(Arc::clone(core), cluster.tenant, "node-reconciler");
    events.push(record::event(&ctx, cluster, "node", &work.node.name, text));
}

/// Runs activations until nothing is due; answers when the next node is.
///
/// # Errors
/// As [`activate`].
pub async fn drain(core: &Arc<Core>) -> Result<Option<Timestamp>> {
    let mut done = 0;
    loop {
        let count = activate(core).await?;
        done += count;
        if count < BATCH as usize {
            break;
        }
    }
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let next = store::node::next_due(&mut db).await.map_err(stored("find next due"))?;
    core.note("nodes", format!("looked after {done} nodes"), None::<&Error>);
    Ok(next)
}
