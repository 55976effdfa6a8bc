//! The commands against a small server that answers by script, over real HTTP.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{CommandFactory, Parser};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::Client;
use super::context::{Contexts, Credentials, Environment, Target};
use super::failure::{Failure, Kind};
use super::session::Session;
use super::{Command, Connection, Format, dispatch, login};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    globals: Connection,
    #[command(subcommand)]
    command: Command,
}

/// What was written, still readable after the session took the pen.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// What one command left behind.
struct Outcome {
    status: u8,
    failure: Option<Failure>,
    answers: String,
    notes: String,
}

/// A server that answers by script, and ends with the test.
struct Stub {
    address: String,
    _tasks: JoinSet<()>,
}

/// How often an operation was asked for.
type Asked = Arc<AtomicU64>;

impl Stub {
    async fn start() -> Self {
        let routes = Router::new()
            .route("/reeve/v1/status", get(status))
            .route(
                "/reeve/v1/token",
                post(|| async { Json(json!({"accessToken": "exchanged", "tokenType": "Bearer", "expiresIn": 3600})) }),
            )
            .route("/reeve/v1/clusters", get(clusters))
            .route(
                "/reeve/v1/clusters/{name}",
                get(one_cluster).delete(|| async { Json(json!({"gone": true})) }),
            )
            .route(
                "/reeve/v1/clusters/{name}/start",
                post(|| async { Json(json!({"operation": "good"})) }),
            )
            .route("/reeve/v1/clusters/{name}/nodes", get(nodes).post(create_nodes))
            .route("/reeve/v1/clusters/{name}/nodes/{verb}", post(change_nodes))
            .route("/reeve/v1/operations/{id}", get(operation))
            .route("/reeve/v1/credentials", post(create_credential))
            .route("/reeve/v1/clusters/{name}/usage", get(usage))
            .route("/reeve/v1/usage", get(usage))
            .route(
                "/reeve/v1/budgets",
                get(|| async { Json(json!({"items": [budget("metal", 5000.0)]})) }),
            )
            .route(
                "/reeve/v1/clusters/{name}/budget",
                get(|Path(name): Path<String>| async move { Json(budget(&name, 5000.0)) })
                    .put(|Path(name): Path<String>, Json(body): Json<Value>| async move {
                        let mut set = budget(&name, body["amount"].as_f64().unwrap());
                        set["warnPercent"] = body["warnPercent"].clone();
                        Json(set)
                    })
                    .delete(|| async { StatusCode::NO_CONTENT }),
            )
            .with_state(Asked::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, _tasks: tasks }
    }

    async fn run(&self, words: &str) -> Outcome {
        let program = Program::try_parse_from(format!("reeve {words}").split_whitespace()).unwrap();
        let (answers, notes) = (Paper::default(), Paper::default());
        let mut session = Session {
            client: Client::new(Target {
                server: self.address.clone(),
                credentials: Some(ada()),
                insecure: false,
                ca_file: None,
            })
            .unwrap(),
            format: program.globals.output,
            answers: Box::new(answers.clone()),
            notes: Box::new(notes.clone()),
            answers_on_terminal: false,
            notes_on_terminal: false,
            poll: Duration::from_millis(1),
        };
        let failure = dispatch(&mut session, program.command).await.err();
        Outcome {
            status: failure.as_ref().map_or(0, Failure::status),
            failure,
            answers: answers.text(),
            notes: notes.text(),
        }
    }
}

fn ada() -> Credentials {
    Credentials::Password {
        user: "ada".to_owned(),
        password: "secret".to_owned(),
    }
}

fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"code": code, "message": message, "requestId": "request-7"})),
    )
        .into_response()
}

/// Base64 of `ada:secret`.
async fn status(headers: HeaderMap) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|value| value != "Basic YWRhOnNlY3JldA==")
    {
        return problem(StatusCode::UNAUTHORIZED, "unauthenticated", "user or password is wrong");
    }
    Json(
        json!({"version": "0.1.0", "uptimeS": 5, "database": "sqlite", "clusters": 3, "nodes": 2, "nodesRunning": 1,
        "nodesFailed": 1, "activities": []}),
    )
    .into_response()
}

fn cluster(name: &str) -> Value {
    json!({"id": format!("id-{name}"), "name": name, "folder": "f", "goal": "started", "phase": "started",
        "aspects": {"attached": false, "managed": false, "elastic": true}, "generation": 1, "maxCount": 10,
        "maxCores": 100, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        "simulated": name == "paper", "nodes": {"total": 4, "running": 2, "failed": 1, "waiting": 1}})
}

