//! The CycleCloud dialect from its callers' side: the life of one cluster, and what is refused, as golden transcripts.

use expect_test::expect_file;
use reeve_provider::fake;
use serde_json::Value;

use crate::{
    transcript::Transcript,
    world::{Answer, World, worlds, worlds_in},
};

/// A scheduler, an array of two sizes, one with placement groups, one that is deallocated instead of terminated.
const TEMPLATE: &str = "\
[cluster demo]
MaxCount = 40

    [[node defaults]]
    Abstract = true
    Region = westus2
    SubnetId = rg/vnet/compute
    Credentials = fake

    [[node scheduler]]
    Extends = defaults
    MachineType = Standard_D8s_v5

    [[nodearray htc]]
    Extends = defaults
    MachineType = Standard_F4s_v2, Standard_F16s_v2
    MaxCoreCount = $MaxHtcCores
        [[[configuration autoscale.resources]]]
        slot_type = htc

    [[nodearray hpc]]
    Extends = defaults
    MachineType = Standard_HC44rs
    MaxCount = 8
    Azure.MaxScalesetSize = 2
    ShutdownPolicy = Deallocate
        [[[configuration slurm]]]
        autoscale = true
        hpc = true

[parameters Scaling]
    [[parameters Limits]]
        [[[parameter MaxHtcCores]]]
        DefaultValue = 200
";
const CREATE: &str = "/clusters/demo/nodes/create";

/// Text as forms and queries carry it.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

/// A form as the import takes it.
fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

/// Imports and starts the cluster, and waits until it runs.
async fn started(world: &World) {
    begun(world, TEMPLATE).await;
}

/// As [`started`], with another template.
async fn begun(world: &World, template: &str) {
    let admin = world.caller("starter", "admin", "/").await;
    let import = form(&[("cluster", template)]);
    for (path, body) in [
        ("/cloud/api/import_cluster/demo", import),
        ("/cloud/actions/startcluster/demo", String::new()),
    ] {
        let answer = world.call(Some(&admin), "POST", path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }
    world.pass(300).await;
}

fn operation(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    body["operationId"].as_str().expect("an operation").to_owned()
}

#[tokio::test]
async fn the_life_of_a_cluster_reads_as_its_golden_transcript_says() {
    for world in worlds().await {
        let mut script = Transcript::of(&world, "CycleCloud: the life of a cluster").await;
        script.note("Import makes a cluster and starts nothing");
        script.attach(&encode(TEMPLATE), "template", TEMPLATE);
        let import = form(&[
            ("source", "standard"),
            ("cluster", TEMPLATE),
            ("parameters_format", "json"),
            ("parameters", r#"{"MaxHtcCores":100}"#),
        ]);
        script.send("POST", "/cloud/api/import_cluster/demo", &import).await;
        script.ask("GET", "/clusters/demo/status").await;
        script.ask("GET", "/clusters/demo/nodes").await;
        script.ask("GET", "/cloud/clusters").await;
        script.ask("GET", "/cloud/api/clusters").await;
        script.note("Start");
        script.ask("POST", "/cloud/actions/startcluster/demo").await;
        script.ask("GET", "/cloud/api/clusters/demo").await;
        script.pass(300).await;
        script.ask("GET", "/cloud/clusters/demo").await;
        script.note("Status, without nodes and with");
        let two = r#"{"sets":[{"nodearray":"htc","count":1},{"nodearray":"hpc","count":2,"placementGroupId":"pg0"}]}"#;
        script.send("POST", CREATE, two).await;
        script.pass(300).await;
        script.ask("GET", "/clusters/demo/status").await;
        script.ask("GET", "/clusters/demo/status?nodes=true").await;
        script.note("Import over it, by force, with one size less and one array more");
        let late =
            "    [[nodearray late]]\n    Extends = defaults\n    MachineType = Standard_F4s_v2\n\n[parameters Scaling]";
        let changed = TEMPLATE
            .replace(", Standard_F16s_v2", "")
            .replace("[parameters Scaling]", late);
        script.attach(&encode(&changed), "changed template", &changed);
        let unforced = form(&[("cluster", &changed)]);
        script.send("POST", "/cloud/api/import_cluster/demo", &unforced).await;
        let forced = form(&[("cluster", &changed), ("force", "true")]);
        script.send("POST", "/cloud/api/import_cluster/demo", &forced).await;
        script.ask("GET", "/clusters/demo/status").await;
        script.note("Terminate and remove");
        script.ask("POST", "/cloud/actions/removecluster/demo").await;
        script.ask("POST", "/cloud/actions/terminatecluster/demo").await;
        script.ask("GET", "/cloud/clusters/demo").await;
        script.pass(300).await;
        script.ask("GET", "/cloud/clusters/demo").await;
        script.ask("POST", "/cloud/actions/removecluster/demo").await;
        script.ask("GET", "/clusters/demo/status").await;
        script.check(&expect_file!["../golden/cyclecloud/cluster.txt"]);
    }
}

#[tokio::test]
async fn the_lives_of_nodes_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let mut script = Transcript::of(&world, "CycleCloud: the lives of nodes").await;
        create(&mut script).await;
        stop_and_start(&mut script).await;
        remove(&mut script).await;
        protect(&mut script).await;
        scale(&mut script).await;
        script.check(&expect_file!["../golden/cyclecloud/node.txt"]);
    }
}

