//! Agents that have no business here: with tokens that are made up, used, expired, or of what is gone. The server says
//! so in its protocol's shape, the program says so to the person, and nothing is let in.

use reeve_store::args;
use serde_json::{Value, json};

use crate::{
    command::{Person, Ran},
    database,
    http::Client,
    local,
    server::{Folder, Server, Setup},
    wait::{BOUND, until},
};

const CLUSTERS: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
const DOCUMENT: &str = include_str!("../../../api/tests/data/rafay/apply_single_node.json");
/// Status of an agent whose token was refused.
const REFUSED: i32 = 12;
/// The host that the document declares.
const HOST: &str = "lab-n1";

/// Runs an agent with a token and a state folder of its own until it gives up; it must not have kept a credential.
async fn agent(server: &Server, token: &str, hostname: &str, machine: &str) -> Ran {
    let folder = Folder::new();
    let state = folder.path().join("state");
    let arguments = [
        "agent",
        "node",
        "--server",
        server.url(),
        "--token",
        token,
        "--state-dir",
        &state.display().to_string(),
        "--hostname",
        hostname,
        "--machine-id",
        machine,
    ];
    let ran = Person::new().reeve(&arguments).await;
    assert!(!state.join("identity.json").exists(), "{ran:?}");
    assert!(!format!("{}{}", ran.out, ran.err).contains(token), "{ran:?}");
    ran
}

/// Asks the route itself as a machine of its own would; answers status and code, and has looked for what must not be
/// there.
async fn knock(server: &Server, token: &str, hostname: &str) -> (u16, String) {
    let body = json!({
        "protocol": 1, "agent_version": "0", "instance": "another-instance", "machine_id": "another-machine",
        "clock_us": 0, "facts": {"hostname": hostname},
    });
    let stranger = Client::bearing(server.url(), token);
    let answer = stranger.post("/reeve/agent/v1/enroll", &body).await;
    let said = answer.json();
    let mut fields: Vec<_> = said.as_object().expect("an object").keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["code", "message", "retryable"], "{answer:?}");
    assert!(!answer.body.contains(token), "{answer:?}");
    assert_eq!(said["retryable"], false, "{answer:?}");
    (answer.status, said["code"].as_str().unwrap_or_default().to_owned())
}

/// Checks that both the route and the program refuse a token, for this reason and with these words.
async fn refused(server: &Server, token: &str, hostname: &str, expected: (u16, &str), words: &str) {
    let (status, code) = expected;
    assert_eq!(knock(server, token, hostname).await, (status, code.to_owned()));
    let ran = agent(server, token, hostname, "another-machine").await;
    assert_eq!(ran.status, REFUSED, "{ran:?}");
    assert!(ran.err.contains(words) && ran.err.contains(code), "{ran:?}");
}

/// One running node of a cluster on this host, and its machine's join token.
async fn running_node(server: &Server) -> (Value, String) {
    let admin = server.admin();
    local::import(&admin, "demo", 5, "").await;
    let wish = json!({"pool": "execute", "count": 1});
    admin.post("/reeve/v1/clusters/demo/nodes", &wish).await.expect(202);
    let node = until("a running node", BOUND, async || {
        let nodes = local::nodes(&admin, "demo").await;
        match nodes.as_slice() {
            [node] if node["phase"] == "running" => Ok(node.clone()),
            _ => Err(format!("{nodes:?}")),
        }
    })
    .await;
    let machine = server.machines().into_keys().next().expect("a machine");
    let token = std::fs::read_to_string(machine.join("join-token")).expect("its token");
    (node, token.trim().to_owned())
}

#[tokio::test]
async fn the_token_of_a_node_lets_in_one_agent_and_none_once_the_node_is_gone() {
    let server = Setup::new().start().await;
    let admin = server.admin();
    let (node, token) = running_node(&server).await;
    refused(
        &server,
        &token,
        "intruder",
        (409, "token_used"),
        "used by another agent",
    )
    .await;
    refused(
        &server,
        "rvj_made-up",
        "intruder",
        (401, "token_unknown"),
        "not known here",
    )
    .await;
    let one = format!(
        "/reeve/v1/clusters/demo/nodes/{}",
        node["name"].as_str().unwrap_or_default()
    );
    let after = admin.get(&one).await.expect(200);
    assert_eq!(after["phase"], "running", "{after}");
    assert_ne!(after["facts"]["hostname"], "intruder", "{after}");
    // The agent that is in stays in: it is heard after the other was refused.
    let heard = after["agent"]["lastSeen"].clone();
    until("another beat of the first agent", BOUND, async || {
        let now = admin.get(&one).await.expect(200);
        if now["agent"]["lastSeen"] == heard {
            Err(now.to_string())
        } else {
            Ok(())
        }
    })
    .await;

    let names = json!({"names": [node["name"]]});
    admin
        .post("/reeve/v1/clusters/demo/nodes/terminate", &names)
        .await
        .expect(202);
    until("the node to be gone", BOUND, async || {
        let nodes = local::nodes(&admin, "demo").await;
        if nodes.is_empty() {
            Ok(())
        } else {
            Err(format!("{nodes:?}"))
        }
    })
    .await;
    refused(&server, &token, "intruder", (401, "token_unknown"), "no longer exists").await;
    assert!(local::nodes(&admin, "demo").await.is_empty());
}

