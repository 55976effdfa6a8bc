//! Tests of nodes, and the node that tests of other subjects use too.

use std::time::Duration;

use uuid::Uuid;

use super::{AgentView, Goal, Node, Observation, Phase};
use crate::{
    id::{ClusterId, NodeId, PoolId, TenantId},
    pool::ShutdownPolicy,
    timestamp::Timestamp,
};

mod cases;
mod life;
mod table;

/// The instant at which tests begin.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);

/// A record that never had a machine, of a pool of many.
pub(crate) fn node() -> Node {
    Node {
        id: NodeId(Uuid::from_u128(7)),
        tenant: TenantId(Uuid::from_u128(1)),
        cluster: ClusterId(Uuid::from_u128(2)),
        pool: PoolId(Uuid::from_u128(3)),
        pool_revision: 1,
        name: "htc-1".into(),
        sequence: 1,
        size: "F4".into(),
        cores: 4,
        quota_cores: 4,
        spot: false,
        placement_group: None,
        single: false,
        fixed: false,
        keep_alive: false,
        shutdown_policy: ShutdownPolicy::Terminate,
        start_timeout: Duration::from_secs(3600),
        goal: Goal::Off,
        generation: 0,
        seen: Observation::off(START),
        agent: AgentView::default(),
        created_at: START,
        ready_at: None,
    }
}

/// A node on its way, with a machine where the phase has one.
pub(crate) fn node_in(goal: Goal, phase: Phase) -> Node {
    let mut node = node();
    node.goal = goal;
    node.generation = 1;
    node.seen.phase = phase;
    node.seen.incarnation = 1;
    node.seen.holds = phase != Phase::Off;
    if !matches!(phase, Phase::Off | Phase::Reserved) {
        node.seen.machine = Some("m-1".into());
    }
    if !matches!(phase, Phase::Off | Phase::Running | Phase::Stopped | Phase::Failed) {
        node.seen.deadline = Some(START + node.start_timeout);
    }
    node
}
