//! Starting, ending, starting again, and when a start is refused.

use reeve_store::args;
use serde_json::json;

use crate::{
    database,
    http::Client,
    local,
    server::{Folder, Setup},
    wait::{BOUND, until},
};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_and_a_restart_on_the_same_address() {
    let mut server = Setup::new().start().await;
    let admin = server.admin();
    admin
        .post("/reeve/v1/clusters", &json!({"name": "kept"}))
        .await
        .expect(201);
    let url = server.url().to_owned();
    server.kill().await;
    server.restart().await;
    assert_eq!(server.url(), url);
    let shown = admin.get("/reeve/v1/clusters/kept").await.expect(200);
    assert_eq!(shown["name"], "kept", "{shown}");
    let nobody = Client::new(server.url(), None, None);
    let refused = nobody.get("/reeve/v1/clusters/kept").await;
    refused.expect(401);
    assert!(refused.headers.contains_key("www-authenticate"), "{refused:?}");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_local_node_is_a_process_that_survives_the_server_and_ends_with_its_wish() {
    let mut server = Setup::new().environment("REEVE_LOG", "info").start().await;
    let admin = server.admin();
    local::import(&admin, "demo", 10, "").await;
    let wish = json!({"pool": "execute", "count": 2});
    let path = "/reeve/v1/clusters/demo/nodes";
    assert_eq!(admin.post(path, &wish).await.expect(202)["added"], 2);
    let running = async || {
        let nodes = local::nodes(&admin, "demo").await;
        let up = nodes.iter().filter(|node| node["phase"] == "running").count();
        if up == 2 { Ok(()) } else { Err(format!("{nodes:?}")) }
    };
    until("two nodes to run", BOUND, running).await;
    let before = server.machines();
    assert_eq!(before.len(), 2, "{before:?}");
    server.kill().await;
    assert_eq!(server.machines(), before);
    server.restart().await;
    let names = json!({"names": ["execute-1", "execute-2"]});
    admin.post(&format!("{path}/terminate"), &names).await.expect(202);
    let gone = async || {
        let (nodes, machines) = (local::nodes(&admin, "demo").await, server.machines());
        if nodes.is_empty() && machines.is_empty() {
            return Ok(());
        }
        Err(format!("{nodes:?} {machines:?}"))
    };
    until("no node and no process", BOUND, gone).await;
    assert!(server.log().contains("reeve"), "the log is kept: {}", server.log());
}

#[tokio::test]
async fn an_open_stream_of_events_ends_in_order_when_the_server_is_asked_to_end() {
    let mut server = Setup::new().start().await;
    let stream = server.admin().open("/reeve/v1/events").await;
    assert!(server.terminate().await.success());
    // Cut off after the grace, the body would be an error.
    stream.text().await.expect("a whole body");
}

#[tokio::test]
async fn a_data_folder_that_another_server_uses_is_refused_and_that_server_goes_on() {
    let server = Setup::new().start().await;
    let (status, said) = Setup::new().data(server.data()).refused().await;
    assert_eq!(status.code(), Some(1), "{said}");
    let folder = server.data().display().to_string();
    assert!(
        said.contains("is in use by another reeve") && said.contains(&folder),
        "{said}"
    );
    let holder = format!("held by process {}", server.pid().expect("it runs"));
    assert!(said.contains(&holder), "{holder}: {said}");
    server.admin().get("/reeve/v1/clusters").await.expect(200);
}

#[tokio::test]
async fn a_database_that_a_newer_program_wrote_is_refused_and_left_as_it_is() {
    let mut server = Setup::new().start().await;
    let kept = json!({"name": "kept"});
    server.admin().post("/reeve/v1/clusters", &kept).await.expect(201);
    assert!(server.terminate().await.success());
    let newer = "insert into schema_version (version, applied_at) values ($1, $2)";
    database::run(server.data(), newer, args![9999, 1]).await;
    let file = server.data().join("reeve.db");
    let before = std::fs::read(&file).expect("the database");
    let (status, said) = Setup::new().data(server.data()).refused().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("a newer reeve wrote this database (schema version 9999, this program knows "),
        "{said}"
    );
    assert!(said.contains("start that newer program"), "{said}");
    assert!(std::fs::read(&file).expect("the database") == before, "it was changed");
}

#[tokio::test]
async fn an_address_that_another_program_has_is_refused_before_anything_is_written() {
    let server = Setup::new().start().await;
    let (_, taken) = server.url().split_once("://").expect("a URL");
    let folder = Folder::new();
    let data = folder.path().join("data");
    let (status, said) = Setup::new()
        .config(&format!("listen = \"{taken}\""))
        .listen_as_configured()
        .data(&data)
        .refused()
        .await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("can not listen on") && said.contains(taken), "{said}");
    assert!(!data.exists());
}

#[tokio::test]
async fn a_self_signed_server_is_trusted_by_who_has_its_certificate_and_by_nobody_else() {
    let server = Setup::new().arguments(&["--tls", "self-signed"]).start().await;
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let certificate = server.data().join("tls/cert.pem");
    Client::new(server.url(), None, Some(&certificate))
        .get("/healthz")
        .await
        .expect(200);
    let stranger = Client::new(server.url(), None, None);
    let refused = stranger.attempt(reqwest::Method::GET, "/healthz", None).await;
    assert!(refused.is_err(), "{refused:?}");
}
