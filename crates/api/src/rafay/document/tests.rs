//! Documents as clients send them: the reference files, and one broken rule at a time.

use serde_json::{Value, json};

use super::*;
use crate::rafay::media;

const SINGLE: &str = include_str!("../../../tests/data/rafay/apply_single_node.json");
const HIGHLY_AVAILABLE: &str = include_str!("../../../tests/data/rafay/apply_ha_dedicated.yaml");
const DUAL_STACK: &str = include_str!("../../../tests/data/rafay/apply_dual_stack.yaml");
const BLUEPRINT_CHANGE: &str = include_str!("../../../tests/data/rafay/apply_blueprint_change.json");
const UPGRADE: &str = include_str!("../../../tests/data/rafay/apply_upgrade.json");

fn value(text: &str) -> Value {
    media::parse(None, text.as_bytes()).expect("the text parses")
}

fn single() -> Value {
    value(SINGLE)
}

fn accept(value: Value) -> Document {
    parse("defaultproject", value).expect("the document is valid")
}

/// The single-node document with one value put at a pointer.
fn with(pointer: &str, new: Value) -> Value {
    edited(single(), pointer, new)
}

fn edited(mut document: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    match document.pointer_mut(parent).expect("the parent exists") {
        Value::Object(fields) => {
            fields.insert(key.to_owned(), new);
        }
        Value::Array(items) => {
            let index: usize = key.parse().expect("an index");
            if index < items.len() {
                items[index] = new
            } else {
                items.push(new)
            }
        }
        _ => panic!("the parent holds nothing"),
    }
    document
}

fn problems(value: Value) -> Vec<String> {
    let problems = parse("defaultproject", value).expect_err("the document is refused");
    problems.iter().map(Problem::to_string).collect()
}

fn assert_refused(pointer: &str, new: Value, expected: &str) {
    let found = problems(with(pointer, new));
    assert!(
        found.iter().any(|problem| problem.contains(expected)),
        "{expected:?} is missing in {found:?}"
    );
}

fn assert_accepted(pointer: &str, new: Value) -> Document {
    accept(with(pointer, new))
}

fn worker(hostname: &str, address: &str) -> Value {
    json!({"hostname": hostname, "operatingSystem": "Ubuntu22.04", "arch": "amd64", "privateIP": address, "roles": ["Worker"]})
}

#[test]
fn every_reference_request_is_accepted_and_its_echo_is_accepted_again() {
    for text in [SINGLE, HIGHLY_AVAILABLE, DUAL_STACK, BLUEPRINT_CHANGE, UPGRADE] {
        let first = accept(value(text));
        assert!(first.ignored.is_empty() && first.warnings.is_empty());
        let again = accept(first.details.clone());
        assert_eq!(first.details.to_string(), again.details.to_string());
        assert_eq!(diff::compare(&first, &again, true), Ok(diff::Difference::NoChange));
    }
}

#[test]
fn the_echo_of_json_requests_is_what_was_sent() {
    for text in [SINGLE, BLUEPRINT_CHANGE, UPGRADE] {
        assert_eq!(accept(value(text)).details.to_string(), value(text).to_string());
    }
}

#[test]
fn the_core_gets_what_it_needs() {
    let document = accept(value(HIGHLY_AVAILABLE));
    assert_eq!(
        (document.name.as_str(), document.display_name.as_str()),
        ("plant-west", "plant-west")
    );
    assert_eq!(document.kubernetes_version, "v1.28.9");
    assert!(document.auto_approve_nodes);
    assert_eq!(document.installer_ttl_days, 365);
    let storage = &document.nodes[3];
    assert_eq!(
        (storage.hostname.as_str(), storage.private_ip.as_str()),
        ("pw-infra1", "192.0.2.31")
    );
    assert!(storage.worker && storage.storage && !storage.control_plane);
    assert_eq!(storage.interface.as_deref(), Some("ens192"));
    assert_eq!(accept(value(DUAL_STACK)).installer_ttl_days, 30);
}

#[test]
fn numbers_that_should_be_text_and_the_reverse_are_put_right() {
    let echo = accept(value(DUAL_STACK)).details;
    assert_eq!(echo["spec"]["config"]["nodes"][0]["ssh"]["port"], "22");
    assert_eq!(
        echo["spec"]["config"]["kubernetesUpgrade"]["params"]["workerConcurrency"],
        "1"
    );
    assert_eq!(
        assert_accepted("/spec/config/installerTtl", json!("30")).details["spec"]["config"]["installerTtl"],
        30
    );
    let labels = assert_accepted("/spec/config/nodes/0/labels", json!({"a": 1, "b": true, "c": ""})).details;
    assert_eq!(
        labels["spec"]["config"]["nodes"][0]["labels"],
        json!({"a": "1", "b": "true", "c": ""})
    );
    assert_refused(
        "/spec/config/autoApproveNodes",
        json!("true"),
        "spec.config.autoApproveNodes: must be true or false",
    );
}

