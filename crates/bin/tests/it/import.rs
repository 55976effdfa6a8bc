//! `reeve cluster import`: the template of a whole cluster becomes pools and buckets, or is refused line by line.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    command::Person,
    server::{Server, Setup},
    wait::{BOUND, until},
};

const TEMPLATE: &str = include_str!("../data/cyclecloud/demo.txt");
const STATUS: &str = include_str!("../data/cyclecloud/cluster_status.json");

/// A simulated cloud with the quotas of the example, part of them used by somebody else.
const CLOUD: &str = r#"
[provider.cloud]
kind = "fake"
[provider.cloud.quota]
regional_cores = 700
spot_cores = 100
families = { standardFSv2Family = 300, standardHCSFamily = 352, standardDSv5Family = 100 }
[provider.cloud.quota.used_by_others]
regional_cores = 68
family_cores = { standardFSv2Family = 24, standardHCSFamily = 44 }
"#;

async fn import(server: &Server, template: &str, more: &[&str]) -> crate::command::Ran {
    let person = Person::admin(server);
    let file = person.home().join("demo.txt");
    std::fs::write(&file, template).expect("write the template");
    let file = file.display().to_string();
    let arguments = [&["cluster", "import", &file, "--name", "demo"], more].concat();
    person.reeve(&arguments).await
}

/// The status without what differs from run to run, and without what only a stock-out leaves behind.
fn comparable(mut status: Value) -> Value {
    for array in status["nodearrays"].as_array_mut().into_iter().flatten() {
        // The example's files were taken before this pool inherited from another.
        if array["name"] == "spot" {
            array["nodearray"]["Configuration"].take();
        }
        for bucket in array["buckets"].as_array_mut().into_iter().flatten() {
            bucket["bucketId"].take();
            bucket["lastCapacityFailure"].take();
        }
    }
    status
}

#[tokio::test]
async fn the_example_template_gives_the_buckets_of_the_example_status() {
    let server = Setup::new().config(CLOUD).start().await;
    let ran = import(&server, TEMPLATE, &["--start"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let admin = server.admin();
    let sets = json!({"sets": [
        {"nodearray": "htc", "count": 2, "definition": {"machineType": "Standard_F4s_v2"}},
        {"nodearray": "htc", "count": 1, "definition": {"machineType": "Standard_F16s_v2"}},
        {"nodearray": "hpc", "count": 5, "placementGroupId": "hpc-Standard_HC44rs-pg0"},
        {"nodearray": "spot", "count": 2},
    ]});
    let made = admin.post("/clusters/demo/nodes/create", &sets).await.expect(202);
    let added: Vec<u64> = made["sets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|set| set["added"].as_u64())
        .collect();
    assert_eq!(added, [2, 1, 5, 2], "{made}");
    let expected = comparable(serde_json::from_str(STATUS).expect("the example is JSON"));
    until("the example's status", BOUND, async || {
        let status = comparable(admin.get("/clusters/demo/status").await.expect(200));
        match difference("", &expected, &status) {
            None => Ok(()),
            Some(difference) => Err(difference),
        }
    })
    .await;
}

/// The first place at which two documents differ; the order of keys means nothing in this dialect.
fn difference(at: &str, expected: &Value, seen: &Value) -> Option<String> {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            if keys(expected) != keys(seen) {
                return Some(format!("{at}: keys {:?} instead of {:?}", keys(seen), keys(expected)));
            }
            expected
                .iter()
                .find_map(|(key, value)| difference(&format!("{at}/{key}"), value, &seen[key]))
        }
        (Value::Array(expected), Value::Array(seen)) if expected.len() == seen.len() => expected
            .iter()
            .zip(seen)
            .enumerate()
            .find_map(|(index, (expected, seen))| difference(&format!("{at}/{index}"), expected, seen)),
        _ => (expected != seen).then(|| format!("{at}: {seen} instead of {expected}")),
    }
}

#[tokio::test]
async fn a_template_with_mistakes_is_refused_with_the_line_of_each() {
    let server = Setup::new().config(CLOUD).start().await;
    let unknown = TEMPLATE.replace("Standard_HC44rs", "Standard_HC45rs");
    let line = 1 + unknown
        .lines()
        .position(|line| line.contains("HC45rs"))
        .expect("the mistake");
    let ran = import(&server, &unknown, &[]).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.out.is_empty(), "{ran:?}");
    assert!(ran.err.contains("Standard_HC45rs"), "{ran:?}");
    assert!(ran.err.contains(&format!("line {line}")), "line {line}: {ran:?}");
    server.admin().get("/clusters/demo/status").await.expect(404);
}
