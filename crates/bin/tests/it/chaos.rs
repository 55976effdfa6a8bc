//! The plug is pulled a hundred times while real nodes come and go: nothing acknowledged is lost, nothing is doubled,
//! nothing is left over.
//!
//! Clients ask for nodes and change their minds over both APIs; each remembers what was acknowledged and asks by its
//! request id after what was cut off, as its users do. Meanwhile the server is killed and started again. What must
//! never be is looked at while the server is dead, in the processes of this host; what must come true is looked at in
//! the end.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    http::{Answer, Client},
    local,
    server::{Server, Setup},
    wait::{pass, until},
};

/// How often the plug is pulled.
const KILLS: usize = 100;
/// How many nodes there are to be at a time.
const NODES: usize = 200;
/// Clients, each with nodes of its own.
const CLIENTS: usize = 4;
/// Longest time a machine may run that no row explains.
const UNEXPLAINED_MAX: Duration = Duration::from_secs(60);
/// Longest time until everything is as wished once the server is left alone.
const SETTLED: Duration = Duration::from_secs(120);

/// What one client asked for and was told.
#[derive(Default)]
struct Memory {
    /// Last acknowledged goal by the node's id.
    goals: BTreeMap<String, &'static str>,
    /// Acknowledged operations.
    operations: Vec<String>,
    /// Requests that got no answer, and how many of those had been accepted.
    cut: usize,
    cut_accepted: usize,
}

/// What a client knows of its request.
enum Told {
    /// It was not accepted.
    No,
    /// It was, and this is the answer.
    Yes(Value),
    /// It was, as was found out afterwards.
    AfterTheCut,
}

struct Asker {
    name: usize,
    client: Client,
    dice: Dice,
    count: usize,
    memory: Memory,
}

impl Asker {
    async fn run(mut self, stop: &Cell<bool>) -> Memory {
        while !stop.get() {
            self.ask().await;
            let rest = self.dice.between(Duration::ZERO, Duration::from_millis(150));
            pass(rest).await;
        }
        self.memory
    }

    async fn ask(&mut self) {
        let alive = self.memory.goals.values().filter(|goal| **goal != "absent").count();
        let missing = (NODES / CLIENTS).saturating_sub(alive);
        if missing > 0 && self.dice.below(4) > 0 {
            let count = 1 + self.dice.below(missing.min(12));
            return self.create(count).await;
        }
        let verbs = [
            ("terminate", "started", "absent"),
            ("terminate", "deallocated", "absent"),
            ("remove", "started", "absent"),
            ("deallocate", "started", "deallocated"),
            ("start", "deallocated", "started"),
            ("start", "deallocated", "started"),
        ];
        let (verb, from, to) = verbs[self.dice.below(verbs.len())];
        let of = self.memory.goals.iter().filter(|(_, goal)| **goal == from);
        let mut candidates: Vec<String> = of.map(|(id, _)| id.clone()).collect();
        let count = 1 + self.dice.below(8);
        let ids = self.dice.take(&mut candidates, count);
        if !ids.is_empty() {
            self.change(verb, &ids, to).await;
        }
    }

    fn key(&mut self) -> String {
        self.count += 1;
        format!("client-{}-request-{}", self.name, self.count)
    }

    async fn create(&mut self, count: usize) {
        let key = self.key();
        let (path, body) = if self.dice.below(2) == 0 {
            let set = json!({"nodearray": "execute", "count": count});
            ("/clusters/chaos/nodes/create", json!({"requestId": key, "sets": [set]}))
        } else {
            (
                "/reeve/v1/clusters/chaos/nodes",
                json!({"requestKey": key, "pool": "execute", "count": count}),
            )
        };
        if !matches!(self.accepted(path, &body, &key).await, Told::No) {
            let made = self.nodes_of(&key).await;
            assert!(made.len() <= count, "{made:?} of {count} for {key}");
            for id in made {
                self.memory.goals.insert(id, "started");
            }
        }
    }

    async fn change(&mut self, verb: &str, ids: &[String], goal: &'static str) {
        let key = self.key();
        let (path, body) = if self.dice.below(2) == 0 {
            (
                format!("/clusters/chaos/nodes/{verb}"),
                json!({"requestId": key, "ids": ids}),
            )
        } else {
            (
                format!("/reeve/v1/clusters/chaos/nodes/{verb}"),
                json!({"requestKey": key, "ids": ids}),
            )
        };
        let taken = match self.accepted(&path, &body, &key).await {
            Told::No => Vec::new(),
            Told::Yes(answer) => judged(verb, &answer),
            // A node that is still on its way to being deallocated can not be started; then it is none of the operation's.
            Told::AfterTheCut if verb == "start" => self.nodes_of(&key).await,
            Told::AfterTheCut => ids.to_vec(),
        };
        for id in taken {
            self.memory.goals.insert(id, goal);
        }
    }