#[test]
fn older_names_are_read_and_never_written() {
    let mut document = single();
    let node = document["spec"]["config"]["nodes"][0].as_object_mut().unwrap();
    let address = node.shift_remove("privateIP").unwrap();
    node.insert("privateip".into(), address);
    let spec = document["spec"].as_object_mut().unwrap();
    let blueprint = spec.shift_remove("blueprint").unwrap();
    spec.insert("blueprintConfig".into(), blueprint);
    assert_eq!(accept(document).details.to_string(), single().to_string());
    assert_refused(
        "/spec/blueprintConfig",
        json!({"name": "minimal"}),
        "spec.blueprintConfig: is another name of blueprint",
    );
}

#[test]
fn unknown_keys_inside_spec_are_named_and_dropped() {
    let document = edited(
        with("/spec/config/foo", json!(1)),
        "/spec/config/nodes/0/dedicatedMastersEnabled",
        json!(true),
    );
    let document = accept(edited(document, "/metadata/createdBy", json!("someone")));
    assert_eq!(
        document.ignored,
        ["spec.config.nodes[0].dedicatedMastersEnabled", "spec.config.foo"]
    );
    assert_eq!(document.details.to_string(), single().to_string());
}

#[test]
fn null_and_empty_mean_not_set() {
    let document = edited(with("/spec/proxy", json!({})), "/spec/config/ssh", Value::Null);
    let document = edited(
        edited(document, "/spec/config/highAvailability", json!(false)),
        "/metadata/annotations",
        json!({}),
    );
    assert_eq!(accept(document).details.to_string(), single().to_string());
    assert_refused(
        "/spec/config/kubernetesVersion",
        json!(""),
        "spec.config.kubernetesVersion: is required",
    );
}

#[test]
fn what_the_path_says_need_not_be_repeated() {
    let mut document = single();
    document
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key == "metadata" || key == "spec");
    document["metadata"].as_object_mut().unwrap().shift_remove("project");
    document["spec"].as_object_mut().unwrap().shift_remove("type");
    assert_eq!(accept(document).details, single());
    assert_refused("/metadata/project", json!("other"), "metadata.project: differs");
    assert_refused("/kind", json!("cluster"), "kind: \"cluster\" is not \"Cluster\"");
    assert_refused("/spec/type", json!("aks"), "spec.type: \"aks\" is not supported");
}

#[test]
fn secrets_are_handed_out_and_leave_no_trace_in_echo_or_debug_output() {
    let document = edited(
        with("/spec/config/ssh", json!({"username": "ops", "passphrase": "hush-1"})),
        "/spec/config/nodes/0/ssh/passphrase",
        json!("hush-2"),
    );
    let proxy = json!({"enabled": true, "httpProxy": "http://proxy.example.net:3128", "proxyAuth": "hush-3"});
    let document = accept(edited(document, "/spec/proxy", proxy));
    assert!(!document.details.to_string().contains("hush"));
    assert!(!format!("{document:?}").contains("hush"));
    assert_eq!(
        document.secrets.cluster_passphrase.as_ref().map(Secret::expose),
        Some("hush-1")
    );
    assert_eq!(
        document.secrets.node_passphrases,
        [("lab-n1".to_owned(), Secret::new("hush-2"))]
    );
    assert_eq!(document.secrets.proxy_auth.as_ref().map(Secret::expose), Some("hush-3"));
    let mut later = accept(document.details.clone());
    assert_eq!(diff::compare(&document, &later, true), Ok(diff::Difference::NoChange));
    later.secrets.inherit(&document.secrets, &["lab-n1"]);
    assert_eq!(later.secrets, document.secrets);
}

#[test]
fn all_problems_of_a_document_are_told_at_once() {
    let document = edited(
        with("/spec/config/kubernetesVersion", json!("1.28")),
        "/spec/config/network/podSubnet",
        json!("10.244.0.0/99"),
    );
    let document = edited(document, "/spec/config/nodes/0/roles/1", json!("Banana"));
    let document = edited(document, "/spec/config/nodes/1", worker("lab-n1", "192.0.2.12"));
    assert_eq!(
        problems(document),
        [
            "spec.config.kubernetesVersion: \"1.28\" must look like v1.28.9",
            "spec.config.network.podSubnet: \"10.244.0.0/99\" is not an IPv4 CIDR",
            "spec.config.nodes[0].roles[1]: \"Banana\" is not one of ControlPlane, Worker, Storage",
            "spec.config.nodes[1].hostname: \"lab-n1\" is already used by nodes[0]",
        ]
    );
}