/// A client with an API key, a managed cluster with the host [`HOST`], and the token of its installer commands.
async fn managed(server: &Server) -> (Client, String, String) {
    let create = "credential create --kind api-key --name installer --role admin -o json";
    let arguments: Vec<_> = create.split(' ').collect();
    let made = Person::admin(server).reeve(&arguments).await.json();
    let key = made["apiKey"].as_str().expect("a key");
    let client = Client::new(server.url(), None, None).with_header("x-api-key", key);
    let document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
    client.post(CLUSTERS, &document).await.expect(200);
    let name = document["metadata"]["name"].as_str().expect("a name");
    let one = format!("{CLUSTERS}/{name}");
    let commands = client
        .get(&format!("{one}/installercmds"))
        .await
        .expect(200)
        .to_string();
    let token = regex::Regex::new("rvj_[A-Za-z0-9_-]+").expect("a pattern");
    let token = token
        .find(&commands)
        .unwrap_or_else(|| panic!("{commands}"))
        .as_str()
        .to_owned();
    (client, one, token)
}

#[tokio::test]
async fn the_token_of_a_managed_cluster_ends_with_its_time_and_with_its_cluster() {
    let mut server = Setup::new().start().await;
    let (client, one, token) = managed(&server).await;
    let status = async |client: &Client| {
        let status = client.get(&format!("{one}/status")).await.expect(200);
        status["status"]["mks"]["nodes"][0]["status"].clone()
    };
    assert_eq!(
        knock(&server, &token, "undeclared").await,
        (404, "not_declared".to_owned())
    );
    let undeclared = agent(&server, &token, "undeclared", "another-machine").await;
    assert_eq!(undeclared.status, 1, "{undeclared:?}");
    assert!(
        undeclared.err.contains("host \"undeclared\" is not declared"),
        "{undeclared:?}"
    );

    assert!(server.terminate().await.success());
    let expire =
        "update join_token set expires_at = created_at where node is null and used_by is null and single_use = $1";
    assert_eq!(database::run(server.data(), expire, args![0]).await, 1);
    server.restart().await;
    refused(
        &server,
        &token,
        HOST,
        (401, "token_expired"),
        "this join token expired at 2",
    )
    .await;
    assert_eq!(status(&client).await, "PENDING");

    let gone = client.attempt(reqwest::Method::DELETE, &one, None).await;
    assert_eq!(gone.expect("an answer").status, 200);
    until("the cluster to be gone", BOUND, async || {
        let answer = client.get(&one).await;
        if answer.status == 404 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    })
    .await;
    refused(&server, &token, HOST, (401, "token_unknown"), "not known here").await;
}

#[tokio::test]
async fn a_second_machine_of_a_declared_hosts_name_is_turned_away() {
    let server = Setup::new().start().await;
    let (client, one, token) = managed(&server).await;
    let folder = Folder::new();
    let state = folder.path().join("state").display().to_string();
    let first = [
        "agent",
        "node",
        "--server",
        server.url(),
        "--token",
        &token,
        "--state-dir",
        &state,
        "--hostname",
        HOST,
        "--machine-id",
        "first-machine",
        "--once",
    ];
    let joined = Person::new().reeve(&first).await;
    assert_eq!(joined.status, 0, "{joined:?}");
    refused(
        &server,
        &token,
        HOST,
        (409, "wrong_cluster"),
        "is registered with another machine",
    )
    .await;
    let status = client.get(&format!("{one}/status")).await.expect(200);
    assert_eq!(
        status["status"]["mks"]["nodes"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
}

#[tokio::test]
async fn an_agent_that_is_newer_than_its_server_ends_and_says_what_to_upgrade() {
    let refusal =
        json!({"code": "unsupported_protocol", "message": "this server speaks version 0", "retryable": false});
    let refuse = async move || (axum::http::StatusCode::BAD_REQUEST, axum::Json(refusal));
    let routes = axum::Router::new().route("/reeve/agent/v1/enroll", axum::routing::post(refuse));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let mut older = tokio::task::JoinSet::new();
    older.spawn(async move { axum::serve(listener, routes).await });
    let folder = Folder::new();
    let state = folder.path().join("state").display().to_string();
    let arguments = [
        "agent",
        "node",
        "--server",
        &url,
        "--token",
        "rvj_any",
        "--state-dir",
        &state,
    ];
    let ran = Person::new().reeve(&arguments).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    for words in [
        "does not speak version 1",
        "this server speaks version 0",
        "upgrade the server first",
    ] {
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
}