    /// Sends a request; when its answer is cut off, asks by its key whether it was accepted.
    async fn accepted(&mut self, path: &str, body: &Value, key: &str) -> Told {
        match self.client.attempt(Method::POST, path, Some(body)).await {
            Ok(answer) => {
                let told = answer.expect(202);
                let id = told["operationId"].as_str().or(told["operation"].as_str());
                self.memory.operations.push(id.expect("an operation").to_owned());
                Told::Yes(told)
            }
            // Nothing was sent: the server was away.
            Err(error) if error.is_connect() => {
                self.answered("/healthz").await;
                Told::No
            }
            Err(_) => {
                self.memory.cut += 1;
                let found = self.answered(&format!("/operations/?request_id={key}")).await;
                if found.json().as_array().is_none_or(Vec::is_empty) {
                    return Told::No;
                }
                self.memory.cut_accepted += 1;
                Told::AfterTheCut
            }
        }
    }

    async fn nodes_of(&self, key: &str) -> Vec<String> {
        let answer = self
            .answered(&format!("/clusters/chaos/nodes?request_id={key}"))
            .await
            .expect(200);
        let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
        let ids = nodes.iter().filter_map(|node| node["NodeId"].as_str());
        ids.map(str::to_owned).collect()
    }

    /// Reads, however often the server goes away meanwhile.
    async fn answered(&self, path: &str) -> Answer {
        let read = async || {
            let answer = self.client.attempt(Method::GET, path, None).await;
            answer.map_err(|error| error.to_string())
        };
        until(path, SETTLED, read).await
    }
}

