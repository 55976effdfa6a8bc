//! The Rafay dialect from its callers' side: the way of a cluster from its document to its end, and what is refused, as
//! golden transcripts.

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::{
    transcript::Transcript,
    world::{Answer, DOCUMENT, worlds},
};

const BASE: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
const ONE: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters/edge-lab";
const YAML: &str = include_str!("../data/rafay/apply_dual_stack.yaml");

/// The document with something changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    change(&mut document);
    document.to_string()
}

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text).expect("JSON")
}

#[tokio::test]
async fn documents_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        let mut script = Transcript::of(&world, "Rafay: documents").await;
        script.note("An empty project");
        script.ask("GET", BASE).await;
        script.note("A dry run makes nothing");
        let json = [("content-type", "application/json")];
        script
            .send_with("POST", &format!("{BASE}?dryRun=true"), &json, DOCUMENT)
            .await;
        script.ask("GET", ONE).await;
        script.note("Apply, and the same again: nothing changes");
        script.send_with("POST", BASE, &json, DOCUMENT).await;
        script.pass(60).await;
        script.send_with("POST", BASE, &json, DOCUMENT).await;
        script.note("Apply a change, with a key that nobody knows");
        let change = changed(|document| {
            document["spec"]["config"]["location"] = json!("rack-b8");
            document["spec"]["config"]["colour"] = json!("red");
        });
        script.send_with("POST", BASE, &json, &change).await;
        script.note("YAML in, YAML out");
        let yaml = [("content-type", "application/yaml"), ("accept", "application/yaml")];
        script.send_with("POST", BASE, &yaml, YAML).await;
        script.note("List, details, status");
        script.ask("GET", BASE).await;
        script.ask("GET", &format!("{BASE}?limit=1&offset=1")).await;
        script.ask("GET", ONE).await;
        script.ask("GET", &format!("{ONE}/status")).await;
        script.note("Delete");
        script.ask("DELETE", ONE).await;
        script.ask("GET", ONE).await;
        script.ask("DELETE", ONE).await;
        script.check(&expect_file!["../golden/rafay/cluster.txt"]);
    }
}

#[tokio::test]
async fn hosts_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        let mut script = Transcript::of(&world, "Rafay: hosts").await;
        script.note("A cluster whose hosts are approved by people");
        let document = changed(|document| document["spec"]["config"]["autoApproveNodes"] = json!(false));
        script.send("POST", BASE, &document).await;
        let token = installer(&mut script).await;
        script.note("A host that nobody declared, then the one that was");
        let bearer = format!("Bearer {token}");
        let join = [("authorization", &*bearer)];
        let stranger = enrolment("somebody-else");
        script
            .stranger("POST", "/reeve/agent/v1/enroll", &join, &stranger)
            .await;
        let joined = script
            .stranger("POST", "/reeve/agent/v1/enroll", &join, &enrolment("lab-n1"))
            .await;
        let credential = read(&joined)["credential"].as_str().expect("a credential").to_owned();
        script.hide(&credential, "CREDENTIAL");
        script.ask("GET", &format!("{ONE}/status")).await;
        script.note("Approve: it goes no further, and says so");
        let approve = format!("{ONE}/nodes/lab-n1/approve");
        script.ask("POST", &format!("{ONE}/nodes/lab-n2/approve")).await;
        script.ask("POST", &approve).await;
        script.ask("POST", &approve).await;
        script.ask("GET", &format!("{ONE}/status")).await;
        script.note("Sent again, the document opens another taskset");
        script.pass(60).await;
        script.send("POST", BASE, &document).await;
        script.note("Delete: the host's credential ends with the cluster");
        script.ask("DELETE", ONE).await;
        let beat = json!({ "protocol": 1, "sequence": 1, "clock_us": 0, "epoch_seen": 0, "init": { "run": "", "state": "pending" } });
        let bearer = format!("Bearer {credential}");
        let agent = [("authorization", &*bearer)];
        script
            .stranger("POST", "/reeve/agent/v1/beat", &agent, &beat.to_string())
            .await;
        script.check(&expect_file!["../golden/rafay/host.txt"]);
    }
}

