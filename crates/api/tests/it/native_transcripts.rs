//! The native API from its callers' side: clusters with their nodes, credentials, and what is written down, as golden
//! transcripts.

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::{
    transcript::Transcript,
    world::{Answer, TEMPLATE, World, worlds},
};

const HPC: &str = "/reeve/v1/clusters/hpc";

fn member(answer: &Answer, name: &str) -> String {
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    body[name].as_str().expect("text").to_owned()
}

fn import(start: bool) -> String {
    json!({ "name": "hpc", "template": TEMPLATE.replace('X', "hpc"), "start": start }).to_string()
}

#[tokio::test]
async fn clusters_and_nodes_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        let mut script = Transcript::of(&world, "Native: clusters and nodes").await;
        script.note("A cluster that a Kubernetes will report for, and one whose machines are made here");
        script.send("POST", "/reeve/v1/clusters", r#"{"name":"train"}"#).await;
        script.send("POST", "/reeve/v1/clusters/import", &import(false)).await;
        script.ask("POST", &format!("{HPC}/start")).await;
        script.pass(60).await;
        script.ask("GET", "/reeve/v1/clusters?limit=1").await;
        script.ask("GET", HPC).await;
        script.ask("GET", &format!("{HPC}/pools")).await;
        script.note("Nodes");
        let nodes = format!("{HPC}/nodes");
        let create = r#"{"pool":"execute","count":3,"requestKey":"first"}"#;
        script.send("POST", &nodes, create).await;
        script.send("POST", &nodes, create).await;
        script.send("POST", &nodes, r#"{"pool":"execute","count":30}"#).await;
        script.pass(300).await;
        script.ask("GET", &format!("{nodes}?limit=1&phase=running")).await;
        script.ask("GET", &format!("{nodes}/execute-1")).await;
        let names = r#"{"names":["execute-1","nobody"]}"#;
        for verb in ["deallocate", "start"] {
            script.send("POST", &format!("{nodes}/{verb}"), names).await;
        }
        script.pass(300).await;
        script.send("POST", &format!("{nodes}/start"), names).await;
        script.note("Stop, and delete");
        script.ask("POST", &format!("{HPC}/stop")).await;
        script.pass(300).await;
        script.ask("GET", HPC).await;
        script.ask("DELETE", HPC).await;
        script.ask("GET", HPC).await;
        script.check(&expect_file!["../golden/native/cluster.txt"]);
    }
}

#[tokio::test]
async fn credentials_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        let mut script = Transcript::of(&world, "Native: health, credentials and folders").await;
        script.note("What needs no credentials");
        for path in ["/healthz", "/readyz", "/.well-known/openid-configuration"] {
            script.stranger("GET", path, &[], "").await;
        }
        script.stranger("GET", "/reeve/v1/folders", &[], "").await;
        script.note("A folder, and credentials for it");
        script.send("POST", "/reeve/v1/folders", r#"{"name":"lab"}"#).await;
        script.ask("GET", "/reeve/v1/folders").await;
        let mut ids = Vec::new();
        for (kind, secret) in [
            ("user", "password"),
            ("application", "clientSecret"),
            ("api-key", "apiKey"),
        ] {
            let wanted = json!({ "kind": kind, "name": format!("lab-{kind}"), "role": "viewer", "scope": "lab" });
            let made = script.send("POST", "/reeve/v1/credentials", &wanted.to_string()).await;
            script.hide(&member(&made, secret), &format!("SECRET OF {kind}"));
            ids.push(member(&made, "id"));
        }
        script.ask("GET", "/reeve/v1/credentials").await;
        script.ask("DELETE", &format!("/reeve/v1/credentials/{}", ids[2])).await;
        script.ask("DELETE", &format!("/reeve/v1/credentials/{}", ids[2])).await;
        script.note("A token for the caller");
        let token = script.ask("POST", "/reeve/v1/token").await;
        script.hide(&member(&token, "accessToken"), "TOKEN");
        script.note("What is refused");
        for wanted in [
            r#"{"kind":"badge","name":"x","role":"viewer"}"#,
            r#"{"kind":"user","name":"x","role":"king"}"#,
            r#"{"kind":"user","name":"lab-user","role":"viewer"}"#,
            r#"{"kind":"user","name":"x","role":"viewer","scope":"nowhere"}"#,
        ] {
            script.send("POST", "/reeve/v1/credentials", wanted).await;
        }
        script.ask("DELETE", "/reeve/v1/credentials/none").await;
        script.send("POST", "/reeve/v1/folders", r#"{"name":"lab"}"#).await;
        script.check(&expect_file!["../golden/native/credential.txt"]);
    }
}

#[tokio::test]
async fn what_is_written_down_reads_as_its_golden_transcript_says() {
    for world in worlds().await {
        ran(&world).await;
        let mut script = Transcript::of(&world, "Native: operations, audit, usage and budgets").await;
        script.note("Operations and the audit trail, newest first");
        let listed = script.ask("GET", "/reeve/v1/operations").await;
        let listed: Value = serde_json::from_str(&listed.text).expect("JSON");
        let first = listed["items"][0]["id"].as_str().expect("an operation");
        script.ask("GET", &format!("/reeve/v1/operations/{first}")).await;
        script.ask("GET", "/reeve/v1/audit?limit=2").await;
        script.note("Usage");
        script.ask("GET", &format!("{HPC}/usage?by=total")).await;
        script.ask("GET", "/reeve/v1/usage?by=day").await;
        script.note("A budget");
        let budget = format!("{HPC}/budget");
        script.ask("GET", &budget).await;
        script.send("PUT", &budget, r#"{"amount":-1.0}"#).await;
        script
            .send(
                "PUT",
                &budget,
                r#"{"amount":0.1,"warnPercent":[50],"freezePercent":100}"#,
            )
            .await;
        script.ask("GET", &budget).await;
        script.ask("GET", "/reeve/v1/budgets").await;
        script
            .send("POST", &format!("{HPC}/nodes"), r#"{"pool":"execute","count":1}"#)
            .await;
        script.ask("DELETE", &budget).await;
        script.check(&expect_file!["../golden/native/journal.txt"]);
    }
}

/// Runs a node for an hour.
async fn ran(world: &World) {
    let admin = world.caller("starter", "admin", "/").await;
    for (path, body) in [
        ("/reeve/v1/clusters/import", import(true)),
        (
            "/reeve/v1/clusters/hpc/nodes",
            json!({ "pool": "execute", "count": 1 }).to_string(),
        ),
    ] {
        let answer = world.call(Some(&admin), "POST", path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        world.pass(60).await;
    }
    world.skip(3600);
    world.pass(1).await;
}