/// Ids of the nodes that a change was accepted for.
fn judged(verb: &str, answer: &Value) -> Vec<String> {
    let rows = answer["nodes"].as_array().expect("one row per node");
    let (taken, refused): (Vec<&Value>, Vec<&Value>) =
        rows.iter().partition(|row| row["status"] == "OK" || row["ok"] == true);
    let early = |row: &&Value| {
        row["error"]
            .as_str()
            .is_some_and(|why| why.contains("is being deallocated"))
    };
    assert!(
        verb == "start" && refused.iter().all(early) || refused.is_empty(),
        "{verb}: {answer}"
    );
    let ids = taken.into_iter().filter_map(|row| row["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// What is seen of the machines, over the whole run.
#[derive(Default)]
struct Watch {
    unexplained: HashMap<String, Instant>,
    most: usize,
}

impl Watch {
    /// No machine has two processes, no node two machines; for a server that is dead, so that none is on its way.
    fn doubles(&mut self, server: &Server) {
        let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let machines = server.machines();
        self.most = self.most.max(machines.len());
        for (folder, processes) in machines {
            let token = local::token(&folder);
            assert_eq!(processes.len(), 1, "processes of machine {token}: {processes:?}");
            nodes.entry(local::node(&token)).or_default().push(token);
        }
        let double = nodes.iter().find(|(_, tokens)| tokens.len() > 1);
        assert!(double.is_none(), "a node has two machines: {double:?}");
    }

    /// No machine is without a row for long.
    async fn orphans(&mut self, admin: &Client, server: &Server) {
        let rows = local::nodes(admin, "chaos").await;
        let rows: BTreeSet<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
        let machines = server.machines();
        let tokens = machines.keys().map(|folder| local::token(folder));
        let now: BTreeSet<String> = tokens.filter(|token| !rows.contains(&*local::node(token))).collect();
        self.unexplained.retain(|token, _| now.contains(token));
        for token in now {
            let since = *self.unexplained.entry(token.clone()).or_insert_with(Instant::now);
            let age = since.elapsed();
            assert!(age < UNEXPLAINED_MAX, "no row explains machine {token} for {age:?}");
        }
    }
}

/// Kills and restarts the server at random moments; ends the clients' work after the last.
async fn pull_the_plug(server: &mut Server, dice: &mut Dice, watch: &mut Watch, stop: &Cell<bool>) {
    let admin = server.admin();
    for kill in 0..KILLS {
        let moment = dice.between(Duration::from_millis(20), Duration::from_millis(700));
        pass(moment).await;
        server.kill().await;
        watch.doubles(server);
        server.restart().await;
        if kill % 5 == 0 {
            watch.orphans(&admin, server).await;
        }
    }
    stop.set(true);
}

#[tokio::test]
async fn a_server_killed_a_hundred_times_loses_doubles_and_leaves_nothing() {
    let mut dice = Dice::seeded();
    let config = "[provider.local]\nkind = \"local\"\nmachines_max = 400\nstop_grace_ms = 2000\n";
    let mut server = Setup::new()
        .config(config)
        .environment("REEVE_LOG", "error")
        .start()
        .await;
    let admin = server.admin();
    local::import(&admin, "chaos", 300, "").await;
    let stop = Cell::new(false);
    let mut watch = Watch::default();
    let askers = (0..CLIENTS).map(|name| Asker {
        name,
        client: admin.clone(),
        dice: dice.split(),
        count: 0,
        memory: Memory::default(),
    });
    let asking = futures::future::join_all(askers.map(|asker| asker.run(&stop)));
    let (memories, ()) = tokio::join!(asking, pull_the_plug(&mut server, &mut dice, &mut watch, &stop));
    let operations: Vec<String> = memories.iter().flat_map(|memory| memory.operations.clone()).collect();
    let goals: BTreeMap<String, &str> = memories.iter().flat_map(|memory| memory.goals.clone()).collect();
    let cut: usize = memories.iter().map(|memory| memory.cut).sum();
    let kept: usize = memories.iter().map(|memory| memory.cut_accepted).sum();
    eprintln!(
        "{KILLS} kills, {} operations, {} nodes, at most {} machines; {cut} requests cut off, {kept} of them accepted",
        operations.len(),
        goals.len(),
        watch.most
    );
    assert!(cut > 0 && watch.most > NODES / 4, "the kills came at quiet moments");

    until("everything as acknowledged", SETTLED, async || {
        watch.orphans(&admin, &server).await;
        as_wished(&admin, &server, &goals).await
    })
    .await;
    watch.doubles(&server);
    for id in &operations {
        let operation = admin.get(&format!("/reeve/v1/operations/{id}")).await.expect(200);
        assert!(
            operation["state"] == "succeeded" || operation["state"] == "superseded",
            "{operation}"
        );
        admin.get(&format!("/operations/{id}")).await.expect(200);
    }
    let rest = goals.iter().filter(|(_, goal)| **goal != "absent").map(|(id, _)| id);
    let all = json!({"ids": rest.collect::<Vec<_>>()});
    admin
        .post("/reeve/v1/clusters/chaos/nodes/terminate", &all)
        .await
        .expect(202);
    until("nothing left", SETTLED, async || {
        let nodes = local::nodes(&admin, "chaos").await;
        let left = (nodes.len(), server.machines(), local::folders(server.data()));
        if left.0 == 0 && left.1.is_empty() && left.2.is_empty() {
            return Ok(());
        }
        Err(format!("{left:?} {:?}", nodes.first()))
    })
    .await;
}

/// Every node that is to be there is, in the phase of its goal, and no other; and the machines are theirs.
async fn as_wished(admin: &Client, server: &Server, goals: &BTreeMap<String, &str>) -> Result<(), String> {
    let rows = local::nodes(admin, "chaos").await;
    for row in &rows {
        let id = row["id"].as_str().expect("an id");
        let wished = goals.get(id).copied().unwrap_or("absent");
        let phase = match wished {
            "started" => "running",
            "deallocated" => "stopped",
            _ => return Err(format!("not gone: {row}")),
        };
        if row["goal"] != wished || row["phase"] != phase {
            return Err(format!("to be {wished}: {row}"));
        }
    }
    let there: BTreeSet<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    let lost = goals
        .iter()
        .find(|(id, goal)| **goal != "absent" && !there.contains(id.as_str()));
    assert!(lost.is_none(), "an acknowledged node is lost: {lost:?}");
    let started = rows.iter().filter(|row| row["goal"] == "started");
    let wanted: BTreeSet<String> = started
        .filter_map(|row| row["id"].as_str())
        .map(str::to_owned)
        .collect();
    let machines = server.machines();
    let running: BTreeSet<String> = machines
        .keys()
        .map(|folder| local::node(&local::token(folder)))
        .collect();
    if running == wanted {
        return Ok(());
    }
    let odd: Vec<&String> = running.symmetric_difference(&wanted).collect();
    Err(format!("processes and rows differ by {odd:?}"))
}
