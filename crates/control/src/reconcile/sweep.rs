//! The sweep: does each provider's list of machines agree with ours, in both directions?
//!
//! A machine that no row explains is released; a running node whose machine is missing is looked at again, which finds
//! out that it vanished. Both are ordinary steps of the node reconciler, so this decides little.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use reeve_model::{
    Error, Kind, Result, Timestamp,
    id::NodeId,
    node::{Phase, node_of_token, token_of},
};
use reeve_provider::{Machine, State, Token};
use reeve_store::{self as store};

use crate::core::{Account, Core, stored};

/// Machines of one page.
const PAGE: usize = 1000;
/// A machine younger than this may belong to a row that was written after we read the rows.
pub const YOUNG: Duration = Duration::from_secs(20);

/// What one sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Machines the providers have for us.
    pub machines: usize,
    /// Machines without a row, released.
    pub orphans: usize,
    /// Rows whose machine is missing, to be looked at again.
    pub missing: usize,
}

/// Sweeps every account.
///
/// # Errors
/// `Unavailable` when the database or a provider does not answer.
pub async fn activate(core: &Arc<Core>) -> Result<Found> {
    let mut found = Found::default();
    for account in core.accounts.values() {
        let one = sweep(core, account).await?;
        found.machines += one.machines;
        found.orphans += one.orphans;
        found.missing += one.missing;
    }
    let did = format!(
        "{} machines, {} orphans released, {} missing",
        found.machines, found.orphans, found.missing
    );
    core.note("sweep", did, None);
    Ok(found)
}

/// What the sweep remembers of a listed machine: all of an account's are held in memory at once.
#[derive(Clone, Copy)]
struct Listed {
    state: State,
    launched_at: Timestamp,
}

type Machines = BTreeMap<(NodeId, u32), Listed>;

/// Everything the provider has for us; machines whose token is none of ours are somebody else's.
async fn list(account: &Account) -> Result<Machines> {
    let mut machines = Machines::new();
    let mut cursor = None;
    loop {
        let page = account.machines.list(cursor, PAGE).await.map_err(|error| {
            let text = format!(
                "provider account \"{}\" did not list its machines: {}",
                account.name, error.message
            );
            Error::new(
                Kind::Unavailable {
                    retry_after: Duration::from_secs(30),
                },
                text,
            )
        })?;
        machines.extend(page.machines.iter().filter_map(|machine| {
            let listed = Listed {
                state: machine.state,
                launched_at: Timestamp(machine.launched_at_us),
            };
            Some((node_of_token(&machine.token)?, listed))
        }));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(machines);
        }
    }
}

async fn sweep(core: &Arc<Core>, account: &Account) -> Result<Found> {
    // The provider is read first: a row that appears later can only explain more machines, never fewer.
    let machines = list(account).await?;
    let now = core.now();
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let rows = store::node::held(&mut db, &account.name)
        .await
        .map_err(stored("list machines"))?;
    drop(db);
    let explained: BTreeSet<(NodeId, u32)> = rows.iter().map(|row| (row.node, row.incarnation)).collect();
    let orphans: Vec<Token> = machines
        .iter()
        .filter(|(_, machine)| !matches!(machine.state, State::Gone | State::Releasing))
        .filter(|(which, machine)| !explained.contains(which) && now.since(machine.launched_at) >= YOUNG)
        .map(|((node, incarnation), _)| token_of(*node, *incarnation))
        .collect();
    let alive = |which: &(NodeId, u32)| {
        machines
            .get(which)
            .is_some_and(|machine| !matches!(machine.state, State::Gone | State::Evicted))
    };
    let missing: Vec<(NodeId, u32)> = rows
        .iter()
        .filter(|row| row.phase == Phase::Running)
        .map(|row| (row.node, row.incarnation))
        .filter(|which| !alive(which))
        .collect();
    if !orphans.is_empty() {
        tracing::warn!(
            account = account.name,
            count = orphans.len(),
            "machines without a row are released"
        );
        for answer in account
            .machines
            .release(&orphans)
            .await
            .into_iter()
            .filter_map(std::result::Result::err)
        {
            tracing::warn!(
                account = account.name,
                error = answer.message,
                "a machine without a row could not be released"
            );
        }
    }
    if !missing.is_empty() {
        lose(core, account, &machines, &missing).await?;
    }
    Ok(Found {
        machines: machines.len(),
        orphans: orphans.len(),
        missing: missing.len(),
    })
}

/// Records that machines are missing, after asking for each by name: a list may lag, a name does not lie.
async fn lose(core: &Arc<Core>, account: &Account, listed: &Machines, missing: &[(NodeId, u32)]) -> Result<()> {
    use reeve_model::{
        condition::Reason,
        node::advance::{Clocks, Outcome, advance},
    };
    let tokens: Vec<Token> = missing.iter().map(|which| token_of(which.0, which.1)).collect();
    let Ok(described) = account.machines.describe(&tokens).await else {
        return Ok(());
    };
    let described: BTreeMap<Token, Option<Machine>> = described.into_iter().collect();
    let now = core.now();
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    for (which, token) in missing.iter().zip(tokens) {
        let machine = described
            .get(&token)
            .and_then(Option::as_ref)
            .map(|machine| machine.state)
            .or_else(|| listed.get(which).map(|machine| machine.state));
        let reason = match machine {
            Some(State::Evicted) => Reason::Evicted,
            None | Some(State::Gone) => Reason::MachineVanished,
            Some(_) => continue,
        };
        let Some(full) = store::node::find(&mut tx, which.0).await.map_err(stored("load node"))? else {
            continue;
        };
        let mut node = full.node;
        if node.seen.phase != Phase::Running || node.token() != token {
            continue;
        }
        advance(&mut node, Outcome::Lost { reason }, now, &Clocks::default());
        node.seen.due = now;
        store::node::wish(&mut tx, &node).await.map_err(stored("save node"))?;
        store::usage::close(&mut tx, &token, now)
            .await
            .map_err(stored("end usage"))?;
    }
    tx.commit().await.map_err(stored("commit"))?;
    core.nodes_due.notify_one();
    Ok(())
}
