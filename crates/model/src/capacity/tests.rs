//! Worked examples and properties of the arithmetic.

use proptest::prelude::*;

use super::*;
use crate::{
    cluster::{MAX_CORES_DEFAULT, MAX_COUNT_DEFAULT},
    node::{
        Goal, Phase,
        tests::{START, node, node_in},
        verb::wish,
    },
};

fn totals(nodes: i64, cores: i64) -> Totals {
    Totals { nodes, cores }
}

fn place() -> Place {
    Place {
        account: "lab".into(),
        region: "west".into(),
        family: "FSv2".into(),
    }
}

#[test]
fn a_pool_limited_in_cores_and_quota_shows_the_figures_of_the_documentation_sample() {
    let f32 = Limits {
        cluster_nodes: 100,
        cluster_cores: 10_000,
        pool_nodes: MAX_COUNT_DEFAULT,
        pool_cores: 500,
        cores: 32,
        quota_cores: 32,
        family_quota: 100,
        region_quota: 1_000_000,
        spot: false,
        group_size: 40,
    };
    assert_eq!((pool_max_count(&f32), pool_max_cores(&f32)), (100, 500));
    assert_eq!((quota_cores(&f32), quota_count(&f32, quota_cores(&f32))), (100, 3));
    assert_eq!((bucket_max_count(&f32), bucket_max_cores(&f32)), (3, 96));
    let hc44 = Limits {
        cores: 44,
        quota_cores: 44,
        family_quota: 8800,
        ..f32
    };
    assert_eq!(quota_count(&hc44, quota_cores(&hc44)), 200);
    assert_eq!((bucket_max_count(&hc44), bucket_max_cores(&hc44)), (11, 484));
    assert_eq!(group_max_cores(&hc44), 1760);
}

/// Cluster of 40 nodes and 1000 cores; region 700 of which 324 are in use.
fn sample(pool: (u32, u32), size: u32, family: (u64, i64), pool_use: Totals) -> (Limits, InUse) {
    let limits = Limits {
        cluster_nodes: 40,
        cluster_cores: 1000,
        pool_nodes: pool.0,
        pool_cores: pool.1,
        cores: size,
        quota_cores: size,
        family_quota: family.0,
        region_quota: 700,
        spot: false,
        group_size: 5,
    };
    let in_use = InUse {
        cluster: totals(12, 272),
        pool: pool_use,
        bucket: Totals::default(),
        family_cores: family.1,
        region_cores: 324,
    };
    (limits, in_use)
}

#[test]
fn the_busy_cluster_of_the_example_files_has_the_room_computed_there() {
    let (limits, in_use) = sample((10_000, 200), 4, (300, 48), totals(3, 24));
    assert_eq!(available(&limits, &in_use, true), 28);
    assert_eq!(
        tightest(&limits, &in_use),
        "the maximum node count of the cluster (12 of 40 in use)"
    );
    let (limits, in_use) = sample((10_000, 200), 16, (300, 48), totals(3, 24));
    assert_eq!(available(&limits, &in_use, true), 11);
    let (limits, in_use) = sample((8, MAX_CORES_DEFAULT), 44, (352, 264), totals(5, 220));
    assert_eq!(available(&limits, &in_use, true), 2);
    assert_eq!(bucket_max_count(&limits), 8);
    assert_eq!(consumed_cores(&limits, &in_use), 264);
    assert_eq!(available(&limits, &in_use, false), 0, "a closed bucket takes nothing");
}

#[test]
fn spot_buckets_look_at_the_spot_quota_alone_and_show_no_family() {
    let (limits, in_use) = sample((10, MAX_CORES_DEFAULT), 8, (0, 500), totals(2, 16));
    let limits = Limits {
        spot: true,
        region_quota: 100,
        ..limits
    };
    let in_use = InUse {
        region_cores: 16,
        ..in_use
    };
    assert_eq!(available(&limits, &in_use, true), 8);
    assert_eq!(
        (
            quota_cores(&limits),
            quota_count(&limits, quota_cores(&limits)),
            regional_quota_count(&limits)
        ),
        (100, 12, 12)
    );
    assert_eq!((family_quota_cores(&limits), family_quota_count(&limits)), (0, 0));
    assert_eq!(
        (
            family_consumed_cores(&limits, &in_use),
            consumed_cores(&limits, &in_use)
        ),
        (0, 16)
    );
    assert_eq!(regional_consumed_cores(&in_use), 16);
}

#[test]
fn a_core_limit_that_is_no_multiple_of_a_node_rounds_down_in_the_bucket_only() {
    let limits = Limits {
        cluster_nodes: MAX_COUNT_DEFAULT,
        cluster_cores: MAX_CORES_DEFAULT,
        pool_nodes: MAX_COUNT_DEFAULT,
        pool_cores: 50,
        cores: 16,
        quota_cores: 16,
        family_quota: 1_000_000,
        region_quota: 1_000_000,
        spot: false,
        group_size: 40,
    };
    assert_eq!(
        (
            bucket_max_count(&limits),
            bucket_max_cores(&limits),
            pool_max_cores(&limits)
        ),
        (3, 48, 50)
    );
}

