//! A node whose initialization failed is started once more on the same machine.

use serde_json::{Value, json};

use crate::{
    http::Client,
    local,
    server::{Folder, Setup},
    wait::{BOUND, until},
};

async fn reaches(admin: &Client, phase: &str) -> Value {
    until(phase, BOUND, async || {
        let nodes = local::nodes(admin, "retry").await;
        match nodes.as_slice() {
            [node] if node["phase"] == phase => Ok(node.clone()),
            _ => Err(format!("{nodes:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_retry_after_a_failed_script_runs_the_scripts_again_on_the_same_machine() {
    let folder = Folder::new();
    let (open, runs) = (folder.path().join("open"), folder.path().join("runs"));
    let script = format!("echo run >> {}; test -e {}", runs.display(), open.display());
    let server = Setup::new().start().await;
    let admin = server.admin();
    local::import(
        &admin,
        "retry",
        5,
        &format!("[[[cluster-init mended]]]\nScript = '''\n{script}\n'''"),
    )
    .await;
    let path = "/reeve/v1/clusters/retry/nodes";
    admin
        .post(path, &json!({"pool": "execute", "count": 1}))
        .await
        .expect(202);
    let failed = reaches(&admin, "failed").await;
    assert_eq!(failed["reason"], "InitFailed", "{failed}");
    let again = json!({"ids": [failed["id"]]});

    // Nothing was mended: it runs once more and fails once more.
    admin.post(&format!("{path}/retry"), &again).await.expect(202);
    until("a second failure", BOUND, async || {
        let times = std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
        if times == 2 {
            Ok(())
        } else {
            Err(format!("{times} runs"))
        }
    })
    .await;
    reaches(&admin, "failed").await;

    std::fs::write(&open, "").expect("mend it");
    admin.post(&format!("{path}/retry"), &again).await.expect(202);
    let running = reaches(&admin, "running").await;
    assert_eq!(
        (&running["id"], &running["machine"]),
        (&failed["id"], &failed["machine"])
    );
    assert_eq!(server.machines().len(), 1);
}
