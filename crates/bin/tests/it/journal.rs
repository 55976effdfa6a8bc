//! What the command line shows of pools, folders, the audit trail and events.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    command::{Person, Ran},
    local,
    server::{PASSWORD, Server, Setup, program},
    wait::BOUND,
};

async fn type_in(person: &Person, line: &str) -> Ran {
    person.reeve(&line.split(' ').collect::<Vec<_>>()).await
}

#[tokio::test]
async fn pools_and_folders_are_listed_in_every_format() {
    let server = Setup::new().start().await;
    let person = Person::admin(&server);
    local::import(&server.admin(), "demo", 7, "").await;
    let table = type_in(&person, "pool list demo").await;
    assert_eq!(table.status, 0, "{table:?}");
    let lines: Vec<Vec<&str>> = table
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = ["execute", "many", "local", "local", "local", "0", "7", "open"];
    assert!(lines.len() == 2 && lines[1] == expected, "{}", table.out);
    let wide = type_in(&person, "pool list demo -o wide").await.out;
    assert!(wide.contains("AVAILABLE") && wide.contains("local:7"), "{wide}");
    assert_eq!(type_in(&person, "pool list demo -o name").await.out, "execute\n");
    let pools = type_in(&person, "pool list demo -o json").await.json();
    assert_eq!(
        (&pools[0]["maxCount"], &pools[0]["buckets"][0]["size"]),
        (&json!(7), &json!("local"))
    );
    assert_eq!(type_in(&person, "pool list nowhere").await.status, 4);

    let made = type_in(&person, "folder create research -o json").await.json();
    assert_eq!(made["name"], "research");
    assert_eq!(type_in(&person, "folder create research").await.status, 5);
    assert_eq!(type_in(&person, "folder create no/name").await.status, 1);
    let names = type_in(&person, "folder list -o name").await.out;
    assert!(names.lines().count() == 2 && names.ends_with("research\n"), "{names}");
    let yaml = type_in(&person, "folder list -o yaml").await.out;
    assert!(yaml.contains("name: research"), "{yaml}");
}

#[tokio::test]
async fn the_audit_trail_shows_who_did_what_and_who_was_denied() {
    let server = Setup::new().start().await;
    let person = Person::admin(&server);
    assert_eq!(type_in(&person, "folder create research").await.status, 0);
    let create = "credential create --kind user --name guest --role viewer --password-stdin";
    let arguments: Vec<_> = create.split(' ').collect();
    let password = "another password";
    assert_eq!(person.reeve_reading(&arguments, password).await.status, 0);
    let guest = Person::new()
        .with("REEVE_URL", server.url())
        .with("REEVE_USER", "guest")
        .with("REEVE_PASSWORD", password);
    assert_eq!(type_in(&guest, "folder create mine").await.status, 3);
    assert_eq!(type_in(&guest, "audit list").await.status, 3);

    let entries = type_in(&person, "audit list -o json").await.json();
    let entries = entries.as_array().expect("a list");
    let find = |who: &str, outcome: &str| {
        let found = entries
            .iter()
            .find(|entry| entry["actorName"] == who && entry["outcome"] == outcome);
        found.unwrap_or_else(|| panic!("{entries:#?}"))
    };
    assert!(!find("guest", "denied")["verb"].as_str().unwrap_or_default().is_empty());
    find("admin", "ok");
    let sequences: Vec<_> = entries.iter().filter_map(|entry| entry["sequence"].as_i64()).collect();
    assert!(sequences.is_sorted_by(|newer, older| newer > older), "{sequences:?}");
    let table = type_in(&person, "audit list --limit 1").await.out;
    assert_eq!(table.lines().count(), 2, "{table}");
    let wide = type_in(&person, "audit list -o wide").await.out;
    assert!(
        wide.contains("REQUEST") && !wide.contains(PASSWORD) && !wide.contains(password),
        "{wide}"
    );
}

/// A command that goes on, with its lines as they come.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(server: &Server, line: &str) -> Self {
        let mut child = Command::new(program())
            .args(line.split(' '))
            .env_clear()
            .env("REEVE_URL", server.url())
            .env("REEVE_USER", "admin")
            .env("REEVE_PASSWORD", PASSWORD)
            .env("HOME", server.data())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("start the command");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        let line = timeout(BOUND, self.lines.next_line()).await.expect("a line in time");
        let line = line.expect("its output is text").expect("the command goes on");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

#[tokio::test]
async fn events_are_shown_and_followed_over_a_restart_of_the_server_without_losing_one() {
    let mut server = Setup::new().start().await;
    let person = Person::admin(&server);
    let admin = server.admin();
    let make = async |name: &str| {
        let wish = json!({"name": name});
        admin.post("/reeve/v1/clusters", &wish).await.expect(201);
    };
    make("one").await;
    make("two").await;
    let events = type_in(&person, "events -o json").await.json();
    let subjects: Vec<_> = events
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| &event["subject"])
        .collect();
    assert_eq!(subjects, ["one", "two"], "{events}");
    let table = type_in(&person, "events --limit 1").await.out;
    assert!(table.lines().count() == 2 && table.contains("  two  "), "{table}");
    let first = events[0]["sequence"].as_i64().expect("a number");
    let later = type_in(&person, &format!("events --after {first} -o name")).await.out;
    assert_eq!(later, format!("{}\n", events[1]["sequence"]));

    let mut following = Following::start(&server, "events --follow --limit 1 -o json");
    assert_eq!(following.next().await["subject"], "two");
    make("three").await;
    assert_eq!(following.next().await["subject"], "three");
    server.kill().await;
    server.restart().await;
    make("four").await;
    make("five").await;
    assert_eq!(following.next().await["subject"], "four");
    assert_eq!(following.next().await["subject"], "five");
    following.child.kill().await.expect("end it");

    let timed = type_in(&person, "events --follow --limit 0 --timeout 1s").await;
    assert_eq!((timed.status, timed.out.lines().count()), (6, 1), "{timed:?}");
}
