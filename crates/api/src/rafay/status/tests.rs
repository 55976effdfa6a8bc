//! The reference answers, reproduced character by character.

use serde_json::Value;

use super::*;
use crate::rafay::document;

const SINGLE: &str = include_str!("../../../tests/data/rafay/apply_single_node.json");
const UPGRADE: &str = include_str!("../../../tests/data/rafay/apply_upgrade.json");
const TROUBLE: &str = "node lab-n1: precheck P2 failed: port 53 (tcp, udp) is in use by named";

fn stored(request: &str, modified_at_us: i64) -> Stored {
    let request: Value = serde_json::from_str(request).expect("the request is JSON");
    let document = document::parse("defaultproject", request).expect("the request is valid");
    Stored {
        project: "defaultproject".into(),
        modified_at_us,
        details: document.details,
    }
}

fn operation(name: OperationName, resource: &str, state: OperationState) -> Operation {
    let error = (state == OperationState::Failed).then(|| TROUBLE.to_owned());
    Operation {
        name,
        resource: resource.into(),
        state,
        error,
    }
}

fn creation(state: OperationState, sync: OperationState) -> Taskset {
    let operations = vec![
        operation(OperationName::ClusterCreation, "edge-lab", state),
        operation(OperationName::BlueprintSync, "edge-lab", sync),
    ];
    Taskset {
        id: "q8r2m5t".into(),
        operations,
    }
}

fn upgrade() -> Taskset {
    let names = [
        (OperationName::ClusterUpgrade, "edge-lab"),
        (OperationName::NodeAddition, "lab-n2"),
        (OperationName::BlueprintSync, "edge-lab"),
    ];
    let operations = names
        .map(|(name, resource)| operation(name, resource, OperationState::Success))
        .to_vec();
    Taskset {
        id: "v4c9z1h".into(),
        operations,
    }
}

fn input(state: Outcome, updated_at_us: i64, taskset: Taskset, node: NodeStatus) -> StatusInput {
    StatusInput {
        short_id: "k7m2x9q".into(),
        created_at_us: 1_741_077_072_345_678,
        conditions: std::array::from_fn(|_| Condition::pending()),
        provision: Provision::InProgress,
        operation: OperationStatus { state, updated_at_us },
        tasksets: vec![taskset],
        nodes: vec![("lab-n1".into(), node)],
    }
}

fn assert_same(answer: &Value, expected: &str) {
    let pretty = serde_json::to_string_pretty(answer).expect("values serialise");
    assert_eq!(pretty.trim(), expected.trim());
}

#[test]
fn details_are_reproduced() {
    let answer = render_details(&stored(SINGLE, 1_741_077_313_902_114));
    assert_same(&answer, include_str!("../../../tests/data/rafay/details.json"));
}

#[test]
fn lists_are_reproduced_full_and_empty() {
    let expected = include_str!("../../../tests/data/rafay/list.json");
    let listed: Value = serde_json::from_str(expected).expect("the list is JSON");
    let second = stored(&listed["items"][1].to_string(), 1_741_082_072_000_001);
    let items = vec![
        render_details(&stored(SINGLE, 1_741_077_313_902_114)),
        render_details(&second),
    ];
    assert_same(&render_list(items, 2, 0, 0), expected);
    assert_same(
        &render_list(Vec::new(), 0, 0, 0),
        include_str!("../../../tests/data/rafay/list_empty.json"),
    );
}

#[test]
fn the_answer_to_a_create_and_the_wait_for_nodes_are_reproduced() {
    let instant = 1_741_077_072_345_678;
    let taskset = creation(OperationState::Pending, OperationState::Pending);
    let mut input = input(Outcome::Submitted, instant, taskset, NodeStatus::Discovered);
    let stored = stored(SINGLE, instant);
    assert_same(
        &render(&stored, &input),
        include_str!("../../../tests/data/rafay/status_waiting.json"),
    );
    input.nodes.clear();
    assert_same(
        &render(&stored, &input),
        include_str!("../../../tests/data/rafay/apply_single_node.response.json"),
    );
}