/// What was asked comes back as the name of the one who used it.
async fn usage(Query(query): Query<Vec<(String, String)>>) -> Response {
    let asked: Vec<String> = query
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let machines = json!({"size": "small", "cores": 4, "region": "here", "spot": true, "system": "linux",
        "coreHours": 8.0, "cost": 1.25});
    let item = json!({"kind": "pool", "name": asked.join(","), "coreHours": 8.0, "cost": 1.25, "machines": [machines]});
    Json(
        json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "by": "day", "currency": "USD",
        "coreHours": 8.0, "cost": 1.25, "intervals": [{"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z",
        "coreHours": 8.0, "cost": 1.25, "items": [item]}]}),
    )
    .into_response()
}

fn budget(cluster: &str, amount: f64) -> Value {
    json!({"cluster": cluster, "amount": amount, "currency": "USD", "warnPercent": [], "freezePercent": 100,
        "standing": {"month": "2026-03", "spent": 1250.5, "spentPercent": 25, "unpriced": true, "level": "within",
        "since": "2026-03-01T00:00:00Z"}})
}

/// Three pages of one cluster each.
async fn clusters(Query(query): Query<Vec<(String, String)>>) -> Response {
    let cursor = query
        .iter()
        .find(|(name, _)| name == "cursor")
        .map(|(_, value)| value.as_str());
    let page = match cursor {
        None => json!({"items": [cluster("metal")], "next": "1"}),
        Some("1") => json!({"items": [cluster("paper")], "next": "2"}),
        _ => json!({"items": [cluster("steel")]}),
    };
    Json(page).into_response()
}

async fn one_cluster(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "none" => problem(StatusCode::NOT_FOUND, "not_found", "there is no cluster \"none\""),
        "secret" => problem(StatusCode::FORBIDDEN, "forbidden", "you may not see it"),
        "broken" => (StatusCode::BAD_GATEWAY, [("x-request-id", "request-8")], "<html>").into_response(),
        "odd" => "no JSON".into_response(),
        name => Json(cluster(name)).into_response(),
    }
}

fn node(name: &str) -> Value {
    json!({"id": format!("id-{name}"), "name": name, "cluster": "metal", "pool": "gpu", "size": "big", "cores": 8,
        "goal": "started", "phase": "failed", "generation": 1, "settledGeneration": 1, "reason": "noCapacity",
        "message": "the provider has none left", "since": "2026-01-01T00:00:00Z", "spot": false, "keepAlive": false,
        "fixed": false, "simulated": true, "createdAt": "2026-01-01T00:00:00Z",
        "agent": {"init": "pending", "message": ""}})
}

async fn nodes() -> Json<Value> {
    Json(json!({"items": [node("gpu-1")]}))
}

async fn create_nodes(Json(body): Json<Value>) -> Json<Value> {
    assert_eq!(body, json!({"pool": "gpu", "count": 3}));
    Json(json!({"operation": "good", "added": 2, "message": "the pool has room for 2", "names": ["gpu-1", "gpu-2"]}))
}

/// Refuses `kept`, accepts the rest, and knows nothing of `ghost`.
async fn change_nodes(Json(body): Json<Value>) -> Response {
    let names = body["names"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| *name != "ghost");
    let nodes: Vec<Value> = names
        .map(|name| match name {
            "kept" => json!({"id": "k", "name": name, "ok": false, "error": "it is kept alive"}),
            _ => json!({"id": "i", "name": name, "ok": true}),
        })
        .collect();
    Json(json!({"operation": "good", "nodes": nodes})).into_response()
}

/// `good` and `bad` end at the third question; `slow` never does; `flaky` is away twice before it ends.
async fn operation(State(asked): State<Asked>, Path(id): Path<String>) -> Response {
    let times = asked.fetch_add(1, Ordering::SeqCst);
    if id == "flaky" && times < 2 {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database is away");
    }
    let (state, done, failed) = match (id.as_str(), times) {
        ("slow", _) | (_, 0) => ("running", 0, 0),
        ("late", _) => ("superseded", 0, 0),
        (_, 1) => ("running", 1, 0),
        ("bad", _) => ("failed", 1, 1),
        _ => ("succeeded", 2, 0),
    };
    Json(
        json!({"id": id, "cluster": "metal", "verb": "start", "actor": "ada", "createdAt": "2026-01-01T00:00:00Z",
        "state": state, "progress": {"total": 2, "done": done, "failed": failed, "superseded": 0}}),
    )
    .into_response()
}

async fn create_credential(Json(body): Json<Value>) -> Json<Value> {
    assert_eq!(body["kind"], "application");
    Json(json!({"id": "c", "kind": "application", "name": body["name"], "clientId": "ci", "clientSecret": "cs"}))
}

