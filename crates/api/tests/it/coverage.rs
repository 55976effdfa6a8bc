//! The coverage page of each dialect, held against the routes there are, what they answer, and the tests it names.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::{
    bad_input::fields,
    world::{Caller, Dialect, World, furnished},
};

/// Where clusters of a project lie, as the Rafay page writes it.
const BASE: &str = "/apis/infra.k8smgmt.io/v3/projects/{project}/clusters";
const PAGES: [(Dialect, &str); 3] = [
    (Dialect::CycleCloud, include_str!("../../src/cyclecloud/COVERAGE.md")),
    (Dialect::Rafay, include_str!("../../src/rafay/COVERAGE.md")),
    (Dialect::RunAi, include_str!("../../src/runai/COVERAGE.md")),
];

/// One call that a page names.
#[derive(Debug)]
struct Call {
    method: String,
    path: String,
    state: String,
    remark: String,
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every call that stands in the first column of a table.
fn calls(page: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [names, state, remark] = cells[..] else { continue };
        for (method, path) in quoted(names).filter_map(|name| name.split_once(' ')) {
            if path.starts_with('/') || path.starts_with("{BASE}") {
                calls.push(Call {
                    method: method.to_owned(),
                    path: path.replace("{BASE}", BASE),
                    state: state.to_owned(),
                    remark: remark.to_owned(),
                });
            }
        }
    }
    calls
}

/// True when a route answers to a path, whatever its parameters are called.
fn answers(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let same = |(route, path): (&&str, &&str)| route.starts_with('{') || route == path;
    route.len() == path.len() && route.iter().zip(&path).all(same)
}

fn routes(dialect: Dialect) -> Vec<(&'static str, String)> {
    let mine = |(_, path): &(&str, String)| Dialect::of(path) == dialect;
    reeve_api::listing().into_iter().filter(mine).collect()
}

