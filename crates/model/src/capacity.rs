//! Capacity arithmetic: what nodes take, what limits leave, and which limit bites first.
//!
//! Deliberately does not know where totals are kept or who is asking. Totals are kept as sums under stable keys, and
//! every change of a node is a handful of differences, so that a decision costs the same with ten nodes and with ten
//! thousand.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
};

use crate::{
    id::{ClusterId, PoolId},
    node::Node,
};

/// Nodes and cores, or a difference of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Nodes.
    pub nodes: i64,
    /// Cores; quota cores under keys of consumption.
    pub cores: i64,
}

/// Where a node's machine counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Provider account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Quota family of the machine size.
    pub family: String,
}

/// Name of a running total; its text is stable and sorts as the key does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Active nodes of a cluster, single ones included.
    #[must_use]
    pub fn cluster(cluster: ClusterId) -> Self {
        Self(format!("c:{cluster}"))
    }

    /// Active nodes of a pool.
    #[must_use]
    pub fn pool(pool: PoolId) -> Self {
        Self(format!("p:{pool}"))
    }

    /// Active nodes of one machine size of a pool.
    #[must_use]
    pub fn bucket(pool: PoolId, size: &str) -> Self {
        Self(format!("b:{pool}:{size}"))
    }

    /// Active nodes of a bucket in one placement group.
    #[must_use]
    pub fn group(pool: PoolId, size: &str, group: &str) -> Self {
        Self(format!("g:{pool}:{size}:{group}"))
    }

    /// Regular machines of one quota family.
    #[must_use]
    pub fn family(account: &str, region: &str, family: &str) -> Self {
        Self(format!("f:{account}:{region}:{family}"))
    }

    /// All regular, or all spot machines of a region.
    #[must_use]
    pub fn region(account: &str, region: &str, spot: bool) -> Self {
        let kind = if spot { 's' } else { 'r' };
        Self(format!("{kind}:{account}:{region}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `node` adds to each total.
#[must_use]
pub fn contributions(node: &Node, place: &Place) -> Vec<(Key, Totals)> {
    let mut parts = Vec::new();
    if node.active() {
        let one = Totals {
            nodes: 1,
            cores: i64::from(node.cores),
        };
        parts.push((Key::cluster(node.cluster), one));
        if !node.single {
            parts.push((Key::pool(node.pool), one));
            parts.push((Key::bucket(node.pool, &node.size), one));
            if let Some(group) = &node.placement_group {
                parts.push((Key::group(node.pool, &node.size, group), one));
            }
        }
    }
    if node.consuming() {
        let one = Totals {
            nodes: 1,
            cores: i64::from(node.quota_cores),
        };
        if !node.spot {
            parts.push((Key::family(&place.account, &place.region, &place.family), one));
        }
        parts.push((Key::region(&place.account, &place.region, node.spot), one));
    }
    parts
}

/// Differences to running totals, gathered over one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deltas(BTreeMap<Key, Totals>);

impl Deltas {
    /// A node became, changed or went; both instants at the same place.
    pub fn change(&mut self, before: Option<&Node>, after: Option<&Node>, place: &Place) {
        for (node, sign) in [(before, -1), (after, 1)] {
            for (key, totals) in node.map(|node| contributions(node, place)).unwrap_or_default() {
                let sum = self.0.entry(key).or_default();
                sum.nodes += sign * totals.nodes;
                sum.cores += sign * totals.cores;
            }
        }
        self.0.retain(|_, sum| *sum != Totals::default());
    }

    /// The difference under one key so far.
    #[must_use]
    pub fn of(&self, key: &Key) -> Totals {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// All differences that are not zero, in the order of their keys.
    #[must_use]
    pub fn into_changes(self) -> btree_map::IntoIter<Key, Totals> {
        self.0.into_iter()
    }
}

/// Limits that bear on one bucket; none of them moves with use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most nodes of the cluster.
    pub cluster_nodes: u32,
    /// Most cores of the cluster.
    pub cluster_cores: u32,
    /// Most nodes of the pool.
    pub pool_nodes: u32,
    /// Most cores of the pool.
    pub pool_cores: u32,
    /// Cores a node counts for.
    pub cores: u32,
    /// Virtual processors a node takes from the quota.
    pub quota_cores: u32,
    /// Quota of the family; not looked at for spot machines, which have none.
    pub family_quota: u64,
    /// Quota of the region; the spot quota for spot machines.
    pub region_quota: u64,
    /// Spot machines.
    pub spot: bool,
    /// Most nodes in one placement group.
    pub group_size: u32,
}

/// What is in use of a bucket's limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InUse {
    /// Active nodes of the cluster.
    pub cluster: Totals,
    /// Active nodes of the pool.
    pub pool: Totals,
    /// Active nodes of the bucket.
    pub bucket: Totals,
    /// Quota cores in use in the family, by us and by others.
    pub family_cores: i64,
    /// Quota cores in use in the region, by us and by others; spot cores for spot machines.
    pub region_cores: i64,
}

/// Most nodes of the pool: its own limit or the cluster's.
#[must_use]
pub fn pool_max_count(limits: &Limits) -> u32 {
    limits.pool_nodes.min(limits.cluster_nodes)
}

/// Most cores of the pool: its own limit or the cluster's; no multiple of anything.
#[must_use]
pub fn pool_max_cores(limits: &Limits) -> u32 {
    limits.pool_cores.min(limits.cluster_cores)
}

/// Family quota as shown: 0 for spot machines.
#[must_use]
pub fn family_quota_cores(limits: &Limits) -> u64 {
    if limits.spot { 0 } else { limits.family_quota }
}

/// Nodes that the family quota allows: 0 for spot machines.
#[must_use]
pub fn family_quota_count(limits: &Limits) -> u32 {
    quota_count(limits, family_quota_cores(limits))
}

/// Family cores in use as shown: 0 for spot machines.
#[must_use]
pub fn family_consumed_cores(limits: &Limits, in_use: &InUse) -> u64 {
    if limits.spot { 0 } else { cores(in_use.family_cores) }
}

/// Nodes that the quota of the region allows.
#[must_use]
pub fn regional_quota_count(limits: &Limits) -> u32 {
    quota_count(limits, limits.region_quota)
}

/// Regional cores in use; spot cores for spot machines.
#[must_use]
pub fn regional_consumed_cores(in_use: &InUse) -> u64 {
    cores(in_use.region_cores)
}

/// The tighter of the quotas.
#[must_use]
pub fn quota_cores(limits: &Limits) -> u64 {
    if limits.spot {
        limits.region_quota
    } else {
        limits.region_quota.min(limits.family_quota)
    }
}

/// Nodes that a quota of `cores` allows.
#[must_use]
pub fn quota_count(limits: &Limits, cores: u64) -> u32 {
    nodes(cores, limits.quota_cores)
}

/// Cores in use of the family; of the region's spot cores for spot machines.
#[must_use]
pub fn consumed_cores(limits: &Limits, in_use: &InUse) -> u64 {
    cores(if limits.spot {
        in_use.region_cores
    } else {
        in_use.family_cores
    })
}

/// Most nodes of the bucket under all limits; never moves with use.
#[must_use]
pub fn bucket_max_count(limits: &Limits) -> u32 {
    limits
        .pool_nodes
        .min(nodes(limits.pool_cores.into(), limits.cores))
        .min(limits.cluster_nodes)
        .min(nodes(limits.cluster_cores.into(), limits.cores))
        .min(quota_count(limits, quota_cores(limits)))
}

/// Cores of that many nodes.
#[must_use]
pub fn bucket_max_cores(limits: &Limits) -> u64 {
    node_cores(limits, bucket_max_count(limits))
}

/// Cores of `count` nodes of the bucket.
#[must_use]
pub fn node_cores(limits: &Limits, count: u32) -> u64 {
    u64::from(count) * u64::from(limits.cores)
}

/// Cores of a full placement group.
#[must_use]
pub fn group_max_cores(limits: &Limits) -> u64 {
    node_cores(limits, limits.group_size)
}

/// More nodes the bucket takes now; `open` is false when it takes none for other reasons than room.
#[must_use]
pub fn available(limits: &Limits, in_use: &InUse, open: bool) -> u32 {
    if !open {
        return 0;
    }
    let least = terms(limits, in_use)
        .into_iter()
        .map(|term| term.room)
        .min()
        .unwrap_or(0);
    count(least)
}

/// The limit that leaves the least room, in words, with its number: follows on *limited by*.
#[must_use]
pub fn tightest(limits: &Limits, in_use: &InUse) -> String {
    let least = terms(limits, in_use).into_iter().min_by_key(|term| term.room);
    least
        .map(|term| format!("{} ({} of {} in use)", term.name, term.used, term.limit))
        .unwrap_or_default()
}

/// One limit with what it leaves.
struct Term {
    name: &'static str,
    limit: i64,
    used: i64,
    /// More nodes; below zero when the limit is exceeded already.
    room: i64,
}

fn terms(limits: &Limits, in_use: &InUse) -> Vec<Term> {
    let term = |name, limit: u64, used: i64, each: u32| {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let left = limit.saturating_sub(used);
        let room = if each == 0 {
            i64::MAX
        } else {
            left.div_euclid(i64::from(each))
        };
        Term {
            name,
            limit,
            used,
            room,
        }
    };
    let (v, q) = (limits.cores, limits.quota_cores);
    let mut terms = vec![
        term(
            "the maximum node count of the pool",
            limits.pool_nodes.into(),
            in_use.pool.nodes,
            1,
        ),
        term(
            "the maximum core count of the pool",
            limits.pool_cores.into(),
            in_use.pool.cores,
            v,
        ),
        term(
            "the maximum node count of the cluster",
            limits.cluster_nodes.into(),
            in_use.cluster.nodes,
            1,
        ),
        term(
            "the maximum core count of the cluster",
            limits.cluster_cores.into(),
            in_use.cluster.cores,
            v,
        ),
    ];
    if limits.spot {
        terms.push(term(
            "the spot core quota of the region",
            limits.region_quota,
            in_use.region_cores,
            q,
        ));
    } else {
        terms.push(term(
            "the core quota of the region",
            limits.region_quota,
            in_use.region_cores,
            q,
        ));
        terms.push(term(
            "the core quota of the machine family",
            limits.family_quota,
            in_use.family_cores,
            q,
        ));
    }
    terms
}

/// How many nodes of `each` cores fit; as many as can be written where a node takes none.
fn nodes(limit: u64, each: u32) -> u32 {
    if each == 0 {
        COUNT_MAX
    } else {
        u32::try_from(limit / u64::from(each))
            .unwrap_or(COUNT_MAX)
            .min(COUNT_MAX)
    }
}

/// Clients read counts as signed 32-bit numbers.
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();

fn count(room: i64) -> u32 {
    u32::try_from(room.max(0)).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}

fn cores(total: i64) -> u64 {
    u64::try_from(total).unwrap_or(0)
}

#[cfg(test)]
mod tests;