#[test]
fn no_problem_repeats_the_words_that_mean_gone() {
    for words in ["Not Found", "it does not exist", "code 404"] {
        let document = edited(
            with("/spec/blueprint/name", json!(words)),
            "/spec/config/nodes/0/labels",
            json!({words: words}),
        );
        let text = problems(edited(document, "/metadata/name", json!(words)))
            .join("; ")
            .to_lowercase();
        assert!(
            !["not found", "does not exist", "code 404"]
                .iter()
                .any(|taboo| text.contains(taboo)),
            "{text}"
        );
    }
}

#[test]
fn names_are_lower_case_labels() {
    for name in ["a", "0-a", &"a".repeat(63)] {
        assert_accepted("/metadata/name", json!(name));
    }
    for name in ["A", "a_b", "a.b", "a b", "a/b", "-a", "a-", &"a".repeat(64)] {
        assert_refused("/metadata/name", json!(name), "metadata.name:");
    }
    assert_refused("/metadata/name", json!(""), "metadata.name: is required");
    assert_refused(
        "/metadata/description",
        json!("x".repeat(1025)),
        "metadata.description: is longer",
    );
    assert_refused(
        "/metadata/labels",
        json!({"a b": "c"}),
        "metadata.labels: \"a b\" is not a label key",
    );
}

#[test]
fn subnets_keep_to_the_limits_of_kubernetes() {
    let refused = [
        ("podSubnet", "10.244.0.0", "is not an IPv4 CIDR"),
        ("podSubnet", "2001:db8::/56", "is not an IPv4 CIDR"),
        ("podSubnet", "10.244.0.5/16", "has host bits set"),
        ("podSubnet", "10.244.0.0/24", "is not between /8 and /23"),
        ("serviceSubnet", "10.0.0.0/11", "is not between /12 and /24"),
        ("serviceSubnet", "10.244.128.0/20", "overlaps podSubnet"),
        ("podSubnet", "127.0.0.0/16", "is a loopback"),
        ("podSubnet", "192.0.2.0/23", "lies inside network.podSubnet"),
    ];
    for (key, subnet, expected) in refused {
        assert_refused(&format!("/spec/config/network/{key}"), json!(subnet), expected);
    }
    assert_refused(
        "/spec/config/network/nameservers",
        json!(["192.0.2.2", "192.0.2.2"]),
        "nameservers[1]: \"192.0.2.2\" is there twice",
    );
    assert_refused(
        "/spec/config/network/cni/name",
        json!("Canal"),
        "is not one of Calico, Cilium",
    );
    assert_refused(
        "/spec/config/network/cni/version",
        json!("v3.26.1"),
        "must look like 3.26.1",
    );
    assert_refused(
        "/spec/config/network/ipv6",
        json!({"podSubnet": "2001:db8::/64"}),
        "is not between /48 and /63",
    );
}

#[test]
fn overlapping_ipv6_subnets_are_only_remarked_on() {
    let pair = json!({"podSubnet": "2001:db8:42:0::/56", "serviceSubnet": "2001:db8:42:1::/112"});
    assert_eq!(assert_accepted("/spec/config/network/ipv6", pair).warnings.len(), 1);
}

#[test]
fn a_pod_subnet_must_have_a_block_for_every_node() {
    let document = with("/spec/config/network/podSubnet", json!("10.244.0.0/23"));
    let document = edited(document, "/spec/config/nodes/1", worker("lab-n2", "192.0.2.12"));
    accept(document.clone());
    let found = problems(edited(document, "/spec/config/nodes/2", worker("lab-n3", "192.0.2.13")));
    assert_eq!(
        found,
        ["spec.config.network.podSubnet: has room for 2 nodes of /24 each, there are 3"]
    );
}

#[test]
fn the_number_of_control_planes_fits_the_kind_of_cluster() {
    assert_refused(
        "/spec/config/highAvailability",
        json!(true),
        "highAvailability needs at least 3",
    );
    assert_refused(
        "/spec/config/nodes/0/roles",
        json!(["Worker"]),
        "needs at least one node with role ControlPlane",
    );
    assert_refused(
        "/spec/config/nodes",
        json!([]),
        "spec.config.nodes: needs at least one entry",
    );
    assert_refused(
        "/spec/config/dedicatedControlPlane",
        json!(true),
        "cannot be both ControlPlane and Worker",
    );
    let mut document = value(HIGHLY_AVAILABLE);
    document["spec"]["config"]["highAvailability"] = json!(false);
    assert!(problems(document)[0].contains("exactly 1 ControlPlane node, not 3"));
    let mut even = value(HIGHLY_AVAILABLE);
    even["spec"]["config"]["nodes"][4]["roles"] = json!(["ControlPlane"]);
    assert!(problems(even)[0].contains("odd number"));
}

