//! The Run:ai dialect from its callers' side: signing in, clusters, their nodes, and what is refused, as golden
//! transcripts.

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::{
    transcript::Transcript,
    world::{Answer, World, worlds},
};

/// A cluster whose machines Reeve runs itself: two with GPUs and one without.
const TEMPLATE: &str = "\
[cluster farm]
[[node login]]
Credentials = fake
Region = westus2
MachineType = Standard_D8s_v5
[[nodearray gpu]]
Credentials = fake
Region = westus2
MachineType = Standard_ND96isr_H100_v5
InitialCount = 2
";

/// Imports and starts the cluster, and waits until it runs.
async fn started(world: &World) {
    let admin = world.caller("starter", "admin", "/").await;
    let import = json!({ "name": "farm", "template": TEMPLATE, "start": true }).to_string();
    let answer = world
        .call(Some(&admin), "POST", "/reeve/v1/clusters/import", import)
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
    world.pass(300).await;
}

fn member(answer: &Answer, name: &str) -> String {
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    body[name].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn signing_in_reads_as_its_golden_transcript_says() {
    for world in worlds().await {
        let caller = world.caller("ci-bot", "admin", "/").await;
        let (id, secret) = (caller.id.clone(), caller.secret.clone());
        let mut script = Transcript::by(&world, caller, "Run:ai: signing in");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        script.note("An application, in every way its clients know");
        for body in [
            json!({ "grantType": "app_token", "AppId": "ci-bot", "AppSecret": secret }),
            json!({ "grantType": "client_credentials", "clientID": "ci-bot", "clientSecret": secret }),
        ] {
            granted(&mut script, "/api/v1/token", &[], &body.to_string()).await;
        }
        let body = json!({ "id": id, "name": "ci-bot", "secret": secret });
        granted(&mut script, "/v1/k8s/auth/oauth/apptoken", &[], &body.to_string()).await;
        let body = format!("grant_type=client_credentials&client_id=ci-bot&client_secret={secret}");
        granted(&mut script, "/api/v2/token", &form, &body).await;
        script.note("A person");
        let body = json!({ "grantType": "password", "username": "admin", "password": "a long enough password" });
        granted(&mut script, "/api/v1/token", &[], &body.to_string()).await;
        let body = "grant_type=password&username=admin&password=a+long+enough+password";
        granted(&mut script, "/api/v2/token", &form, body).await;
        script.note("What is refused");
        for body in [
            json!({ "grantType": "app_token", "AppId": "ci-bot", "AppSecret": "wrong" }),
            json!({ "grantType": "app_token", "AppId": "ci-bot" }),
            json!({ "grantType": "refresh_token", "refreshToken": "x" }),
            json!({ "grantType": "magic" }),
            json!({}),
        ] {
            script.stranger("POST", "/api/v1/token", &[], &body.to_string()).await;
        }
        for body in [
            "",
            "grant_type=magic",
            "grant_type=client_credentials&client_id=ci-bot&client_secret=wrong",
            "grant_type=password&username=admin&password=wrong",
        ] {
            script.stranger("POST", "/api/v2/token", &form, body).await;
        }
        let body = json!({ "id": id, "name": "ci-bot", "secret": "wrong" }).to_string();
        script.stranger("POST", "/v1/k8s/auth/oauth/apptoken", &[], &body).await;
        script.check(&expect_file!["../golden/runai/token.txt"]);
    }
}

/// Asks for a token; its value differs from run to run and is named in the transcript instead.
async fn granted(script: &mut Transcript<'_>, path: &str, headers: &[(&str, &str)], body: &str) {
    let answer = script.stranger("POST", path, headers, body).await;
    let token: Value = serde_json::from_str(&answer.text).expect("JSON");
    let token = token.get("accessToken").or_else(|| token.get("access_token"));
    let token = token.and_then(Value::as_str).expect("a token").to_owned();
    script.hide(&token, "TOKEN");
}

#[tokio::test]
async fn clusters_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let mut script = Transcript::of(&world, "Run:ai: clusters").await;
        script.note("Create");
        let body = r#"{"name":"borealis-lab","domain":"https://borealis.example","version":"2.24.3"}"#;
        let made = script.send("POST", "/api/v1/clusters", body).await;
        let one = format!("/api/v1/clusters/{}", member(&made, "uuid"));
        script.send("POST", "/api/v1/clusters", body).await;
        script.note("List and get");
        script.ask("GET", "/api/v1/clusters").await;
        script.ask("GET", "/api/v1/clusters?verbosity=metadata").await;
        script.ask("GET", &one).await;
        script.note("Rename");
        script.pass(5).await;
        script.send("PUT", &one, r#"{"name":"borealis"}"#).await;
        script.ask("GET", &format!("{one}?verbosity=metadata")).await;
        script.note("Delete: a version that cleans up after itself is accepted, with force it is gone");
        script.ask("DELETE", &one).await;
        script.ask("GET", &one).await;
        let old = script.send("POST", "/api/v1/clusters", r#"{"name":"old"}"#).await;
        script
            .ask(
                "DELETE",
                &format!("/api/v1/clusters/{}?force=true", member(&old, "uuid")),
            )
            .await;
        script.note("Delete one whose machines run: it is shown until they have ended");
        let farm = world.id_of("farm").await;
        script
            .ask("DELETE", &format!("/api/v1/clusters/{farm}?force=true"))
            .await;
        script.ask("GET", "/api/v1/clusters").await;
        script
            .ask("GET", "/api/v1/clusters?includeRequestedForDelete=true")
            .await;
        script.pass(300).await;
        script
            .ask("GET", "/api/v1/clusters?includeRequestedForDelete=true")
            .await;
        script.check(&expect_file!["../golden/runai/cluster.txt"]);
    }
}

#[tokio::test]
async fn nodes_read_as_their_golden_transcript_says() {
    for world in worlds().await {
        started(&world).await;
        let farm = world.id_of("farm").await;
        let nodes = format!("/api/v1/clusters/{farm}/nodes");
        let mut script = Transcript::of(&world, "Run:ai: nodes").await;
        script.note("Of a cluster");
        script.ask("GET", &nodes).await;
        script.ask("GET", &format!("{nodes}?nodeName=gpu-1")).await;
        script.ask("GET", &format!("{nodes}/count")).await;
        script
            .ask(
                "GET",
                &format!("{nodes}/count?filterBy=status%3D%3DReady,nodePool%3D%3Dgpu"),
            )
            .await;
        script.note("Of all clusters: filter, order, page, search");
        script
            .ask(
                "GET",
                &format!("/api/v1/nodes?filterBy=clusterUuid%3D%3D{farm}%2CgpuType%3D%40H100&sortBy=name&sortOrder=desc&offset=0&limit=1"),
            )
            .await;
        script.ask("GET", "/api/v1/nodes?sortBy=name&offset=2&limit=50").await;
        script.ask("GET", "/api/v1/nodes?offset=9").await;
        script.ask("GET", "/api/v1/nodes/count").await;
        script.ask("GET", "/api/v1/nodes/count?search=h100").await;
        script.ask("GET", "/api/v1/nodes/count?filterBy=status!%3DReady").await;
        script.note("What makes no sense");
        for query in [
            "limit=0",
            "limit=501",
            "offset=-1",
            "sortBy=colour",
            "sortOrder=up",
            "filterBy=colour%3D%3Dred",
            "filterBy=name",
        ] {
            script.ask("GET", &format!("/api/v1/nodes?{query}")).await;
        }
        script.ask("GET", &format!("{nodes}?nodeName=gpu-1&limit=1")).await;
        script.check(&expect_file!["../golden/runai/node.txt"]);
    }
}

#[tokio::test]
async fn refusals_read_as_their_golden_transcript_says() {
    const UNKNOWN: &str = "/api/v1/clusters/5c1d7f0e-3b52-4d7a-9a41-7e0c8f6b2d10";
    for world in worlds().await {
        let viewer = world.caller("viewer", "viewer", "/").await;
        let mut script = Transcript::by(&world, viewer, "Run:ai: what is refused");
        script.note("Who the caller is, and what it may");
        script.stranger("GET", "/api/v1/clusters", &[], "").await;
        let forged = [("authorization", "Bearer a.b.c")];
        script.stranger("GET", "/api/v1/clusters", &forged, "").await;
        script.send("POST", "/api/v1/clusters", r#"{"name":"mine"}"#).await;
        let admin = world.caller("writer", "admin", "/").await;
        script.go_on_as(admin);
        script.note("What can not be read");
        for body in ["", "{", "[]", "{}", r#"{"name":7}"#, r#"{"name":""}"#] {
            script.send("POST", "/api/v1/clusters", body).await;
        }
        script.ask("GET", "/api/v1/clusters?verbosity=loud").await;
        script
            .ask("GET", "/api/v1/clusters?includeRequestedForDelete=maybe")
            .await;
        script.note("What does not exist");
        script.ask("GET", UNKNOWN).await;
        script.ask("DELETE", UNKNOWN).await;
        script.send("PUT", UNKNOWN, r#"{"name":"new"}"#).await;
        script.ask("GET", &format!("{UNKNOWN}/nodes")).await;
        script.ask("GET", "/api/v1/clusters/no-uuid").await;
        script.ask("PATCH", "/api/v1/clusters").await;
        script.ask("GET", "/api/v1/org-unit/projects").await;
        script.ask("GET", "/v1/k8s/clusters").await;
        script.check(&expect_file!["../golden/runai/refusals.txt"]);
    }
}
