//! Two servers, two processes, on one PostgreSQL database and one simulated cloud share the work; when one is killed
//! midway, the other finishes it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use reeve_provider::{Catalogue, Fake, Machines, State, SystemClock, fake};
use reeve_store::{engine::Database, testing};
use serde_json::{Value, json};

use crate::{
    http::Client,
    local,
    server::{Folder, Server, Setup},
    wait::until,
};

const NODES: usize = 2000;
const BOUND: Duration = Duration::from_secs(120);

/// A fresh database on the server that the test runner names; `None` when there is none to be.
async fn database() -> Option<(String, testing::Guard)> {
    for (_, store, guard) in testing::databases().await {
        store.close().await;
        if let Database::Postgres { url } = &guard.settings().database {
            return Some((url.clone(), guard));
        }
    }
    None
}

#[tokio::test]
async fn two_servers_share_two_thousand_nodes_and_the_survivor_finishes_what_the_killed_one_had_begun() {
    let Some((url, _guard)) = database().await else {
        eprintln!("two servers need PostgreSQL, which was not to be used");
        return;
    };
    let shared = Folder::new();
    // Slow enough that the kill comes in the midst, and launches of one pool do not end at once.
    let cloud = "[provider.fake]\nkind = \"fake\"\nlaunch_delay_ms = [1000, 6000]\nboot_delay_ms = [500, 4000]\n";
    let setup = Setup::new()
        .data(shared.path())
        .config(cloud)
        .environment("REEVE_DATABASE", &url)
        .environment("REEVE_LOG", "warn");
    let mut first = setup.clone().start().await;
    let second = setup.start().await;
    let (left, right) = (first.admin(), second.admin());
    import(&left).await;
    let wish = json!({"pool": "execute", "count": NODES, "requestKey": "all"});
    let made = left.post("/reeve/v1/clusters/shared/nodes", &wish).await.expect(202);
    assert_eq!(made["added"], NODES, "{}", made["message"]);

    let mut worked = [false, false];
    until("both at work, and the work half done", BOUND, async || {
        for (worked, client) in worked.iter_mut().zip([&left, &right]) {
            *worked |= at_work(client).await;
        }
        let running = running(&right).await;
        match worked == [true, true] && running >= NODES / 5 {
            true => Ok(()),
            false => Err(format!("{worked:?}, {running} running")),
        }
    })
    .await;
    assert!(running(&right).await < NODES, "the work was done before the kill");
    first.kill().await;
    let killed = Instant::now();
    until("all running by the second server", BOUND, async || {
        match running(&right).await {
            NODES => Ok(()),
            fewer => Err(format!("{fewer} running")),
        }
    })
    .await;
    eprintln!(
        "all running {:.1} s after one of two servers was killed",
        killed.elapsed().as_secs_f64()
    );
    each_step_once(&second, shared.path()).await;

    first.restart().await;
    let all: Vec<Value> = local::nodes(&left, "shared").await;
    let ids: Vec<&Value> = all.iter().map(|node| &node["id"]).collect();
    left.post("/reeve/v1/clusters/shared/nodes/terminate", &json!({"ids": ids}))
        .await
        .expect(202);
    until("nothing left", BOUND, async || {
        match local::nodes(&right, "shared").await.len() {
            0 => Ok(()),
            left => Err(format!("{left} nodes")),
        }
    })
    .await;
    let alive = machines(shared.path())
        .await
        .into_values()
        .filter(|state| *state != State::Gone);
    assert_eq!(alive.count(), 0);
    for server in [&first, &second] {
        let log = server.log();
        let odd = log
            .lines()
            .find(|line| line.contains("ERROR") || line.contains("panicked"));
        assert!(odd.is_none(), "{odd:?}");
    }
}

async fn import(admin: &Client) {
    let template = "[cluster shared]\n\n[[nodearray execute]]\nRegion = westus2\nMachineType = Standard_F4s_v2\n\
                    Credentials = fake\nMaxCount = 5000\n";
    let wish = json!({"name": "shared", "template": template, "start": true});
    admin.post("/reeve/v1/clusters/import", &wish).await.expect(200);
}

async fn running(client: &Client) -> usize {
    let shown = client.get("/reeve/v1/clusters/shared").await.expect(200);
    usize::try_from(shown["nodes"]["running"].as_u64().expect("a count")).expect("a count")
}

/// Whether this server's node reconciler had nodes to look after when it last woke.
async fn at_work(client: &Client) -> bool {
    let status = client.get("/reeve/v1/status").await.expect(200);
    let activities = status["activities"].as_array().cloned().unwrap_or_default();
    let nodes = activities.iter().find(|activity| activity["name"] == "nodes");
    let did = nodes.and_then(|activity| activity["did"].as_str()).unwrap_or_default();
    did.starts_with("looked after ") && !did.starts_with("looked after 0 ")
}

/// What the simulated cloud has by token.
async fn machines(data: &Path) -> BTreeMap<String, State> {
    let settings = fake::Settings::default();
    let cloud = Fake::open(
        &data.join("fake"),
        settings,
        Catalogue::builtin(),
        Arc::new(SystemClock),
    );
    let page = cloud.expect("the shared cloud").list(None, 100_000).await;
    let machines = page.expect("a friendly cloud").machines.into_iter();
    machines.map(|machine| (machine.token, machine.state)).collect()
}

/// One machine for each node, its first, and each node started once, although two servers did it and one was killed.
async fn each_step_once(server: &Server, data: &Path) {
    let nodes = local::nodes(&server.admin(), "shared").await;
    let mut expected: Vec<String> = nodes
        .iter()
        .map(|node| format!("{}-1", node["id"].as_str().expect("an id")))
        .collect();
    expected.sort_unstable();
    let journal = std::fs::read_to_string(data.join("fake/journal.jsonl")).expect("the cloud's journal");
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    let events = lines.flat_map(|line| line["events"].as_array().cloned().unwrap_or_default());
    let launched = events.filter_map(|event| Some(event["launched"]["asked"]["token"].as_str()?.to_owned()));
    let mut launched: Vec<String> = launched.collect();
    launched.sort_unstable();
    assert!(
        launched == expected,
        "{} launches for {} nodes",
        launched.len(),
        expected.len()
    );
    let mut started: BTreeMap<String, usize> = BTreeMap::new();
    for event in server.admin().events().await {
        if event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("running after"))
        {
            *started.entry(event["subject"].to_string()).or_default() += 1;
        }
    }
    let twice = started.iter().find(|(_, times)| **times != 1);
    assert!(
        twice.is_none() && started.len() == NODES,
        "{} started, {twice:?}",
        started.len()
    );
}
