//! The Rafay installer command pasted into a shell of another host, which here is a network namespace with a host name
//! of its own. Needs root; without it the test says so and proves nothing.

use std::{path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    command::Person,
    http::Client,
    server::{Folder, Server, Setup},
    wait::{BOUND, until},
};

const DOCUMENT: &str = include_str!("../../../api/tests/data/rafay/apply_single_node.json");
const DETAILS: &str = include_str!("../../../api/tests/data/rafay/details.json");
const STATUS: &str = include_str!("../../../api/tests/data/rafay/status_ready.json");
const CLUSTERS: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";

/// Another host: a network namespace, joined to this one by a cable of its own. Dropping it ends what runs there.
struct Host {
    name: String,
    cable: String,
    near: String,
    far: String,
    state: Folder,
}

impl Host {
    /// Puts it up.
    ///
    /// # Panics
    /// When the kernel or the tools refuse, with what they said.
    fn new() -> Self {
        let id = std::process::id();
        // Four addresses of a private network for each process id, so that tests side by side do not meet.
        let (third, fourth) = ((id >> 6) % 256, (id % 64) * 4);
        let host = Self {
            name: format!("reeve-it-{id}"),
            cable: format!("rv{id}"),
            near: format!("10.231.{third}.{}", fourth + 1),
            far: format!("10.231.{third}.{}", fourth + 2),
            state: Folder::new(),
        };
        let Self {
            name, cable, near, far, ..
        } = &host;
        for line in [
            format!("netns add {name}"),
            format!("link add {cable} type veth peer name eth0 netns {name}"),
            format!("address add {near}/30 dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {name} address add {far}/30 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ] {
            let (done, said) = ip(&line);
            assert!(done, "this test needs network namespaces; ip {line}: {said}");
        }
        host
    }

    /// Runs a command in a shell of the host, as its root, with `hostname` as the host's name.
    async fn paste(&self, hostname: &str, command: &str) {
        let mut shell = Command::new("ip");
        shell
            .args(["netns", "exec", &self.name, "unshare", "--uts", "sh", "-c"])
            .args(["hostname \"$1\" && exec sh -c \"$2\"", "sh", hostname, command])
            .env("REEVE_AGENT_STATE", self.state.path().join("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::time::timeout(BOUND, shell.output()).await;
        let output = output.expect("the command ends in time").expect("start the shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", output.status);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.state.path().join("agent/agent.log"));
            eprintln!("what the agent said: {}", log.unwrap_or_default());
        }
        let (_, pids) = ip(&format!("netns pids {}", self.name));
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        // The cable goes with either of its ends.
        ip(&format!("link delete {}", self.cable));
        ip(&format!("netns delete {}", self.name));
    }
}

fn ip(line: &str) -> (bool, String) {
    match std::process::Command::new("ip").args(line.split(' ')).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, error.to_string()),
    }
}

async fn key(server: &Server) -> String {
    let create = "credential create --kind api-key --name installer --role admin -o json";
    let made = Person::admin(server)
        .reeve(&create.split(' ').collect::<Vec<_>>())
        .await
        .json();
    made["apiKey"].as_str().unwrap_or_default().to_owned()
}

fn client(server: &Server, key: &str) -> Client {
    Client::new(server.url(), None, Some(&server.data().join("tls/cert.pem"))).with_header("x-api-key", key)
}

fn document(hostname: &str, address: &str) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
    let config = &mut document["spec"]["config"];
    config["autoApproveNodes"] = json!(false);
    config["nodes"][0]["hostname"] = json!(hostname);
    config["nodes"][0]["privateIP"] = json!(address);
    config["nodes"][0]["arch"] = json!(if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    });
    document
}