/// Makes nodes in both arrays.
async fn create(script: &mut Transcript<'_>) {
    script.note("Create with a request id, then the same again");
    let body = r#"{"requestId":"first","sets":[{"nodearray":"htc","count":2,"definition":{"machineType":"Standard_F4s_v2"},"nodeAttributes":{"KeepAlive":false,"Tags":{"job":"4711"},"Configuration":{"site":{"scratch":"/mnt/scratch"}}}}]}"#;
    let first = operation(&script.send("POST", CREATE, body).await);
    script.send("POST", CREATE, body).await;
    script
        .ask("GET", &format!("/clusters/demo/nodes?operation={first}"))
        .await;
    script.pass(300).await;
    script.ask("GET", "/clusters/demo/nodes?request_id=first").await;
    script.note("Create into a placement group that holds two: less than asked for is added");
    let body = r#"{"sets":[{"nodearray":"hpc","count":3,"placementGroupId":"pg0"},{"nodearray":"htc","count":1,"nameFormat":"login-%02d","nameOffset":7,"nodeAttributes":{"StartAutomatically":false,"Fixed":true}}]}"#;
    script.send("POST", CREATE, body).await;
    script.pass(300).await;
    script.ask("GET", "/clusters/demo/nodes").await;
}

/// Deallocates, starts and shuts down what [`create`] made.
async fn stop_and_start(script: &mut Transcript<'_>) {
    script.note("Deallocate, and start again");
    let stopped = script
        .send(
            "POST",
            "/clusters/demo/nodes/deallocate",
            r#"{"names":["hpc-1","login-07","none"]}"#,
        )
        .await;
    let stopped = format!("/clusters/demo/nodes?operation={}", operation(&stopped));
    script.ask("GET", &stopped).await;
    script.pass(300).await;
    script.ask("GET", &stopped).await;
    script
        .send(
            "POST",
            "/clusters/demo/nodes/start",
            r#"{"names":["hpc-1","login-07"],"requestId":"again"}"#,
        )
        .await;
    script.pass(300).await;
    script
        .ask(
            "GET",
            "/cloud/api/nodes?cluster=demo&attrs=Name,State,Status,TargetState",
        )
        .await;
    script.note("Shut down: the policy of each array decides");
    script
        .send(
            "POST",
            "/clusters/demo/nodes/shutdown",
            r#"{"filter":"Template === \"hpc\" && State === \"Started\"","names":["htc-1","htc-1"]}"#,
        )
        .await;
    script.pass(300).await;
    script
        .ask(
            "GET",
            "/cloud/api/nodes?cluster=demo&attrs=Name,State,Status,TargetState",
        )
        .await;
}