/// Asks for the installer commands, and takes the join token out of one. The commands differ from machine to machine.
async fn installer(script: &mut Transcript<'_>) -> String {
    let answer = script.ask("GET", &format!("{ONE}/installercmds")).await;
    for spelling in ["installerCmds", "InstallerCmds", "installercmd"] {
        script.ask("GET", &format!("{ONE}/{spelling}")).await;
    }
    let commands = read(&answer)["installerCmds"].as_array().expect("commands").clone();
    for command in &commands {
        let text = command["command"].to_string();
        let arch = command["arch"].as_str().expect("an architecture");
        // As the answer has it, with its quotes escaped.
        script.hide(&text[1..text.len() - 1], &format!("command for {arch}"));
    }
    let token = commands.iter().find_map(|command| {
        let (_, rest) = command["command"].as_str()?.split_once("Bearer ")?;
        rest.split('"').next().map(str::to_owned)
    });
    let token = token.expect("a token");
    script.hide(&token, "TOKEN");
    token
}

fn enrolment(hostname: &str) -> String {
    json!({
        "protocol": 1, "agent_version": "test", "instance": "i-1", "machine_id": "m-1", "clock_us": 0,
        "facts": { "hostname": hostname, "nics": [{ "name": "eth0", "addresses": ["192.0.2.11/24"] }] },
    })
    .to_string()
}

#[tokio::test]
async fn refusals_read_as_their_golden_transcript_says() {
    const NOWHERE: &str = "/apis/infra.k8smgmt.io/v3/projects/none/clusters";
    for world in worlds().await {
        let reader = world.caller("reader", "Project Read Only", "/").await;
        let mut script = Transcript::by(&world, reader, "Rafay: what is refused");
        script.note("Who the caller is, and what it may");
        script.stranger("GET", NOWHERE, &[], "").await;
        script.stranger("GET", NOWHERE, &[("x-api-key", "nonsense")], "").await;
        script.send("POST", BASE, DOCUMENT).await;
        let admin = world.caller("writer", "Organization Admin", "/").await;
        script.go_on_as(admin);
        script.note("What can not be read");
        for body in ["", "{", r#"{"kind":"Pod"}"#, "a: [b"] {
            script.send("POST", BASE, body).await;
        }
        script
            .send_with("POST", BASE, &[("content-type", "application/xml")], "<cluster/>")
            .await;
        script.note("What breaks a rule is told with every path");
        let wrong = changed(|document| {
            let config = &mut document["spec"]["config"];
            config["network"]["podSubnet"] = json!("10.244.0.0/99");
            let twice = config["nodes"][0].clone();
            config["nodes"].as_array_mut().expect("nodes").push(twice);
            config["kubernetesVersion"] = json!("v0.9");
        });
        script.send("POST", BASE, &wrong).await;
        script.note("What may never change");
        let maker = world.caller("maker", "admin", "/").await;
        let made = world.call(Some(&maker), "POST", BASE, DOCUMENT).await;
        assert!(made.status.is_success(), "{}", made.text);
        for other in [
            changed(|document| document["spec"]["type"] = json!("eks")),
            changed(|document| document["metadata"]["project"] = json!("elsewhere")),
        ] {
            script.send("POST", BASE, &other).await;
        }
        script.ask("GET", &format!("{ONE}/bootstrap")).await;
        script.note("What does not exist");
        script.ask("GET", NOWHERE).await;
        script.ask("GET", &format!("{BASE}/none")).await;
        script.ask("GET", &format!("{BASE}/none/status")).await;
        script.ask("GET", &format!("{BASE}/none/installercmds")).await;
        script.ask("PATCH", ONE).await;
        script.ask("GET", "/apis/infra.k8smgmt.io/v3/nowhere").await;
        script.ask("GET", &format!("{BASE}?limit=x")).await;
        script.ask("GET", &format!("{BASE}?limit=1001")).await;
        script.check(&expect_file!["../golden/rafay/refusals.txt"]);
    }
}