#[test]
fn a_start_counts_at_once_and_a_termination_gives_the_place_back_but_not_the_quota() {
    let (before, place) = (node(), place());
    let mut started = before.clone();
    wish(&mut started, Goal::Started, START);
    let mut deltas = Deltas::default();
    deltas.change(Some(&before), Some(&started), &place);
    assert_eq!(deltas.of(&Key::cluster(started.cluster)), totals(1, 4));
    assert_eq!(deltas.of(&Key::bucket(started.pool, "F4")), totals(1, 4));
    assert_eq!(deltas.of(&Key::family("lab", "west", "FSv2")), totals(1, 4));
    let mut ended = started.clone();
    wish(&mut ended, Goal::Absent, START);
    let mut deltas = Deltas::default();
    deltas.change(Some(&started), Some(&ended), &place);
    assert_eq!(deltas.of(&Key::pool(started.pool)), totals(-1, -4));
    assert_eq!(deltas.of(&Key::region("lab", "west", false)), Totals::default());
    deltas.change(Some(&ended), None, &place);
    assert_eq!(deltas.of(&Key::region("lab", "west", false)), totals(-1, -4));
}

#[test]
fn a_deallocated_machine_takes_no_quota_and_resuming_it_takes_it_again() {
    let stopped = node_in(Goal::Deallocated, Phase::Stopped);
    assert_eq!(contributions(&stopped, &place()), Vec::new());
    let mut resumed = stopped.clone();
    wish(&mut resumed, Goal::Started, START);
    assert_eq!(resumed.seen.phase, Phase::Resuming);
    assert!(contributions(&resumed, &place()).contains(&(Key::region("lab", "west", false), totals(1, 4))));
}

#[test]
fn spot_machines_count_as_spot_and_single_nodes_in_the_cluster_only() {
    let mut spot = node_in(Goal::Started, Phase::Running);
    spot.spot = true;
    spot.placement_group = Some("near".into());
    let text: Vec<String> = contributions(&spot, &place())
        .iter()
        .map(|(key, _)| key.to_string())
        .collect();
    let (cluster, pool) = (spot.cluster, spot.pool);
    let expected = [
        format!("c:{cluster}"),
        format!("p:{pool}"),
        format!("b:{pool}:F4"),
        format!("g:{pool}:F4:near"),
        "s:lab:west".into(),
    ];
    assert_eq!(text, expected);
    let mut single = node_in(Goal::Started, Phase::Running);
    single.single = true;
    let text: Vec<String> = contributions(&single, &place())
        .iter()
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(
        text,
        [format!("c:{cluster}"), "f:lab:west:FSv2".into(), "r:lab:west".into()]
    );
}

prop_compose! {
    fn limits()(
        cluster_nodes in 0u32..200, cluster_cores in 0u32..2000, pool_nodes in 0u32..200, pool_cores in 0u32..2000,
        cores in 1u32..100, quota_cores in 1u32..100, family_quota in 0u64..5000, region_quota in 0u64..5000,
        spot: bool,
    ) -> Limits {
        Limits {
            cluster_nodes, cluster_cores, pool_nodes, pool_cores, cores, quota_cores, family_quota, region_quota, spot,
            group_size: 40,
        }
    }
}

prop_compose! {
    fn in_use()(
        cluster in (0i64..250, 0i64..2500), pool in (0i64..250, 0i64..2500), family_cores in 0i64..6000,
        region_cores in 0i64..6000,
    ) -> InUse {
        InUse {
            cluster: totals(cluster.0, cluster.1),
            pool: totals(pool.0, pool.1),
            bucket: Totals::default(),
            family_cores,
            region_cores,
        }
    }
}

proptest! {
    #[test]
    fn what_is_available_fits_under_every_limit_and_making_it_leaves_nothing(limits in limits(), in_use in in_use()) {
        let room = available(&limits, &in_use, true);
        prop_assert!(room <= bucket_max_count(&limits));
        let (count, cores) = (i64::from(room), i64::from(room) * i64::from(limits.cores));
        let quota = i64::from(room) * i64::from(limits.quota_cores);
        let after = InUse {
            cluster: totals(in_use.cluster.nodes + count, in_use.cluster.cores + cores),
            pool: totals(in_use.pool.nodes + count, in_use.pool.cores + cores),
            bucket: totals(count, cores),
            family_cores: in_use.family_cores + quota,
            region_cores: in_use.region_cores + quota,
        };
        if room > 0 {
            prop_assert!(after.cluster.nodes <= i64::from(limits.cluster_nodes));
            prop_assert!(after.cluster.cores <= i64::from(limits.cluster_cores));
            prop_assert!(after.pool.nodes <= i64::from(limits.pool_nodes));
            prop_assert!(after.pool.cores <= i64::from(limits.pool_cores));
            prop_assert!(after.region_cores as u64 <= limits.region_quota);
            prop_assert!(limits.spot || after.family_cores as u64 <= limits.family_quota);
        }
        prop_assert_eq!(available(&limits, &after, true), 0);
        prop_assert!(!tightest(&limits, &after).is_empty());
    }

    #[test]
    fn differences_add_up_to_what_a_count_from_scratch_finds(
        wishes in prop::collection::vec(prop::sample::select(Goal::EVERY.to_vec()), 0..8), spot: bool, single: bool,
    ) {
        let place = place();
        let mut node = crate::node::Node { spot, single, ..node() };
        let mut deltas = Deltas::default();
        deltas.change(None, Some(&node), &place);
        for goal in wishes {
            let before = node.clone();
            wish(&mut node, goal, START);
            deltas.change(Some(&before), Some(&node), &place);
        }
        let scratch: BTreeMap<Key, Totals> = contributions(&node, &place).into_iter().collect();
        prop_assert_eq!(deltas.into_changes().collect::<BTreeMap<_, _>>(), scratch);
    }
}