#[tokio::test]
async fn a_list_is_read_over_all_its_pages() {
    let stub = Stub::start().await;
    assert_eq!(stub.run("cluster list -o name").await.answers, "metal\npaper\nsteel\n");
}

#[tokio::test]
async fn simulated_clusters_and_nodes_are_marked_in_tables() {
    let stub = Stub::start().await;
    let clusters = stub.run("cluster list").await.answers;
    let marked: Vec<&str> = clusters.lines().filter(|line| line.ends_with("simulated")).collect();
    assert!(marked.len() == 1 && marked[0].starts_with("paper"), "{clusters}");
    assert!(
        stub.run("node list metal")
            .await
            .answers
            .lines()
            .nth(1)
            .unwrap()
            .ends_with("simulated")
    );
    assert!(stub.run("node list metal -o wide").await.answers.contains("simulated"));
    assert!(stub.run("cluster get paper").await.answers.contains("simulated"));
}

#[tokio::test]
async fn refusals_end_in_the_exit_status_that_scripts_expect() {
    let stub = Stub::start().await;
    for (name, status) in [("none", 4), ("secret", 3), ("broken", 2), ("odd", 2), ("metal", 0)] {
        assert_eq!(stub.run(&format!("cluster get {name}")).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_request() {
    let stub = Stub::start().await;
    let failure = stub.run("cluster get none").await.failure.unwrap();
    assert_eq!(failure.why, "there is no cluster \"none\"");
    assert_eq!(failure.request_id.as_deref(), Some("request-7"));
    let failure = stub.run("cluster get broken").await.failure.unwrap();
    assert_eq!(failure.request_id.as_deref(), Some("request-8"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_address() {
    let mut stub = Stub::start().await;
    // Port 1 is reserved and nobody listens there.
    stub.address = "http://127.0.0.1:1".to_owned();
    let outcome = stub.run("cluster list").await;
    assert_eq!(outcome.status, 2);
    assert!(
        outcome
            .failure
            .unwrap()
            .why
            .starts_with("http://127.0.0.1:1/ cannot be reached")
    );
}

#[tokio::test]
async fn an_operation_is_watched_to_its_end() {
    let stub = Stub::start().await;
    let outcome = stub.run("operation watch good -o name").await;
    assert_eq!((outcome.status, outcome.answers.as_str()), (0, "good\n"));
    let lines: Vec<&str> = outcome
        .notes
        .lines()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(lines, ["0 of 2 nodes done", "1 of 2 nodes done", "2 of 2 nodes done"]);
}

#[tokio::test]
async fn a_failed_operation_names_the_nodes_that_failed() {
    let stub = Stub::start().await;
    let outcome = stub.run("operation watch bad").await;
    assert_eq!(outcome.status, 2);
    let why = outcome.failure.unwrap().why;
    assert!(
        why.ends_with("1 of 2 nodes failed; gpu-1: the provider has none left (noCapacity)"),
        "{why}"
    );
}

#[tokio::test]
async fn an_overtaken_operation_is_a_conflict() {
    assert_eq!(Stub::start().await.run("operation watch late").await.status, 5);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_does_not_end_the_waiting() {
    assert_eq!(Stub::start().await.run("operation watch flaky").await.status, 0);
}

#[tokio::test]
async fn waiting_ends_when_the_time_is_over() {
    let outcome = Stub::start().await.run("operation watch slow --timeout 0s").await;
    assert_eq!(outcome.status, 6);
}

#[tokio::test]
async fn a_watched_list_that_does_not_change_is_printed_once_elsewhere_than_on_a_terminal() {
    let outcome = Stub::start().await.run("node list metal --watch --timeout 1s").await;
    assert_eq!((outcome.status, outcome.answers.lines().count()), (6, 2));
}

#[tokio::test]
async fn starting_a_cluster_can_wait_for_it() {
    let outcome = Stub::start().await.run("cluster start metal --wait").await;
    assert_eq!(outcome.status, 0);
    assert_eq!(outcome.answers, "cluster metal: start accepted, operation good\n");
    assert!(outcome.notes.contains("2 of 2 nodes done"));
}

#[tokio::test]
async fn fewer_nodes_than_asked_for_are_warned_about() {
    let outcome = Stub::start()
        .await
        .run("node create metal --pool gpu --count 3 -o name")
        .await;
    assert_eq!((outcome.status, outcome.answers.as_str()), (0, "gpu-1\ngpu-2\n"));
    assert!(
        outcome
            .notes
            .contains("only 2 of 3 nodes were made: the pool has room for 2")
    );
}

#[tokio::test]
async fn refused_and_unknown_nodes_are_failures_though_the_others_were_accepted() {
    let stub = Stub::start().await;
    assert_eq!(stub.run("node terminate metal a kept").await.status, 5);
    assert_eq!(stub.run("node terminate metal a ghost").await.status, 4);
    assert_eq!(stub.run("node terminate metal a b").await.status, 0);
}

#[tokio::test]
async fn a_new_application_is_printed_as_json_with_its_secret() {
    let words = "credential create --kind application --name ci --role viewer -o json";
    let answer: Value = serde_json::from_str(&Stub::start().await.run(words).await.answers).unwrap();
    assert_eq!(
        (answer["clientId"].as_str(), answer["clientSecret"].as_str()),
        (Some("ci"), Some("cs"))
    );
    assert!(answer.get("apiKey").is_none());
}

#[tokio::test]
async fn a_login_is_tried_before_it_is_kept() {
    let stub = Stub::start().await;
    let folder = std::env::temp_dir().join(format!("reeve-login-{}", std::process::id()));
    let environment = Environment {
        settings: Some(folder.clone()),
        ..Environment::default()
    };
    let globals = Connection {
        server: Some(stub.address.clone()),
        output: Format::Table,
        ..Connection::default()
    };
    let wrong = Credentials::Token("wrong".to_owned());
    let flags = |keep_password| {
        let mut flags = login::Login::named("work");
        flags.keep_password = keep_password;
        flags
    };
    let failure = login::keep(&flags(false), wrong, &globals, &environment)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, Kind::Credentials);
    assert!(!folder.exists());
    let words = login::keep(&flags(false), ada(), &globals, &environment).await.unwrap();
    assert!(words.contains("ada") && !words.contains("secret"), "{words}");
    let saved = Contexts::load(&environment).unwrap();
    assert!(saved.current.as_deref() == Some("work") && saved.contexts["work"].server == stub.address);
    let kept = &saved.contexts["work"];
    assert!(kept.password.is_none() && kept.token.as_deref() == Some("exchanged"));
    login::keep(&flags(true), ada(), &globals, &environment).await.unwrap();
    let kept = Contexts::load(&environment).unwrap().contexts["work"].clone();
    assert!(kept.password.is_some() && kept.token.is_none());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_flags_and_commands_do_not_contradict_each_other() {
    Program::command().debug_assert();
}

#[test]
fn verbs_on_nodes_need_a_node() {
    let parse = |words: &str| Program::try_parse_from(words.split_whitespace()).map(|_| ());
    assert!(parse("reeve node terminate metal").is_err());
    assert!(parse("reeve node terminate metal gpu-1").is_ok());
    assert!(parse("reeve node terminate metal --id 7").is_ok());
    assert!(parse("reeve node create metal --pool gpu --count 0").is_err());
}

#[tokio::test]
async fn usage_is_a_plain_table_elsewhere_than_on_a_terminal() {
    let server = Stub::start().await;
    let shown = server.run("usage metal").await;
    assert_eq!((shown.status, shown.notes.as_str()), (0, ""));
    assert_eq!(
        shown.answers,
        "FROM        CORE-HOURS  USD\n2026-03-01  8.00        1.25\ntotal       8.00        1.25\n"
    );
    let wide = server
        .run("usage --by hour --from 2026-03-01 --to 2026-03-02 --folder lab -o wide")
        .await;
    assert!(
        wide.answers
            .contains("by=hour,from=2026-03-01,to=2026-03-02,folder=lab"),
        "{}",
        wide.answers
    );
    assert!(wide.answers.contains("spot"), "{}", wide.answers);
    let json: Value = serde_json::from_str(&server.run("usage metal -o json").await.answers).unwrap();
    assert_eq!(json["intervals"][0]["items"][0]["machines"][0]["size"], "small");
}

#[tokio::test]
async fn budgets_are_set_shown_listed_and_deleted() {
    let server = Stub::start().await;
    let set = server
        .run("budget set metal --amount 99.5 --warn 50 --warn 80 -o json")
        .await;
    let shown: Value = serde_json::from_str(&set.answers).unwrap();
    assert_eq!(
        (&shown["amount"], &shown["warnPercent"]),
        (&json!(99.5), &json!([50, 80]))
    );
    let listed = server.run("budget list").await;
    assert_eq!(
        listed.answers,
        "CLUSTER  AMOUNT   SPENT     USED  LEVEL   FREEZE  DRAIN\nmetal    5000.00  1250.50+  25%   within  100%    -\n"
    );
    assert!(server.run("budget get metal").await.answers.contains("2026-03"));
    let gone = server.run("budget delete metal -o name").await;
    assert_eq!((gone.status, gone.answers.as_str()), (0, "metal\n"));
}
