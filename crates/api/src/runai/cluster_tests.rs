//! Tests of how clusters are shown.

use reeve_model::{
    cluster::{Aspects, Phase},
    id::{ClusterId, FolderId, TenantId},
};

use super::*;

const NOW: Timestamp = Timestamp(1_772_438_400_000_000);

fn cluster() -> Cluster {
    let id = "5c1d7f0e-3b52-4d7a-9a41-7e0c8f6b2d10";
    Cluster {
        id: id.parse::<ClusterId>().expect("id"),
        tenant: id.parse::<TenantId>().expect("id"),
        folder: id.parse::<FolderId>().expect("id"),
        name: "aurora".into(),
        aspects: Aspects {
            attached: true,
            ..Aspects::default()
        },
        goal: Goal::Idle,
        generation: 0,
        phase: Phase::Idle,
        max_count: 1,
        max_cores: 1,
        domain: None,
        version: Some("2.24.3".into()),
        created_at: NOW,
        updated_at: NOW,
        last_seen: None,
        delete_requested_at: None,
        simulated: false,
    }
}

#[test]
fn a_cluster_is_connected_while_its_agent_reports() {
    let mut cluster = cluster();
    assert_eq!(state(&cluster, NOW), "WaitingToConnect");
    cluster.last_seen = Some(NOW);
    assert_eq!(state(&cluster, NOW + Duration::from_secs(120)), "Connected");
    assert_eq!(state(&cluster, NOW + Duration::from_secs(121)), "Disconnected");
}

#[test]
fn a_cluster_whose_machines_we_run_is_connected_while_it_is_wanted() {
    let mut cluster = Cluster {
        aspects: Aspects {
            elastic: true,
            ..Aspects::default()
        },
        ..cluster()
    };
    assert_eq!(state(&cluster, NOW), "WaitingToConnect");
    cluster.goal = Goal::Started;
    assert_eq!(state(&cluster, NOW), "Connected");
    assert!(render(&cluster, true, NOW)["lastLiveness"].is_string());
}

#[test]
fn metadata_leaves_out_the_status_and_what_is_known_of_deletion() {
    let keys = |full| {
        render(&cluster(), full, NOW)
            .as_object()
            .expect("object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let metadata = [
        "uuid",
        "tenantId",
        "name",
        "createdAt",
        "domain",
        "version",
        "updatedAt",
        "lastLiveness",
    ];
    assert_eq!(keys(false), metadata);
    let rest: Vec<_> = keys(true)
        .into_iter()
        .filter(|key| !metadata.contains(&key.as_str()))
        .collect();
    assert_eq!(rest, ["status", "deletedAt", "deleteRequestedAt"]);
}

#[test]
fn versions_are_compared_as_numbers() {
    for (version, graceful) in [
        ("2.20", true),
        ("2.20.0", true),
        ("2.9", false),
        ("v2.24.3", true),
        ("3", true),
        ("2.20-rc1", true),
        ("", false),
        ("x", false),
    ] {
        assert_eq!(cleans_up(Some(version)), graceful, "{version}");
    }
    assert!(!cleans_up(None));
}
