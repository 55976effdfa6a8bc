//! Templates in, clusters or problems out: the example of the specification, then each rule by itself.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;

/// The example of section 12.9.
const DEMO: &str = "
[cluster demo]
MaxCount = 40
MaxCoreCount = 1000

    [[node defaults]]
    Region = westus2
    SubnetId = rg/vnet/compute
    Credentials = cloud

    [[node scheduler]]
    MachineType = Standard_D8s_v5
        [[[configuration]]]
        slurm.role = scheduler

    [[nodearray htc]]
    MachineType = Standard_F4s_v2, Standard_F16s_v2
    MaxCoreCount = $MaxHtcCores
        [[[configuration autoscale.resources]]]
        slot_type = htc
        [[[configuration cyclecloud.hosts]]]
        standalone_dns.enabled = false

    [[nodearray hpc]]
    MachineType = Standard_HC44rs
    MaxCount = 8
    Azure.MaxScalesetSize = 5
        [[[configuration slurm]]]
        autoscale = true
        hpc = true

    [[nodearray spot]]
    Extends = htc
    MachineType = Standard_F8s_v2
    MaxCoreCount := undefined
    MaxCount = 10
    Interruptible = true
    MaxPrice = -1
    Priority = 2

    [[nodearray login]]
    MachineType = Standard_D4s_v5
    MaxCount = 2
    InitialCount = 1
        [[[configuration]]]
        autoscale.enabled = false

[parameters Scaling]
    [[parameters Limits]]
        [[[parameter MaxHtcCores]]]
        DefaultValue = 200
";

fn map(json: Json) -> Map<String, Json> {
    json.as_object().cloned().expect("an object literal")
}

#[track_caller]
fn resolved(text: &str, parameters: Json) -> ClusterTemplate {
    let document = parse(text).unwrap_or_else(|problems| panic!("parse: {problems:?}"));
    resolve(&document, None, "demo", &map(parameters)).unwrap_or_else(|problems| panic!("resolve: {problems:?}"))
}

/// Resolves the lines as attributes and sections of one nodearray `a` that has a size in line 3.
#[track_caller]
fn array(lines: &str, parameters: Json) -> NodeTemplate {
    resolved(
        &format!("[cluster c]\n[[nodearray a]]\nMachineType = M\n{lines}"),
        parameters,
    )
    .nodes
    .remove(0)
}

/// The one attribute `X` of a nodearray, written as `X` and the rest of a line.
#[track_caller]
fn attribute(rest: &str, parameters: Json) -> Option<Json> {
    array(&format!("X {rest}"), parameters).attributes.get("X").cloned()
}

fn problems(text: &str, parameters: Json) -> Vec<Problem> {
    match parse(text) {
        Ok(document) => resolve(&document, None, "demo", &map(parameters)).expect_err("a problem"),
        Err(problems) => problems,
    }
}

#[track_caller]
fn check_problems(text: &str, expected: &[(u32, u32, &str)]) {
    let found = problems(text, json!({}));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (problem, (line, column, message)) in found.iter().zip(expected) {
        assert_eq!((problem.line, problem.column), (*line, *column), "{problem}");
        assert!(problem.message.contains(message), "{problem} does not say {message:?}");
    }
}

fn keys(record: &Map<String, Json>) -> Vec<&str> {
    record.keys().map(String::as_str).collect()
}

