//! What changed documents ask for.

use serde_json::{Value, json};

use super::*;
use crate::rafay::document::parse;
use crate::rafay::media;

fn value(text: &str) -> Value {
    media::parse(None, text.as_bytes()).expect("the text parses")
}

fn single() -> Value {
    value(include_str!("../../../../tests/data/rafay/apply_single_node.json"))
}

fn highly_available() -> Value {
    value(include_str!("../../../../tests/data/rafay/apply_ha_dedicated.yaml"))
}

fn accept(value: Value) -> Document {
    parse("defaultproject", value).expect("the document is valid")
}

fn after(old: Value, edit: impl FnOnce(&mut Value)) -> Result<Difference, Vec<Problem>> {
    let mut new = old.clone();
    edit(&mut new);
    compare(&accept(old), &accept(new), true)
}

fn operations(difference: Result<Difference, Vec<Problem>>) -> Vec<String> {
    match difference {
        Ok(Difference::Operations(operations)) => operations
            .iter()
            .map(|(name, resource)| format!("{} {resource}", name.as_str()))
            .collect(),
        other => panic!("no operations but {other:?}"),
    }
}

fn refused(difference: Result<Difference, Vec<Problem>>) -> Vec<String> {
    difference
        .expect_err("the change is refused")
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

#[test]
fn the_order_of_nodes_roles_and_other_sets_does_not_matter() {
    let difference = after(highly_available(), |document| {
        document["spec"]["config"]["nodes"].as_array_mut().unwrap().reverse();
        document["spec"]["config"]["nodes"][1]["roles"]
            .as_array_mut()
            .unwrap()
            .reverse();
        assert_eq!(document["spec"]["config"]["nodes"][1]["hostname"], "pw-infra1");
    });
    assert_eq!(difference, Ok(Difference::NoChange));
}

#[test]
fn quiet_fields_need_no_operation() {
    let edits: [(&str, &str, Value); 7] = [
        ("/metadata", "description", json!("new")),
        ("/metadata", "labels", json!({"a": "b"})),
        ("/spec/config", "location", json!("elsewhere")),
        ("/spec/config", "autoApproveNodes", json!(false)),
        ("/spec/config", "installerTtl", json!(7)),
        (
            "/spec/config/nodes/0",
            "ssh",
            json!({"username": "root", "passphrase": "hush"}),
        ),
        ("/spec/blueprint", "version", json!("latest")),
    ];
    for (parent, key, new) in edits {
        let difference = after(single(), |document| document.pointer_mut(parent).unwrap()[key] = new);
        assert_eq!(difference, Ok(Difference::QuietOnly), "{key}");
    }
}

#[test]
fn the_reference_upgrade_asks_for_the_operations_of_its_status() {
    let old = value(include_str!("../../../../tests/data/rafay/apply_blueprint_change.json"));
    let new = value(include_str!("../../../../tests/data/rafay/apply_upgrade.json"));
    let expected = [
        "ClusterUpgrade edge-lab",
        "NodeAddition lab-n2",
        "BlueprintSync edge-lab",
    ];
    assert_eq!(operations(compare(&accept(old.clone()), &accept(new), true)), expected);
    let expected = ["BlueprintUpdation edge-lab", "BlueprintSync edge-lab"];
    assert_eq!(operations(compare(&accept(single()), &accept(old), true)), expected);
}

#[test]
fn several_changes_run_in_the_published_order() {
    let difference = after(highly_available(), |document| {
        let config = &mut document["spec"]["config"];
        config["platformVersion"] = json!("v1.1.0");
        config["kubernetesVersion"] = json!("v1.29.0");
        config["kubeletExtraArgs"] = json!({"max-pods": "99"});
        let nodes = config["nodes"].as_array_mut().unwrap();
        let mut fresh = nodes.remove(4);
        nodes[0]["hostname"] = json!("pw-cp9");
        nodes[1]["labels"] = json!({"a": "b"});
        fresh["hostname"] = json!("pw-w2");
        nodes.push(fresh);
        document["spec"]["blueprint"]["version"] = json!("1.2");
    });
    let expected = [
        "NodeDeletion pw-w1",
        "NodeDeletion pw-cp1",
        "PlatformUpgrade plant-west",
        "ClusterUpgrade plant-west",
        "ClusterUpdation plant-west",
        "NodeAddition pw-cp9",
        "NodeAddition pw-w2",
        "NodeUpdation pw-cp2",
        "BlueprintUpdation plant-west",
        "BlueprintSync plant-west",
    ];
    assert_eq!(operations(difference), expected);
}

#[test]
fn an_absent_platform_version_keeps_the_running_one() {
    let difference = after(highly_available(), |document| {
        document["spec"]["config"]
            .as_object_mut()
            .unwrap()
            .shift_remove("platformVersion");
    });
    assert_eq!(difference, Ok(Difference::QuietOnly));
    let lower = after(highly_available(), |document| {
        document["spec"]["config"]["platformVersion"] = json!("v0.9.0")
    });
    assert_eq!(refused(lower), ["spec.config.platformVersion"]);
}

#[test]
fn versions_go_up_one_minor_at_a_time() {
    let to = |version: &str| {
        after(single(), |document| {
            document["spec"]["config"]["kubernetesVersion"] = json!(version)
        })
    };
    assert_eq!(operations(to("v1.28.10"))[0], "ClusterUpgrade edge-lab");
    assert_eq!(operations(to("v1.29.0"))[0], "ClusterUpgrade edge-lab");
    for version in ["v1.28.8", "v1.30.0", "v2.0.0"] {
        assert_eq!(refused(to(version)), ["spec.config.kubernetesVersion"]);
    }
}

#[test]
fn what_is_fixed_after_provisioning_is_refused_with_its_path() {
    let difference = after(single(), |document| {
        let config = &mut document["spec"]["config"];
        config["network"]["podSubnet"] = json!("10.250.0.0/16");
        config["network"]["cni"] = json!({"name": "Cilium", "version": "1.16.3"});
        config["nodes"][0]["arch"] = json!("arm64");
        config["nodes"][0]["privateIP"] = json!("192.0.2.99");
    });
    let expected = [
        "spec.config.network.podSubnet",
        "spec.config.network.cni.version",
        "spec.config.network.cni.name",
        "spec.config.nodes[0].arch",
        "spec.config.nodes[0].privateIP",
    ];
    assert_eq!(refused(difference), expected);
}

#[test]
fn the_last_present_control_plane_cannot_be_swapped_for_another() {
    let difference = after(single(), |document| {
        document["spec"]["config"]["nodes"][0]["hostname"] = json!("lab-n9")
    });
    assert_eq!(refused(difference), ["spec.config.nodes"]);
}

#[test]
fn the_same_value_in_another_spelling_changes_no_node() {
    let difference = after(single(), |document| {
        document["spec"]["config"]["nodes"][0]["operatingSystem"] = json!("ubuntu 22.04");
        document["spec"]["config"]["network"]["cni"]["name"] = json!("calico");
    });
    assert_eq!(difference, Ok(Difference::QuietOnly));
}

#[test]
fn before_provisioning_a_correction_starts_the_creation_over() {
    let mut new = single();
    new["spec"]["config"]["nodes"][0]["hostname"] = json!("lab-n9");
    new["spec"]["config"]["network"]["podSubnet"] = json!("10.250.0.0/16");
    let expected = ["ClusterCreation edge-lab", "BlueprintSync edge-lab"];
    assert_eq!(operations(compare(&accept(single()), &accept(new), false)), expected);
    let mut quiet = single();
    quiet["spec"]["config"]["location"] = json!("elsewhere");
    assert_eq!(
        compare(&accept(single()), &accept(quiet), false),
        Ok(Difference::QuietOnly)
    );
}

#[test]
fn another_proxy_credential_reaches_the_nodes() {
    let proxied = |secret: &str| {
        let mut document = single();
        document["spec"]["proxy"] =
            json!({"enabled": true, "httpProxy": "http://p.example.net:3128", "proxyAuth": secret});
        accept(document)
    };
    assert_eq!(
        compare(&proxied("one"), &proxied("one"), true),
        Ok(Difference::NoChange)
    );
    assert_eq!(
        operations(compare(&proxied("one"), &proxied("two"), true)),
        ["ClusterUpdation edge-lab"]
    );
}