#[test]
fn nodes_are_checked_field_by_field() {
    let refused = [
        ("hostname", json!("Lab_N1"), "is not a lower-case host name"),
        ("operatingSystem", json!("Windows2022"), "is not one of Ubuntu20.04"),
        ("arch", json!("x86_64"), "is not one of amd64, arm64"),
        ("privateIP", json!("fe80::1"), "is not an IPv4 address"),
        ("interface", json!("much-too-long-name"), "is not an interface name"),
        ("roles", json!(["Master"]), "use ControlPlane"),
        ("roles", json!(["ControlPlane", "ControlPlane"]), "is there twice"),
        (
            "taints",
            json!([{"key": "a", "effect": "Never"}]),
            "is not one of NoSchedule",
        ),
        (
            "taints",
            json!([{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute"}]),
            "taints[1]: repeats",
        ),
        ("kubeletExtraArgs", json!({"--max-pods": "9"}), "without leading dashes"),
        (
            "kubeletConfigurationOverrides",
            json!("- a\n"),
            "must be the text of a YAML mapping",
        ),
        ("ssh", json!({"port": 65536}), "is not a port"),
    ];
    for (key, new, expected) in refused {
        assert_refused(&format!("/spec/config/nodes/0/{key}"), new, expected);
    }
    assert_accepted("/spec/config/nodes/0/operatingSystem", json!("ubuntu 22.04"));
}

#[test]
fn upgrades_placement_and_the_rest_are_checked() {
    assert_refused(
        "/spec/config/kubernetesUpgrade",
        json!({"strategy": "concurrent"}),
        "workerConcurrency: is required",
    );
    let upgrade = |text: &str| json!({"strategy": "concurrent", "params": {"workerConcurrency": text}});
    assert_refused(
        "/spec/config/kubernetesUpgrade",
        upgrade("101%"),
        "neither a positive integer",
    );
    assert_accepted("/spec/config/kubernetesUpgrade", upgrade("100%"));
    assert_refused(
        "/spec/config/installerTtl",
        json!(0),
        "0 is not between 1 and 3650 days",
    );
    assert_refused("/spec/blueprint/name", json!("default-aks"), "unknown blueprint");
    assert_refused(
        "/spec/proxy",
        json!({"enabled": true}),
        "spec.proxy.httpProxy: is required",
    );
    assert_refused(
        "/spec/sharing",
        json!({"enabled": true, "projects": [{"name": "defaultproject"}]}),
        "owns the cluster",
    );
    assert_refused(
        "/spec/drift",
        json!({"enabled": true, "action": "Shrug"}),
        "is not one of Notify, Deny",
    );
    let placement = |toleration: Value| json!({"nodeSelector": {"rack": "b7"}, "tolerations": [toleration]});
    assert_refused(
        "/spec/systemComponentsPlacement",
        placement(json!({"operator": "Equal", "value": "x"})),
        "only with operator Exists",
    );
    assert_refused(
        "/spec/systemComponentsPlacement",
        placement(json!({"operator": "Exists", "value": "x"})),
        "must be empty",
    );
    assert_refused(
        "/spec/systemComponentsPlacement",
        json!({"nodeSelector": {"rack": "z"}}),
        "matches no node",
    );
    let zero = json!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0});
    let echo = assert_accepted("/spec/systemComponentsPlacement", placement(zero.clone())).details;
    assert_eq!(echo["spec"]["systemComponentsPlacement"]["tolerations"][0], zero);
    assert_refused(
        "/spec/config/controlPlaneOverrides",
        json!({"kubeScheduler": {"extraVolumes": "- path: /x"}}),
        "list of mappings with a name",
    );
}

#[test]
fn a_server_can_narrow_what_it_offers_and_still_read_what_it_stored() {
    let catalog = Catalog {
        kubernetes_versions: vec!["v1.30.1".into()],
        ..Catalog::default()
    };
    let found = parse_with(&catalog, "defaultproject", single()).unwrap_err();
    assert_eq!(found[0].message, "\"v1.28.9\" is not one of v1.30.1");
    assert!(restore("defaultproject", &single()).is_some());
    assert!(restore("defaultproject", &json!([])).is_none());
}

#[test]
fn unknown_keys_are_named_in_a_form_that_a_header_can_carry() {
    let hostile = "a\r\nSet-Cookie: \"é".to_owned() + &"x".repeat(200);
    let mut network = single()["spec"]["config"]["network"].clone();
    network[hostile.as_str()] = json!(1);
    let named = &assert_accepted("/spec/config/network", network).ignored[0];
    assert!(
        named.starts_with("spec.config.network.a??Set-Cookie:???x") && named.len() < 100,
        "{named}"
    );
    let many = (0..1000).map(|number| (format!("key{number}"), json!(1)));
    let blueprint: Map<String, Value> = many.chain([("name".to_owned(), json!("minimal"))]).collect();
    assert_eq!(assert_accepted("/spec/blueprint", blueprint.into()).ignored.len(), 32);
}