/// Ends nodes for good.
async fn remove(script: &mut Transcript<'_>) {
    script.note("Terminate, remove: a fixed node is off first");
    script
        .send("POST", "/clusters/demo/nodes/remove", r#"{"names":["login-07"]}"#)
        .await;
    script
        .send(
            "POST",
            "/clusters/demo/nodes/terminate",
            r#"{"names":["login-07","scheduler"]}"#,
        )
        .await;
    script.pass(300).await;
    script.ask("GET", "/cloud/api/nodes/login-07").await;
    script
        .send(
            "POST",
            "/clusters/demo/nodes/remove",
            r#"{"names":["login-07","scheduler","hpc-2"]}"#,
        )
        .await;
    script.pass(300).await;
    script.ask("GET", "/cloud/api/nodes?attrs=Name,Status,Instance").await;
}

/// Tries to end a protected node, and ends another by a filter.
async fn protect(script: &mut Transcript<'_>) {
    script.note("A protected node stays");
    let kept = r#"{"sets":[{"nodearray":"htc","count":1,"nodeAttributes":{"KeepAlive":true}}]}"#;
    script.send("POST", CREATE, kept).await;
    script.pass(300).await;
    script
        .send(
            "POST",
            "/clusters/demo/nodes/terminate",
            r#"{"filter":"KeepAlive === true"}"#,
        )
        .await;
    script.note("Terminate by a filter, as people do");
    script
        .ask(
            "POST",
            "/cloud/actions/terminate_node/demo?instance-filter=Name%20%3D%3D%3D%20%22htc-2%22",
        )
        .await;
    script
        .ask("GET", "/cloud/api/nodes/htc-2?attrs=Name,State,Status,TargetState")
        .await;
}

/// Scales an array.
async fn scale(script: &mut Transcript<'_>) {
    script.note("Scale to a total");
    script.ask("POST", "/clusters/demo/scale/htc?totalNodeCount=3").await;
    script.ask("POST", "/clusters/demo/scale/htc?totalNodeCount=3").await;
    script.ask("POST", "/clusters/demo/scale/htc?totalCoreCount=30").await;
    script
        .ask("POST", "/clusters/demo/scale/htc?totalCoreCount=100000")
        .await;
    script
        .ask(
            "GET",
            "/cloud/api/nodes?filter=Name%20%3D%3D%3D%20%22htc-4%22&attrs=Name,MachineType,Status",
        )
        .await;
}

#[tokio::test]
async fn operations_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let mut script = Transcript::of(&world, "CycleCloud: operations").await;
        script.ask("GET", "/operations/").await;
        let body = r#"{"requestId":"one","sets":[{"nodearray":"htc","count":1}]}"#;
        let one = operation(&script.send("POST", CREATE, body).await);
        let two = r#"{"requestId":"two","names":["none"]}"#;
        script.send("POST", "/clusters/demo/nodes/terminate", two).await;
        script.ask("GET", "/operations").await;
        script.ask("GET", &format!("/operations/{one}")).await;
        for id in ["two", "three", ""] {
            script.ask("GET", &format!("/operations/?request_id={id}")).await;
        }
        script.ask("GET", "/operations/none").await;
        script.check(&expect_file!["../golden/cyclecloud/operation.txt"]);
    }
}

#[tokio::test]
async fn failures_read_as_their_golden_transcript_says() {
    let weather = fake::Settings {
        init_failures: 1.0,
        stock: vec![fake::Stock {
            size: "Standard_HC44rs".into(),
            zone: None,
            machines: 1,
            for_ms: None,
        }],
        ..fake::Settings::default()
    };
    for world in worlds_in(&weather).await {
        let template = TEMPLATE.replace(
            "    [[node scheduler]]\n    Extends = defaults\n    MachineType = Standard_D8s_v5\n",
            "",
        );
        begun(&world, &template).await;
        let mut script = Transcript::of(&world, "CycleCloud: failures and retry").await;
        script.note("A node whose scripts fail stays until somebody acts");
        let create = r#"{"sets":[{"nodearray":"htc","count":1}]}"#;
        script.send("POST", CREATE, create).await;
        script.pass(300).await;
        script.ask("GET", "/clusters/demo/nodes").await;
        script.ask("POST", "/cloud/actions/retry/demo").await;
        let shown = "/cloud/api/nodes?cluster=demo&attrs=Name,State,TargetState,Status,StatusMessage,PhaseFailed";
        script.ask("GET", shown).await;
        script.note("Where there are no machines nodes fail and go, and for a while none are offered");
        let create = r#"{"sets":[{"nodearray":"hpc","count":2}]}"#;
        script.send("POST", CREATE, create).await;
        script.pass(5).await;
        script.ask("GET", shown).await;
        script.pass(60).await;
        script.ask("GET", shown).await;
        script.ask("GET", "/clusters/demo/status").await;
        script.check(&expect_file!["../golden/cyclecloud/failure.txt"]);
    }
}

#[tokio::test]
async fn usage_reads_as_its_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let mut script = Transcript::of(&world, "CycleCloud: usage").await;
        let body = r#"{"sets":[{"nodearray":"htc","count":2},{"nodearray":"hpc","count":1}]}"#;
        script.send("POST", CREATE, body).await;
        script.pass(300).await;
        world.skip(2 * 3600);
        script
            .send(
                "POST",
                "/clusters/demo/nodes/terminate",
                r#"{"names":["htc-1","hpc-1"]}"#,
            )
            .await;
        script.pass(300).await;
        script.note("What ran, by day, by hour, in one with its sizes");
        script.ask("GET", "/clusters/demo/usage?timeframe=weekToDate").await;
        script
            .ask("GET", "/clusters/demo/usage?timeframe=custom&from=2026-03-08T20:00:00Z&to=2026-03-08T22:00:00Z&granularity=hourly")
            .await;
        script
            .ask("GET", "/clusters/demo/usage?granularity=total&expand=details")
            .await;
        script.note("What makes no sense");
        script
            .ask("GET", "/clusters/demo/usage?timeframe=custom&from=2026-03-08")
            .await;
        script.ask("GET", "/clusters/demo/usage?granularity=yearly").await;
        script
            .ask(
                "GET",
                "/clusters/demo/usage?timeframe=custom&from=2026-03-08&to=2026-03-08",
            )
            .await;
        script.check(&expect_file!["../golden/cyclecloud/usage.txt"]);
    }
}

