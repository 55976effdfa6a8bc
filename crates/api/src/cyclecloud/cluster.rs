//! Cluster status: nodearrays, their buckets with every figure, and the nodes that have or get a machine.
//!
//! The arithmetic is `reeve_model::capacity`'s; here its results only get CycleCloud's names.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::header,
    response::{IntoResponse, Response},
};
use reeve_control::cluster::{self, BucketStatus, PoolStatus, Selector, Status};
use reeve_model::{
    Timestamp, cluster as rules,
    node::Node,
    pool::{Closed, PoolKind},
};
use serde_json::{Value as Json, json};

use super::{
    auth::Caller,
    error::Answer,
    extract::Path,
    query::Query,
    record::{self, Records},
    states,
};
use crate::App;

/// A JSON body that is ready to send.
#[must_use]
pub fn answer(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Bytes::from(body)).into_response()
}

/// `GET /clusters/{cluster}/status`
///
/// # Errors
/// 404 for an unknown cluster.
pub async fn status(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let with_nodes = Query::of(query).is_true("nodes");
    let status = cluster::status(&ctx, &Selector::Name(name), with_nodes).await?;
    Ok(answer(render(&app, &status, with_nodes)))
}

/// Is the node an array node, and not at rest?
#[must_use]
pub fn listed(status: &Status, node: &Node) -> bool {
    let array = |row: &PoolStatus| row.pool.id == node.pool && row.pool.kind == PoolKind::Many;
    !node.single && !states::of_node(node).rests && status.pools.iter().any(array)
}

/// The body of a cluster's status.
#[must_use]
pub fn render(app: &App, status: &Status, with_nodes: bool) -> Vec<u8> {
    let arrays: Vec<Json> = status
        .pools
        .iter()
        .filter(|row| row.pool.kind == PoolKind::Many)
        .map(|row| nodearray(status, row, with_nodes))
        .collect();
    let mut whole = json!({
        "maxCount": status.cluster.max_count,
        "maxCoreCount": status.cluster.max_cores,
        "nodearrays": arrays,
    });
    if let Some((state, target)) = states::of_cluster(&status.cluster) {
        whole["state"] = json!(state);
        whole["targetState"] = json!(target);
    }
    let mut body = whole.to_string().into_bytes();
    if with_nodes {
        body.pop();
        body.extend_from_slice(b",\"nodes\":");
        Records::new(app).write_all(status, |node| listed(status, node), &mut body);
        body.push(b'}');
    }
    body
}

fn nodearray(status: &Status, row: &PoolStatus, with_nodes: bool) -> Json {
    let pool = &row.pool;
    let most = pool
        .max_count
        .unwrap_or(rules::MAX_COUNT_DEFAULT)
        .min(status.cluster.max_count);
    let most_cores = pool
        .max_cores
        .unwrap_or(rules::MAX_CORES_DEFAULT)
        .min(status.cluster.max_cores);
    let buckets: Vec<Json> = row
        .buckets
        .iter()
        .map(|bucket| {
            let mut shown = render_bucket(status, bucket);
            if with_nodes {
                let active = |node: &&Node| node.active() && node.pool == pool.id && node.size == bucket.bucket.size;
                let names = status
                    .nodes
                    .iter()
                    .map(|full| &full.node)
                    .filter(active)
                    .map(|node| node.name.as_str());
                shown["activeNodes"] = names.collect();
            }
            shown
        })
        .collect();
    json!({
        "name": pool.name,
        "maxCount": most,
        "maxCoreCount": most_cores,
        "nodearray": record::of_nodearray(status, pool),
        "buckets": buckets,
    })
}

/// A figure as clients take it: never negative, below 2^31.
fn figure(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX).clamp(0, i64::from(i32::MAX))
}

/// Seconds since the last time the provider had none; negative when that never happened.
fn since_failure(exhausted_at: Option<Timestamp>, now: Timestamp) -> f64 {
    exhausted_at.map_or(-1.0, |at| now.since(at).as_secs_f64())
}

fn invalid_reason(closed: Option<Closed>) -> &'static str {
    match closed {
        None => "",
        Some(Closed::NotActivated) => "NotActivated",
        Some(Closed::Disabled) => "DisabledMachineType",
    }
}

fn render_bucket(status: &Status, shown: &BucketStatus) -> Json {
    let BucketStatus {
        bucket,
        size,
        limits,
        in_use,
        available,
        groups,
    } = shown;
    let closed = bucket.closed(status.cluster.goal == rules::Goal::Started);
    let cores = i64::from(limits.cores);
    let each = i64::from(limits.quota_cores).max(1);
    let (family, region) = (figure(limits.family_quota), figure(limits.region_quota));
    let (family_used, region_used) = (figure(in_use.family_cores), figure(in_use.region_cores));
    // Spot machines have no family quota; clients know, and want the figures all the same.
    let (family, family_used, quota, used) = if limits.spot {
        (0, 0, region, region_used)
    } else {
        (family, family_used, family.min(region), family_used)
    };
    let most = i64::from(cluster::bucket_max(limits));
    let available = i64::from(*available);
    let group_size = i64::from(limits.group_size);
    let groups: Vec<Json> = groups
        .iter()
        .map(|(name, total)| {
            json!({ "name": name, "activeCount": figure(total.nodes), "activeCoreCount": figure(total.cores) })
        })
        .collect();
    json!({
        "bucketId": bucket.id.to_string(),
        "definition": { "machineType": bucket.size },
        "valid": closed.is_none(),
        "invalidReason": invalid_reason(closed),
        "maxCount": most,
        "maxCoreCount": most * cores,
        "activeCount": figure(in_use.bucket.nodes),
        "activeCoreCount": figure(in_use.bucket.cores),
        "availableCount": available,
        "availableCoreCount": available * cores,
        "quotaCount": quota / each,
        "quotaCoreCount": quota,
        "consumedCoreCount": used,
        "familyQuotaCount": family / each,
        "familyQuotaCoreCount": family,
        "familyConsumedCoreCount": family_used,
        "regionalQuotaCount": region / each,
        "regionalQuotaCoreCount": region,
        "regionalConsumedCoreCount": region_used,
        "maxPlacementGroupSize": group_size,
        "maxPlacementGroupCoreSize": group_size * cores,
        "placementGroups": groups,
        "lastCapacityFailure": since_failure(bucket.exhausted_at, status.at),
        "virtualMachine": {
            "vcpuCount": size.vcpus,
            "pcpuCount": size.cores,
            "gpuCount": size.gpus,
            "memory": record::gigabytes(size.memory_bytes),
            "infiniband": size.infiniband,
            "vcpuQuotaCount": size.quota_vcpus,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_failure_grows_older_and_is_negative_when_there_was_none() {
        assert!(since_failure(None, Timestamp(0)) < 0.0);
        let age = since_failure(Some(Timestamp(1_000_000)), Timestamp(3_500_000));
        assert!((age - 2.5).abs() < 1e-9);
    }

    #[test]
    fn figures_are_never_negative_and_fit_in_31_bits() {
        assert_eq!(
            (figure(-3i64), figure(u64::MAX), figure(7u32)),
            (0, i64::from(i32::MAX), 7)
        );
    }
}