#[test]
fn every_route_stands_on_its_page_and_every_call_said_to_be_offered_has_a_route() {
    let mut faults = Vec::new();
    for (dialect, page) in PAGES {
        let (calls, routes) = (calls(page), routes(dialect));
        assert!(!calls.is_empty() && !routes.is_empty(), "{dialect:?}");
        for (method, route) in &routes {
            if !calls
                .iter()
                .any(|call| call.method == *method && answers(route, &call.path))
            {
                faults.push(format!("{dialect:?}: {method} {route} is on no line"));
            }
        }
        for call in calls {
            let there = routes
                .iter()
                .any(|(method, route)| call.method == *method && answers(route, &call.path));
            let wanted = match call.state.as_str() {
                "covered" | "partial" => true,
                // Where something else is said than 404 there is a route that says it.
                "not yet" => expected(&call) != 404,
                _ => {
                    faults.push(format!("{dialect:?}: no such state: {call:?}"));
                    continue;
                }
            };
            if there != wanted {
                faults.push(format!("{dialect:?}: {call:?} has a route: {there}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Routes whose answers differ from run to run, or never end.
const NOT_KEPT: [&str; 6] = [
    "/metrics",
    "/.well-known/jwks.json",
    "/reeve/v1/openapi.json",
    "/reeve/v1/status",
    "/reeve/v1/events",
    "/reeve/agent/v1/binary/{architecture}",
];

#[test]
fn every_route_is_called_in_a_golden_transcript() {
    let mut called = Vec::new();
    for dialect in ["cyclecloud", "native", "rafay", "runai"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect);
        for entry in fs::read_dir(folder).expect("a folder") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("a transcript");
            let requests = text.lines().filter_map(|line| line.strip_prefix("> ")?.split_once(' '));
            called.extend(requests.map(|(method, path)| (method.to_owned(), path.to_owned())));
        }
    }
    let shown = |(method, route): &(&str, String)| {
        called.iter().any(|(sent, path)| {
            let path = path.split('?').next().unwrap_or_default();
            sent == method && answers(route, path.trim_end_matches('/'))
        })
    };
    let missing: Vec<_> = reeve_api::listing()
        .into_iter()
        .filter(|route| !NOT_KEPT.contains(&route.1.as_str()) && !shown(route))
        .collect();
    assert!(missing.is_empty(), "no transcript shows {missing:#?}");
}

#[test]
fn every_route_of_the_native_api_stands_in_its_document() {
    let document: Value = serde_json::from_str(include_str!("../golden/openapi.json")).expect("JSON");
    let missing: Vec<_> = routes(Dialect::Native)
        .into_iter()
        .filter(|(method, route)| {
            let paths = document["paths"].as_object().expect("paths");
            let there = |(path, verbs): (&String, &Value)| {
                answers(route, path) && verbs.get(method.to_ascii_lowercase()).is_some()
            };
            !paths.iter().any(there)
        })
        .collect();
    assert!(missing.is_empty(), "the document lacks {missing:#?}");
}

/// The status that a call which is not offered answers: the first number of its remark, else 404.
fn expected(call: &Call) -> u16 {
    let numbers = call.remark.split(|letter: char| !letter.is_ascii_digit());
    numbers
        .filter_map(|number| number.parse().ok())
        .find(|number| *number >= 400)
        .unwrap_or(404)
}

#[tokio::test]
async fn what_is_not_offered_yet_answers_what_its_page_says_in_the_shape_of_its_dialect() {
    let world = furnished().await;
    let admin = world.caller("somebody", "admin", "/").await;
    let mut faults = Vec::new();
    for (dialect, page) in PAGES {
        for call in calls(page).into_iter().filter(|call| call.state == "not yet") {
            if let Some(fault) = refused(&world, &admin, dialect, &call).await {
                faults.push(fault);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn refused(world: &World, admin: &Caller, dialect: Dialect, call: &Call) -> Option<String> {
    let mut path = Vec::new();
    for part in call.path.split('/') {
        path.push(match (dialect, part) {
            (Dialect::CycleCloud, "{cluster}") => "hpc".to_owned(),
            (Dialect::CycleCloud, "{node}") => "execute-1".to_owned(),
            (Dialect::RunAi, "{clusterUuid}" | "{clusterId}" | "{cluster_uuid}") => world.id_of("train").await,
            (Dialect::Rafay, "{project}") => "defaultproject".to_owned(),
            (Dialect::Rafay, "{name}") => "edge-lab".to_owned(),
            (_, part) if part.starts_with('{') => "1".to_owned(),
            (_, part) => part.to_owned(),
        });
    }
    let path = path.join("/");
    let body = if call.method == "GET" {
        ""
    } else {
        r#"{"names":["execute-1"]}"#
    };
    let answer = world.call(Some(admin), &call.method, &path, body).await;
    let shape: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
    let shaped = fields(&path).iter().all(|field| shape.get(field).is_some());
    let said = dialect != Dialect::RunAi || answer.text.contains("is not offered by this version");
    let right = answer.status.as_u16() == expected(call) && shaped && said;
    (!right).then(|| format!("{} {path}: {} {}", call.method, answer.status, answer.text))
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut known = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the folder of all crates");
    functions(crates, &mut known);
    let cited = PAGES.iter().flat_map(|(_, page)| quoted(page)).filter(|name| {
        // Tests are sentences; nothing else that pages quote has that many words.
        let words = name.chars().filter(|letter| *letter == '_').count();
        words >= 4
            && name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    });
    let missing: Vec<&str> = cited.filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "no test is called {missing:#?}");
}

/// Names of all functions in the sources below a folder.
fn functions(folder: &Path, known: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, known);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let after = text.split("fn ").skip(1);
            known.extend(
                after
                    .filter_map(|rest| rest.split_once('('))
                    .map(|(name, _)| name.to_owned()),
            );
        }
    }
}