#[tokio::test]
async fn the_installer_command_brings_a_host_in_that_shows_as_discovered_and_approved() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: network namespaces need root; run the tests as root to test the installer command");
        return;
    }
    let host = Host::new();
    let config = format!("listen = \"{}:0\"\n", host.near);
    let server = Setup::new().config(&config).listen_as_configured().start().await;
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let client = client(&server, &key(&server).await);
    let hostname = "lab-n1";
    let mut document = document(hostname, &host.far);
    client.post(CLUSTERS, &document).await.expect(200);
    let one = format!(
        "{CLUSTERS}/{}",
        document["metadata"]["name"].as_str().unwrap_or_default()
    );
    assert_eq!(node(&client, &one).await, "PENDING");

    let command = command(&client, &one, &document["spec"]["config"]["nodes"][0]["arch"]).await;
    host.paste(hostname, &command).await;
    until("the host to be discovered", BOUND, async || {
        let seen = node(&client, &one).await;
        if seen == "DISCOVERED" { Ok(()) } else { Err(seen) }
    })
    .await;
    client
        .post(&format!("{one}/nodes/{hostname}/approve"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(node(&client, &one).await, "APPROVED");
    // A second paste finds everything done.
    host.paste(hostname, &command).await;
    assert_eq!(node(&client, &one).await, "APPROVED");
    // A field that is false is left out of the document, as the reference leaves it out.
    document["spec"]["config"]["autoApproveNodes"] = json!(true);
    document["spec"]["blueprint"] = json!({"name": "default", "version": "latest"});
    client.post(CLUSTERS, &document).await.expect(200);
    documents_are_complete(&client, &one).await;
    assert!(Path::new(host.state.path()).join("agent/reeve").exists());
}

async fn node(client: &Client, one: &str) -> String {
    let status = client.get(&format!("{one}/status")).await.expect(200);
    let node = &status["status"]["mks"]["nodes"][0]["status"];
    node.as_str().map_or_else(|| status.to_string(), str::to_owned)
}

async fn command(client: &Client, one: &str, arch: &Value) -> String {
    let commands = client.get(&format!("{one}/installercmds")).await.expect(200);
    let fitting = commands["installerCmds"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|command| command["arch"] == *arch);
    let command = fitting.and_then(|command| command["command"].as_str());
    command.unwrap_or_else(|| panic!("{commands}")).to_owned()
}

async fn documents_are_complete(client: &Client, one: &str) {
    let sample = |text: &str| serde_json::from_str::<Value>(text).expect("the sample is JSON");
    let details = client.get(one).await.expect(200);
    let status = client.get(&format!("{one}/status")).await.expect(200);
    assert_eq!(lacks("details", &sample(DETAILS), &details), None, "{details:#}");
    assert_eq!(lacks("details", &sample(DETAILS), &status), None, "{status:#}");
    assert_eq!(
        lacks("status", &sample(STATUS)["status"], &status["status"]),
        None,
        "{status:#}"
    );
    assert!(details.get("status").is_none(), "{details:#}");
}

/// What a document lacks of a sample: a field, its type, or its place after the field before it.
fn lacks(at: &str, sample: &Value, seen: &Value) -> Option<String> {
    match (sample, seen) {
        (Value::Object(sample), Value::Object(seen)) => {
            let mut rest = seen.iter();
            sample
                .iter()
                .find_map(|(key, value)| match rest.find(|(name, _)| *name == key) {
                    None => Some(format!("{at}.{key} is missing, or not in its place")),
                    Some((_, seen)) => lacks(&format!("{at}.{key}"), value, seen),
                })
        }
        (Value::Array(sample), Value::Array(seen)) => match (sample.first(), seen.first()) {
            (Some(sample), Some(seen)) => lacks(&format!("{at}[0]"), sample, seen),
            (None, _) => None,
            (Some(_), None) => Some(format!("{at} is empty")),
        },
        _ => {
            let same = std::mem::discriminant(sample) == std::mem::discriminant(seen);
            (!same).then(|| format!("{at} is {seen}, not of the type of {sample}"))
        }
    }
}