#[tokio::test]
async fn refusals_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let mut script = Transcript::of(&world, "CycleCloud: what is refused").await;
        script.hide(&encode(TEMPLATE), "template");
        unknown(&mut script).await;
        not_created(&mut script).await;
        not_managed(&mut script).await;
        script.check(&expect_file!["../golden/cyclecloud/refusals.txt"]);
    }
}

/// Strangers, and what is not there.
async fn unknown(script: &mut Transcript<'_>) {
    script.note("Who the caller is");
    script.stranger("GET", "/clusters/demo/status", &[], "").await;
    script
        .stranger(
            "GET",
            "/clusters/none/status",
            &[("authorization", "Basic bm9ib2R5OndpdGg=")],
            "",
        )
        .await;
    script.note("What does not exist");
    script.ask("GET", "/clusters/none/status").await;
    script.ask("GET", "/clusters/demo/nowhere").await;
    script.ask("PUT", "/clusters/demo/nodes").await;
    script.ask("GET", "/clusters/demo/nodes?operation=none").await;
    script.ask("GET", "/clusters/demo/nodes?request_id=none").await;
    script
        .ask("GET", "/clusters/demo/nodes?request_id=none&operation=none")
        .await;
    script.ask("GET", "/cloud/api/nodes/none").await;
    script.ask("GET", "/cloud/clusters/none").await;
}

/// Creations that break a rule.
async fn not_created(script: &mut Transcript<'_>) {
    script.note("What can not be created");
    for body in [
        "{",
        "{}",
        r#"{"sets":[]}"#,
        r#"{"sets":[{"nodearray":"none","count":1}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":0}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":"3"}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":1,"definition":{"machineType":"Standard_HC44rs"}}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":2,"nameFormat":"same"}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":1,"nameFormat":"scheduler"}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":1,"nameOffset":-1}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":1,"nodeAttributes":[]}]}"#,
        r#"{"sets":[{"nodearray":"htc","count":1,"placementGroupId":"a b"}]}"#,
    ] {
        script.send("POST", CREATE, body).await;
    }
}

/// Everything else that breaks a rule.
async fn not_managed(script: &mut Transcript<'_>) {
    script.note("What can not be managed");
    script.send("POST", "/clusters/demo/nodes/terminate", "{}").await;
    script
        .send("POST", "/clusters/demo/nodes/terminate", r#"{"filter":"Name ==="}"#)
        .await;
    script
        .send("POST", "/clusters/demo/nodes/terminate", r#"{"names":"htc-1"}"#)
        .await;
    script
        .send("POST", "/clusters/demo/nodes/restart", r#"{"names":["scheduler"]}"#)
        .await;
    script
        .send("POST", "/clusters/demo/nodes/start", r#"{"names":["none"]}"#)
        .await;
    script.ask("POST", "/cloud/actions/terminate_node/demo").await;
    script.note("What can not be scaled");
    script.ask("POST", "/clusters/demo/scale/htc").await;
    script
        .ask("POST", "/clusters/demo/scale/htc?totalNodeCount=1&totalCoreCount=1")
        .await;
    script.ask("POST", "/clusters/demo/scale/htc?totalNodeCount=-1").await;
    script.ask("POST", "/clusters/demo/scale/none?totalNodeCount=1").await;
    script.note("What can not be imported");
    let broken = form(&[(
        "cluster",
        "[cluster two]\n[[nodearray a]]\nMachineType = none\n[[node b]]\n",
    )]);
    script.send("POST", "/cloud/api/import_cluster/two", &broken).await;
    script
        .send("POST", "/cloud/api/import_cluster/two", "source=standard")
        .await;
    script
        .send(
            "POST",
            "/cloud/api/import_cluster/two",
            &form(&[("cluster", TEMPLATE), ("as_template", "true")]),
        )
        .await;
    script
        .send_with(
            "POST",
            "/cloud/api/import_cluster/two",
            &[("content-type", "multipart/form-data; boundary=x")],
            "",
        )
        .await;
}
