//! The unmodified Run:ai client against the built server, and twenty real nodes seen through two dialects.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    command::Person,
    http::Client,
    local,
    server::{Server, Setup},
    wait::{BOUND, until},
};

const NODES: usize = 20;

/// The interpreter that has the client.
#[expect(
    clippy::disallowed_methods,
    reason = "the test runner says by the environment where the vendors' clients are"
)]
fn python() -> PathBuf {
    let named = std::env::var_os("REEVE_TEST_PYTHON").filter(|path| !path.is_empty());
    named.map_or_else(
        || panic!("REEVE_TEST_PYTHON is not set: run this through `cargo xtask test`"),
        PathBuf::from,
    )
}

/// Id and secret of an application, made by the command line.
async fn application(server: &Server) -> (String, String) {
    let create = "credential create --kind application --name ci --role admin -o json";
    let made = Person::admin(server)
        .reeve(&create.split(' ').collect::<Vec<_>>())
        .await
        .json();
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    (text("clientId"), text("clientSecret"))
}

/// Runs one of the scripts beside these tests; answers what it printed.
async fn script(name: &str, server: &Server, application: &(String, String), more: &[&str]) -> String {
    let mut command = Command::new(python());
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name))
        .args([server.url(), &application.0, &application.1])
        .args(more);
    if server.url().starts_with("https://") {
        command.arg(server.data().join("tls/cert.pem"));
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("start the client");
    let output = timeout(BOUND, child.wait_with_output()).await;
    let output = output.expect("the client ends in time").expect("its output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}{log}");
    said
}

#[tokio::test]
async fn the_unmodified_client_works_on_loopback_and_with_a_self_signed_certificate() {
    for arguments in [&[][..], &["--tls", "self-signed"]] {
        let server = Setup::new().arguments(arguments).start().await;
        let application = application(&server).await;
        let said = script("runapy_clients.py", &server, &application, &[]).await;
        assert_eq!(said.trim(), "OK", "{arguments:?}");
    }
}

#[tokio::test]
async fn twenty_nodes_made_through_one_dialect_are_processes_here_and_seen_through_another() {
    let server = Setup::new().arguments(&["--tls", "self-signed"]).start().await;
    let (id, secret) = application(&server).await;
    let certificate = server.data().join("tls/cert.pem");
    let client = Client::new(server.url(), Some((&id, &secret)), Some(&certificate));
    local::import(&client, "demo", 100, "").await;
    let wish = json!({"sets": [{"nodearray": "execute", "count": NODES}]});
    let made = client.post("/clusters/demo/nodes/create", &wish).await;
    let operation = made.expect(202)["operationId"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        made.headers["location"].to_str().ok(),
        Some(format!("{}/operations/{operation}", server.url()).as_str())
    );
    let nodes = until("twenty nodes to be Started", BOUND, async || {
        let nodes = nodes(&client).await;
        let started = nodes
            .iter()
            .filter(|node| node["State"] == "Started" && node["Status"] == "Ready")
            .count();
        if started == NODES {
            Ok(nodes)
        } else {
            Err(format!("{started} of {}", nodes.len()))
        }
    })
    .await;
    each_is_a_process_of_its_own(&server, &nodes);
    these_facts_are_of_this_host(&client).await;

    let names: BTreeSet<String> = nodes.iter().filter_map(|node| text(node, "Name")).collect();
    let seen = script("runapy_nodes.py", &server, &(id.clone(), secret.clone()), &["demo"]).await;
    let seen: Vec<Value> = serde_json::from_str(&seen).expect("a list");
    let through_runapy: BTreeSet<String> = seen.iter().filter_map(|node| text(node, "name")).collect();
    assert_eq!(through_runapy, names);
    for node in &seen {
        assert_eq!(
            (&node["status"], &node["pool"]),
            (&json!("Ready"), &json!("execute")),
            "{node}"
        );
    }

    let all = json!({"names": names});
    let ended = client.post("/clusters/demo/nodes/terminate", &all).await.expect(202);
    let answered = ended["nodes"].as_array().map_or(0, Vec::len);
    assert_eq!(answered, NODES, "{ended}");
    let addresses: Vec<String> = nodes.iter().filter_map(|node| text(node, "PrivateIp")).collect();
    until("no process and no record", BOUND, async || {
        let (nodes, machines) = (self::nodes(&client).await, server.machines());
        if nodes.is_empty() && machines.is_empty() {
            return Ok(());
        }
        Err(format!("{nodes:?} {machines:?}"))
    })
    .await;
    // An address is free when it is given to a new machine again.
    client.post("/clusters/demo/nodes/create", &wish).await.expect(202);
    until("the addresses to be used again", BOUND, async || {
        let again: Vec<String> = self::nodes(&client)
            .await
            .iter()
            .filter_map(|node| text(node, "PrivateIp"))
            .collect();
        let reused = again.iter().filter(|address| addresses.contains(address)).count();
        if again.len() == NODES && reused > 0 {
            Ok(())
        } else {
            Err(format!("{again:?}"))
        }
    })
    .await;
}

async fn nodes(client: &Client) -> Vec<Value> {
    let listed = client.get("/clusters/demo/nodes").await.expect(200);
    listed["nodes"].as_array().cloned().unwrap_or_default()
}

fn text(node: &Value, key: &str) -> Option<String> {
    node[key].as_str().map(str::to_owned)
}

fn each_is_a_process_of_its_own(server: &Server, nodes: &[Value]) {
    let machines = server.machines();
    assert_eq!(machines.len(), NODES, "{machines:?}");
    let different = |key: &str| nodes.iter().filter_map(|node| text(node, key)).collect::<BTreeSet<_>>();
    for key in ["NodeId", "Name", "PrivateIp", "Hostname", "InstanceId"] {
        assert_eq!(different(key).len(), NODES, "{key}: {:?}", different(key));
    }
    for address in different("PrivateIp") {
        assert!(address.starts_with("127."), "{address}");
    }
}

/// What the agents tell of the machine is what the kernel tells of this one.
async fn these_facts_are_of_this_host(client: &Client) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    let mut kernels = BTreeMap::new();
    for node in local::nodes(client, "demo").await {
        let path = format!(
            "/reeve/v1/clusters/demo/nodes/{}",
            node["name"].as_str().unwrap_or_default()
        );
        let shown = client.get(&path).await.expect(200);
        kernels.insert(shown["name"].to_string(), shown["facts"].clone());
    }
    assert_eq!(kernels.len(), NODES);
    for (name, facts) in kernels {
        assert!(facts.to_string().contains(kernel.trim()), "{name}: {facts}");
    }
}