#[test]
fn the_example_gives_the_records_of_the_example_status() {
    let cluster = resolved(DEMO, json!({}));
    assert_eq!((cluster.max_count, cluster.max_core_count), (Some(40), Some(1000)));
    assert_eq!(cluster.warnings, Vec::<String>::new());
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["scheduler", "htc", "hpc", "spot", "login"]);
    let base = json!({ "Region": "westus2", "SubnetId": "rg/vnet/compute", "Credentials": "cloud" });
    let htc_configuration = json!({
        "autoscale": { "resources": { "slot_type": "htc" } },
        "cyclecloud": { "hosts": { "standalone_dns": { "enabled": false } } },
    });
    // In the example status `spot` stands alone with a configuration of its own; in the template it inherits the
    // one of `htc`. Name, ClusterName and TargetState of the records are not the template's to say.
    let declared = [
        json!({ "MachineType": "Standard_D8s_v5", "Configuration": { "slurm": { "role": "scheduler" } } }),
        json!({
            "MachineType": ["Standard_F4s_v2", "Standard_F16s_v2"], "MaxCoreCount": 200,
            "Configuration": htc_configuration.clone(),
        }),
        json!({
            "MachineType": "Standard_HC44rs", "MaxCount": 8, "Azure": { "MaxScalesetSize": 5 },
            "Configuration": { "slurm": { "autoscale": true, "hpc": true } },
        }),
        json!({
            "MachineType": "Standard_F8s_v2", "Configuration": htc_configuration, "MaxCount": 10,
            "Interruptible": true, "MaxPrice": -1, "Priority": 2,
        }),
        json!({
            "MachineType": "Standard_D4s_v5", "MaxCount": 2, "InitialCount": 1,
            "Configuration": { "autoscale": { "enabled": false } },
        }),
    ];
    for (node, declared) in cluster.nodes.iter().zip(declared) {
        let mut expected = map(base.clone());
        expected.extend(map(declared));
        // Compared as text, so that the order counts too.
        let text = |record: &Map<String, Json>| serde_json::to_string(record).expect("JSON");
        assert_eq!(text(&node.attributes), text(&expected), "{}", node.name);
    }
}

#[test]
fn the_example_tells_kinds_sizes_and_lines() {
    let cluster = resolved(DEMO, json!({ "maxhtccores": "64" }));
    let scheduler = &cluster.nodes[0];
    assert_eq!(
        (scheduler.kind, scheduler.line, scheduler.machine_type_line),
        (NodeKind::Standalone, 11, 12)
    );
    let htc = &cluster.nodes[1];
    assert_eq!((htc.kind, htc.line, htc.machine_type_line), (NodeKind::Array, 16, 17));
    assert_eq!(htc.machine_types, ["Standard_F4s_v2", "Standard_F16s_v2"]);
    assert_eq!(htc.attributes["MaxCoreCount"], json!(64));
    assert!(!cluster.nodes[3].attributes.contains_key("MaxCoreCount"));
}

