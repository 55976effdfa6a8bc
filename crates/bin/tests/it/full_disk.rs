//! A data folder on a disk without room. Needs root, for a small file system of its own; without it the test says so
//! and proves nothing.

use std::{fs::File, io::Write as _, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    command::Person,
    http::{Answer, Client},
    server::{Folder, Server, Setup},
    wait::{BOUND, until},
};

const CLUSTERS: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
const DOCUMENT: &str = include_str!("../../../api/tests/data/rafay/apply_single_node.json");

/// A small file system in memory, unmounted when dropped.
struct Disk {
    folder: Folder,
}

impl Disk {
    /// Mounts one; in words why not.
    fn new() -> Result<Self, String> {
        let folder = Folder::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "reeve-it"])
            .arg(folder.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self { folder }),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let ballast = File::options().create(true).append(true).open(self.ballast());
        let mut ballast = ballast.expect("open the ballast");
        for size in [1 << 16, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn relieve(&self) {
        std::fs::remove_file(self.ballast()).expect("remove the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a process that was just killed may still hold a file open.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}

/// One caller of each dialect.
struct Callers {
    native: Client,
    cyclecloud: Client,
    runai: Client,
    rafay: Client,
    agent: Client,
}

impl Callers {
    async fn of(server: &Server) -> Self {
        let person = Person::admin(server);
        let create = async |kind: &str| {
            let line = format!("credential create --kind {kind} --name {kind}-1 --role admin -o json");
            person.reeve(&line.split(' ').collect::<Vec<_>>()).await.json()
        };
        let (application, key) = (create("application").await, create("api-key").await);
        let grant = json!({
            "grantType": "client_credentials",
            "clientId": application["clientId"], "clientSecret": application["clientSecret"],
        });
        let admin = server.admin();
        let granted = admin.post("/api/v1/token", &grant).await.expect(200);
        let token = granted["accessToken"].as_str().expect("a token");
        let key = key["apiKey"].as_str().expect("a key");
        let rafay = Client::new(server.url(), None, None).with_header("x-api-key", key);
        rafay.post(CLUSTERS, &document("edge-lab")).await.expect(200);
        let commands = rafay
            .get(&format!("{CLUSTERS}/edge-lab/installercmds"))
            .await
            .expect(200);
        let pattern = regex::Regex::new("rvj_[A-Za-z0-9_-]+").expect("a pattern");
        let commands = commands.to_string();
        let join = pattern.find(&commands).expect("a join token").as_str();
        Self {
            native: admin.clone(),
            cyclecloud: admin,
            runai: Client::bearing(server.url(), token),
            rafay,
            agent: Client::bearing(server.url(), join),
        }
    }

    /// A change that no earlier one makes superfluous, asked for in a dialect.
    async fn write(&self, dialect: &str, number: usize) -> Answer {
        match dialect {
            "native" => {
                let wish = json!({"name": format!("native-{number}")});
                self.native.post("/reeve/v1/clusters", &wish).await
            }
            "cyclecloud" => {
                let sets = json!([{"nodearray": "execute", "count": 1}]);
                let wish = json!({"requestId": format!("request-{number}"), "sets": sets});
                self.cyclecloud.post("/clusters/hpc/nodes/create", &wish).await
            }
            "runai" => {
                let wish = json!({"name": format!("runai-{number}")});
                self.runai.post("/api/v1/clusters", &wish).await
            }
            "rafay" => self.rafay.post(CLUSTERS, &document(&format!("rafay-{number}"))).await,
            "agents" => {
                let facts = json!({"hostname": "lab-n1", "kernel": "k".repeat(20_000)});
                let ask = json!({
                    "protocol": 1, "agent_version": "0", "instance": "instance-1", "machine_id": "machine-1",
                    "clock_us": 0, "facts": facts,
                });
                self.agent.post("/reeve/agent/v1/enroll", &ask).await
            }
            other => panic!("no dialect {other}"),
        }
    }

    /// Names of all clusters.
    async fn clusters(&self) -> Vec<String> {
        let page = self.native.get("/reeve/v1/clusters?limit=1000").await.expect(200);
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().filter_map(|cluster| cluster["name"].as_str());
        names.map(str::to_owned).collect()
    }
}

fn document(name: &str) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
    document["metadata"]["name"] = json!(name);
    document
}

/// Dialects with the fields of their errors.
const DIALECTS: [(&str, &[&str]); 5] = [
    ("native", &["code", "message", "requestId"]),
    ("cyclecloud", &["Message", "Detail"]),
    ("runai", &["code", "message"]),
    ("rafay", &["code", "external"]),
    ("agents", &["code", "message", "retryable"]),
];

/// Asks again and again, with what room there is taken each time, until it is refused; the log of a database has room
/// for a while. Answers the refusal and its number; clusters that were acknowledged go into `kept`.
/// The numbers begin after `from`.
async fn until_refused(
    disk: &Disk,
    callers: &Callers,
    dialect: &str,
    from: usize,
    kept: &mut Vec<String>,
) -> (Answer, usize) {
    let mut number = from;
    until(&format!("{dialect} to be refused"), BOUND, async || {
        disk.fill();
        number += 1;
        let answer = callers.write(dialect, number).await;
        if answer.status >= 300 {
            return Ok((answer, number));
        }
        if !["cyclecloud", "agents"].contains(&dialect) {
            kept.push(format!("{dialect}-{number}"));
        }
        Err(format!("{answer:?}"))
    })
    .await
}

#[tokio::test]
async fn a_full_disk_refuses_changes_loses_none_and_is_over_when_there_is_room() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("NOT TESTED: a small disk can not be mounted, which needs root: {why}");
            return;
        }
    };
    let mut server = Setup::new().data(&disk.data()).start().await;
    let callers = Callers::of(&server).await;
    let template = "[cluster hpc]\n[[nodearray execute]]\nCredentials = fake\nRegion = westus2\n\
                    MachineType = Standard_F4s_v2\nMaxCount = 5000\n";
    let hpc = json!({"name": "hpc", "template": template, "start": true});
    callers.native.post("/reeve/v1/clusters/import", &hpc).await.expect(200);
    let mut kept = callers.clusters().await;

    let mut refused = Vec::new();
    for (dialect, fields) in DIALECTS {
        let (answer, number) = until_refused(&disk, &callers, dialect, 0, &mut kept).await;
        assert_eq!(answer.status, 503, "{dialect}: {answer:?}");
        let wait = answer.headers.get("retry-after").and_then(|wait| wait.to_str().ok());
        assert!(
            wait.is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 0)),
            "{answer:?}"
        );
        let said = answer.json();
        assert!(
            fields.iter().all(|field| said.get(field).is_some()),
            "{dialect}: {answer:?}"
        );
        assert!(
            answer.body.contains("disk under the database is full"),
            "{dialect}: {answer:?}"
        );
        refused.push((dialect, number));
        // Who only reads is served.
        callers.native.get("/reeve/v1/clusters/hpc").await.expect(200);
        callers.cyclecloud.get("/clusters/hpc/status").await.expect(200);
    }
    holds(&callers, &mut kept).await;
    // A server that dies now comes back and shows all that was acknowledged, even before there is room.
    disk.fill();
    server.kill().await;
    disk.fill();
    server.restart().await;
    holds(&callers, &mut kept).await;
    let (answer, _) = until_refused(&disk, &callers, "native", 1000, &mut kept).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    disk.relieve();
    for (dialect, number) in refused {
        let answer = callers.write(dialect, number).await;
        assert!(answer.status < 300, "{dialect}: {answer:?}");
    }
    assert!(server.terminate().await.success());
}

/// Checks that exactly the acknowledged clusters are there.
async fn holds(callers: &Callers, kept: &mut [String]) {
    let mut there = callers.clusters().await;
    there.sort();
    kept.sort();
    assert_eq!(there, kept);
}