#[test]
fn a_cluster_in_the_middle_of_provisioning_is_reproduced() {
    let instant = 1_741_077_072_345_678;
    let taskset = creation(OperationState::InProgress, OperationState::Pending);
    let mut input = input(Outcome::Submitted, instant, taskset, NodeStatus::Provisioning);
    input.conditions[0] = Condition::reached(0);
    input.conditions[1] = Condition::reached(1);
    input.conditions[2] = Condition::not_yet("0 of 1 nodes synced");
    assert_same(
        &render(&stored(SINGLE, instant), &input),
        include_str!("../../../tests/data/rafay/status_provisioning.json"),
    );
}

#[test]
fn a_failed_precheck_is_reproduced() {
    let instant = 1_741_078_913_118_000;
    let taskset = creation(OperationState::Failed, OperationState::Pending);
    let mut input = input(
        Outcome::Failed(TROUBLE.into()),
        instant,
        taskset,
        NodeStatus::PretestFailed,
    );
    input.provision = Provision::Failed;
    assert_same(
        &render(&stored(SINGLE, instant), &input),
        include_str!("../../../tests/data/rafay/status_failed.json"),
    );
}

#[test]
fn a_ready_cluster_after_an_upgrade_is_reproduced() {
    let instant = 1_741_167_283_903_417;
    let success = OperationState::Success;
    let mut input = input(Outcome::Applied, instant, upgrade(), NodeStatus::Ready);
    input.conditions = std::array::from_fn(Condition::reached);
    input.provision = Provision::Complete;
    let mut blueprint = creation(success, success);
    blueprint.id = "n3b7w6e".into();
    blueprint.operations[0].name = OperationName::BlueprintUpdation;
    input.tasksets.extend([blueprint, creation(success, success)]);
    input.nodes.push(("lab-n2".into(), NodeStatus::Ready));
    assert_same(
        &render(&stored(UPGRADE, instant), &input),
        include_str!("../../../tests/data/rafay/status_ready.json"),
    );
}

#[test]
fn a_deletion_is_reproduced() {
    let instant = 1_741_249_872_007_000;
    let operations = vec![operation(
        OperationName::ClusterDeletion,
        "edge-lab",
        OperationState::InProgress,
    )];
    let taskset = Taskset {
        id: "x5d8j2p".into(),
        operations,
    };
    let mut input = input(Outcome::Submitted, instant, taskset, NodeStatus::Deleting);
    input.conditions = std::array::from_fn(Condition::reached);
    input.conditions[5] = Condition::not_yet("cluster is being deleted");
    input.provision = Provision::DeletionInProgress;
    input.tasksets.push(upgrade());
    input.nodes.push(("lab-n2".into(), NodeStatus::Deleting));
    assert_same(
        &render(&stored(UPGRADE, instant), &input),
        include_str!("../../../tests/data/rafay/status_deleting.json"),
    );
}

#[test]
fn installer_commands_are_reproduced() {
    let expected = include_str!("../../../tests/data/rafay/installer_cmds.json");
    let answer: Value = serde_json::from_str(expected).expect("the answer is JSON");
    let command = |index: usize, arch: &str| InstallerCommand {
        arch: arch.into(),
        command: answer["installerCmds"][index]["command"]
            .as_str()
            .expect("a command")
            .into(),
        expires_at_us: Some(1_772_613_072_345_678),
    };
    let commands = [command(0, "arm64"), command(1, "amd64")];
    assert_same(&installer_commands("edge-lab", "defaultproject", &commands), expected);
}

#[test]
fn nodes_that_are_leaving_follow_the_declared_ones() {
    let mut input = input(Outcome::Applied, 0, upgrade(), NodeStatus::Ready);
    input.nodes.insert(0, ("lab-n7".into(), NodeStatus::Deleting));
    let answer = render(&stored(SINGLE, 0), &input);
    assert_eq!(
        answer["status"]["mks"]["nodes"][1],
        json!({"hostname": "lab-n7", "status": "DELETING"})
    );
    assert_eq!(answer["status"]["commonStatus"]["lastUpdated"], json!({"seconds": 0}));
}

#[test]
fn a_failure_reason_is_cut_between_characters() {
    let input = input(Outcome::Failed("é".repeat(4000)), 0, upgrade(), NodeStatus::Ready);
    let answer = render(&stored(SINGLE, 0), &input);
    assert_eq!(
        answer["status"]["commonStatus"]["reason"].as_str().map(str::len),
        Some(4096)
    );
}