#[test]
fn values_become_what_they_look_like() {
    let rows = [
        ("= True", json!(true)),
        ("= 10", json!(10)),
        ("= -1", json!(-1)),
        ("= 1.5", json!(1.5)),
        ("= 10m", json!("10m")),
        ("= 007", json!("007")),
        ("= 22.05.8", json!("22.05.8")),
        ("= a, b", json!("a, b")),
        ("= a = b # c", json!("a = b # c")),
        (r#"= "10""#, json!("10")),
        (r#"= " a\tb\"\x""#, json!(" a\tb\"\\x")),
        (r#"= "a" or "b""#, json!("\"a\" or \"b\"")),
        ("= $5", json!("$5")),
        (":= 1 + 2", json!(3)),
        ("= =1 + 2", json!(3)),
        ("= ${strcat(\"}\", size({1, 2}))}", json!("}2")),
        ("= ${7 > 2}", json!(true)),
        ("= x-${ClusterName}-${1 + 1}.y", json!("x-demo-2.y")),
        ("= $ClusterName", json!("demo")),
        (":= [a = 1; b = {2, undefined}]", json!({ "a": 1, "b": [2] })),
    ];
    for (text, expected) in rows {
        assert_eq!(attribute(text, json!({})), Some(expected), "X {text}");
    }
    for text in ["=", ":=", ":= undefined", "= =undefined", "= $Missing", "= ${Missing}"] {
        assert_eq!(attribute(text, json!({})), None, "X {text}");
    }
}

#[test]
fn strings_over_several_lines_keep_their_lines() {
    assert_eq!(attribute("= '''a'''", json!({})), Some(json!("a")));
    assert_eq!(
        attribute("= '''a\n  # b ${c}\n\n[d]'''", json!({})),
        Some(json!("a\n  # b ${c}\n\n[d]"))
    );
    assert_eq!(attribute("= '''\r\na\r\n'''\r\nY = 1", json!({})), Some(json!("a\n")));
}

#[test]
fn comments_blanks_case_and_order_are_free() {
    let text =
        "\u{feff}# note\n  [ClusteR c]\n\t[[NodeArray a]]\n   machinetype=M\n # x = y\nmaxcount=1\nMAXCOUNT =  2\n";
    let node = resolved(text, json!({})).nodes.remove(0);
    assert_eq!(
        Json::Object(node.attributes),
        json!({ "MachineType": "M", "MaxCount": 2, "Configuration": {} })
    );
}

#[test]
fn parameters_keep_their_types_except_where_the_attribute_has_one() {
    let given = json!({ "P": "12", "Flag": true, "Text": "true", "Sizes": "A, B,A", "Empty": "", "Null": null });
    assert_eq!(attribute("= $p", given.clone()), Some(json!("12")));
    assert_eq!(attribute("= $Null", given.clone()), None);
    let text = "MaxCount = $P\nInitialCount = $Flag\nKeepAlive = $Text\nMachineType = $Sizes\nMaxPrice = 0.50\n\
        MaxCoreCount = $Empty\nZone = 1\nTags.cost.center = 7\nShutdownPolicy = deallocate\nPriority = $Null";
    let node = array(text, given);
    assert_eq!(node.machine_types, ["A", "B"]);
    assert_eq!(node.machine_type_line, 7);
    let expected = json!({
        "MachineType": ["A", "B"], "MaxCount": 12, "InitialCount": 1, "KeepAlive": true, "MaxPrice": 0.5, "Zone": "1",
        "Tags": { "cost.center": "7" }, "ShutdownPolicy": "Deallocate", "Configuration": {},
    });
    assert_eq!(Json::Object(node.attributes), expected);
}

#[test]
fn configuration_is_not_typed_as_attributes_are_and_has_no_null() {
    let node = array(
        "[[[configuration]]]\nMaxCount = x\nlist = $L\n[[[configuration a.b]]]\nc = 5",
        json!({ "L": { "x": null, "y": [null] } }),
    );
    let expected = json!({ "MaxCount": "x", "list": { "y": [] }, "a": { "b": { "c": 5 } } });
    assert_eq!(node.attributes["Configuration"], expected);
}

#[test]
fn defaults_of_parameters_can_need_each_other() {
    let forms = "[parameters P]\n[[[parameter A]]]\nDefaultValue := B + 1\nConfig.Template := form(only\n\
        [[[parameter B]]]\nDefaultValue = ${C * 2}\n[[[parameter C]]]\nDefaultValue = 5\n[[[[list x]]]]\ny\u{20}= (";
    let text = format!("[cluster c]\n[[node a]]\nMachineType = M\nX = $A\n{forms}");
    assert_eq!(resolved(&text, json!({})).nodes[0].attributes["X"], json!(11));
    assert_eq!(resolved(&text, json!({ "c": 1 })).nodes[0].attributes["X"], json!(3));
    let circle =
        "[cluster c]\n[parameters P]\n[[[parameter A]]]\nDefaultValue = $B\n[[[parameter B]]]\nDefaultValue = $A";
    check_problems(circle, &[(4, 16, "depends on itself")]);
}

#[test]
fn later_sections_and_descendants_win_and_records_merge() {
    let text = "[cluster c]
        [[nodearray child]]
        Extends = left, right
        Azure.Three = 3
            [[[configuration slurm]]]
            hpc = true
        [[node defaults]]
        Region = north
        Azure.One = 1
        Zone = 1
        [[nodearray left]]
        Abstract = true
        MachineType = L
        Azure.Two = 2
        Azure.One =
            [[[configuration]]]
            slurm.hpc = false
            slurm.partition = p
        [[node right]]
        Extends = defaults
        MachineType = R
        Zone = 2";
    let cluster = resolved(text, json!({}));
    assert_eq!(
        cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["child", "right"]
    );
    let expected = json!({
        "Region": "north", "Azure": { "One": 1, "Two": 2, "Three": 3 }, "Zone": "2", "MachineType": "R",
        "Configuration": { "slurm": { "hpc": true, "partition": "p" } },
    });
    assert_eq!(Json::Object(cluster.nodes[0].attributes.clone()), expected);
    assert_eq!((cluster.nodes[0].line, cluster.nodes[0].machine_type_line), (2, 21));
    assert_eq!(
        keys(&cluster.nodes[1].attributes),
        ["Region", "Azure", "Zone", "MachineType", "Configuration"]
    );
}

#[test]
fn removing_the_last_member_removes_the_record() {
    let node = array(
        "Azure.MaxScalesetSize = 5\nAzure.MaxScalesetSize :=\nA.B.C = 1\nA.B.C =\nA.D =",
        json!({}),
    );
    assert_eq!(keys(&node.attributes), ["MachineType", "Configuration"]);
}

#[test]
fn init_scripts_are_collected_and_other_sections_kept() {
    let text = "
            [[[cluster-init site/base:1.0]]]
            Optional = true
            Script = '''
                #!/bin/sh
                if true; then
                    echo ${HOME}
                fi
            '''
            [[[cluster-init quick]]]
            Script = \"echo \\\"hi\\\"\"
            [[[cluster-init none]]]
            [[[volume boot.disk]]]
            Size = 30
            [[[network-interface eth0]]]
            AssociatePublicIpAddress = false
            [[[input-endpoint ssh]]]
            PrivatePort = 22
            [[[volume]]]";
    let node = array(text, json!({}));
    let script = "#!/bin/sh\nif true; then\n    echo ${HOME}\nfi\n";
    let expected = [("site/base:1.0", script), ("quick", "echo \"hi\"")];
    assert_eq!(
        node.scripts,
        expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
    );
    let expected = json!({
        "MachineType": "M",
        "ClusterInitSpecs": { "site/base:1.0": { "Optional": true }, "quick": {}, "none": {} },
        "Volumes": { "boot.disk": { "Size": 30 } },
        "NetworkInterfaces": { "eth0": { "AssociatePublicIpAddress": false } },
        "InputEndpoints": { "ssh": { "PrivatePort": 22 } },
        "Configuration": {},
    });
    assert_eq!(Json::Object(node.attributes), expected);
}

#[test]
fn an_inherited_script_can_be_replaced_or_removed() {
    let text = "[cluster c]\n[[node defaults]]\nMachineType = M\n[[[cluster-init a]]]\nScript = \"1\"\n[[[cluster-init b]]]\n\
        Script = \"2\"\n[[node n]]\n[[[cluster-init b]]]\nScript =\n[[[cluster-init a]]]\nscript = \"3\"";
    let node = resolved(text, json!({})).nodes.remove(0);
    assert_eq!(node.scripts, [("a".to_owned(), "3".to_owned())]);
    assert_eq!(node.attributes["ClusterInitSpecs"], json!({ "a": {}, "b": {} }));
}

#[test]
fn what_is_ignored_is_said() {
    let text = "[cluster c]\n[[node n]]\nMachineType = A, B\nX = $Missing\nY = a${Missing}\n[[[surprise s]]]\nz := (\n\
        [[[[list l]]]]\n[[gadget g]]\n[environment e]\nq = (\n[noderef r]";
    let cluster = resolved(text, json!({ "Given": 1 }));
    let expected = [
        "line 6: the section [[[surprise s]]] is unknown here and is ignored",
        "line 9: the section [[gadget g]] is unknown here and is ignored",
        "the parameter Given is given but not declared",
        "line 4: the parameter Missing is neither declared nor given",
        "line 5: an undefined value is inserted as nothing",
        "line 3: the node n uses only the first size of several",
    ];
    assert_eq!(cluster.warnings, expected);
    assert_eq!(cluster.nodes[0].attributes["MachineType"], json!("A"));
    assert_eq!(cluster.nodes[0].machine_types, ["A"]);
}

#[test]
fn problems_of_form_are_all_told_with_their_place() {
    let text = "loose = 1\n[[node n]]\n[cluster c]\nno attribute\n  = 3\na..b = 1\n[[node x]\n[[node]]\n[[node x]]\n\
        [[nodearray X]]\n[[[[[deep d]]]]]\n   Y := 1 +\nZ = a ${(} b\nQ = \"open\nW = '''open\nV = 1";
    check_problems(
        text,
        &[
            (1, 1, "in no section"),
            (2, 1, "belongs to no section"),
            (4, 1, "expected a section"),
            (5, 3, "not the name"),
            (6, 1, "not the name"),
            (7, 1, "opens with 2 brackets and closes with 1"),
            (8, 1, "no name"),
            (10, 1, "already used in line 9"),
            (11, 1, "at most 4"),
            (12, 12, "expected a value"),
            (13, 10, "expected a value"),
            (14, 5, "not closed"),
            (15, 1, "not closed"),
        ],
    );
    check_problems(
        "[cluster c]\n[[node n]]\nA = é${ x\nB = '''a'''b",
        &[(3, 6, "not closed"), (4, 1, "after the closing")],
    );
    check_problems(
        &format!("[cluster c]\n{} = 1", vec!["a"; 40].join(".")),
        &[(2, 1, "32 parts")],
    );
}

#[test]
fn problems_of_content_are_all_told_with_their_place() {
    let text = "[cluster c]\nMaxCount = many\n[[nodearray a]]\nMaxCount = -1\n[[node b]]\nExtends = a, nobody\nMachineType =\n\
        [[node d]]\nMachineType = M\nX := 1 / 0\nKeepAlive = perhaps\nShutdownPolicy = Explode\nRegion := {1}";
    check_problems(
        text,
        &[
            (2, 12, "must be a whole number"),
            (3, 1, "the nodearray a has no MachineType"),
            (4, 12, "must be a whole number"),
            (6, 11, "extends nobody, which does not exist"),
            (7, 1 + 13, "the node b has no MachineType"),
            (10, 6, "division by zero"),
            (11, 13, "true or false"),
            (12, 18, "Terminate or Deallocate"),
            (13, 11, "must be a string"),
        ],
    );
}

#[test]
fn cycles_are_told_once_and_endless_families_refused() {
    let text = "[cluster c]\n[[node a]]\nExtends = b\n[[node b]]\nExtends = c\n[[node c]]\nExtends = b\n[[node s]]\nExtends = s";
    check_problems(
        text,
        &[
            (5, 11, "b extends itself: b -> c -> b"),
            (9, 11, "s extends itself: s -> s"),
        ],
    );
    let mut doubling = "[cluster c]\n[[node n0]]\nMachineType = M\n".to_owned();
    for index in 1..50 {
        let parent = index - 1;
        // Twice by a detour, as the same name twice in one list counts once.
        doubling +=
            &format!("[[node m{index}]]\nExtends = n{parent}\n[[node n{index}]]\nExtends = n{parent}, m{index}\n");
    }
    let found = problems(&doubling, json!({}));
    assert!(
        found.iter().all(|problem| problem.message.contains("too many")),
        "{found:?}"
    );
}

#[test]
fn the_cluster_is_chosen_by_name_or_is_the_only_one() {
    let two = parse("[cluster One]\nMaxCount = 1\n[cluster two]\nMaxCount = 2").expect("a template");
    assert_eq!(two.cluster_names().collect::<Vec<_>>(), ["One", "two"]);
    let chosen = resolve(&two, Some("TWO"), "mine", &Map::new()).expect("a cluster");
    assert_eq!((chosen.name.as_str(), chosen.max_count), ("mine", Some(2)));
    let refused = |section| {
        resolve(&two, section, "mine", &Map::new())
            .expect_err("a problem")
            .remove(0)
    };
    assert!(refused(None).message.contains("several"));
    assert_eq!(refused(None).line, 3);
    assert!(refused(Some("three")).message.contains("no section [cluster three]"));
    check_problems("# nothing", &[(1, 1, "no [cluster NAME]")]);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[cluster c]\n",
        "[[node defaults]]\n",
        "[[node n]]\n",
        "[[nodearray a]]\n",
        "[[[configuration x.y]]]\n",
        "[[[cluster-init s]]]\n",
        "[[[parameter P]]]\n",
        "[parameters]\n",
        "MachineType = ",
        "Extends = ",
        "Script = ",
        "DefaultValue = ",
        "a.b",
        " = ",
        " := ",
        "$P",
        "${",
        "}",
        "'''",
        "\"",
        "n, a",
        "M",
        "1",
        "\n",
        "[[",
        "]]",
        "#",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_template_panic(text in prop_oneof![any::<String>(), pieces()]) {
        if let Ok(document) = parse(&text) {
            let _ = resolve(&document, None, "demo", &map(json!({ "P": { "a": [1, null] } })));
            let _ = resolve(&document, Some("c"), "demo", &Map::new());
        }
    }
}
