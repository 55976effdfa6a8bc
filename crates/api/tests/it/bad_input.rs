//! Requests that no dialect can do anything with, each refused in its dialect's own shape.

use serde_json::Value;

use crate::world::furnished;

const PROJECT: &str = "/apis/infra.k8smgmt.io/v3/projects/defaultproject/clusters";
const UNKNOWN: &str = "/api/v1/clusters/5c1d7f0e-3b52-4d7a-9a41-7e0c8f6b2d10";

/// Fields that every error of a path's dialect has.
pub(crate) fn fields(path: &str) -> &'static [&'static str] {
    if path.starts_with("/apis/") {
        &["code", "external"]
    } else if path.starts_with("/api/") || path.starts_with("/v1/k8s/") {
        &["code", "message"]
    } else if path.starts_with("/reeve/agent/") {
        &["code", "message", "retryable"]
    } else if path.starts_with("/reeve/") {
        &["code", "message", "requestId"]
    } else {
        &["Message", "Detail"]
    }
}

#[tokio::test]
async fn what_can_not_be_read_or_found_is_refused_in_the_shape_of_its_dialect() {
    let world = furnished().await;
    let admin = world.caller("somebody", "admin", "/").await;
    let approve = format!("{PROJECT}/edge-lab/nodes/lab-n1/approve");
    let missing = format!("{PROJECT}/missing/status");
    let rows: [(&str, &str, &[u8], u16); 34] = [
        ("GET", "/reeve/v1/clusters/missing", b"", 404),
        ("POST", "/reeve/v1/clusters/hpc/nodes", b"", 400),
        (
            "POST",
            "/reeve/v1/clusters/hpc/nodes",
            br#"{"pool":"execute","count":"3"}"#,
            400,
        ),
        ("POST", "/reeve/v1/clusters/hpc/nodes/deallocate", b"\xff", 400),
        ("GET", "/reeve/v1/clusters/%ff", b"", 400),
        ("PATCH", "/reeve/v1/clusters/hpc", b"", 405),
        ("GET", "/reeve/v1/nowhere", b"", 404),
        ("GET", "/clusters/missing/status", b"", 404),
        ("GET", "/clusters/%ff/status", b"", 400),
        ("POST", "/clusters/hpc/nodes/create", b"{", 400),
        ("POST", "/clusters/hpc/nodes/create", b"\"\xff\"", 400),
        ("POST", "/clusters/hpc/nodes/create", b"", 409),
        (
            "POST",
            "/clusters/hpc/nodes/create",
            br#"{"sets":[{"nodearray":"execute","count":"3"}]}"#,
            409,
        ),
        (
            "POST",
            "/clusters/hpc/nodes/create",
            br#"{"sets":[{"nodearray":"missing","count":1}]}"#,
            409,
        ),
        ("POST", "/clusters/hpc/nodes/start", b"{}", 409),
        (
            "POST",
            "/clusters/hpc/nodes/reimage",
            br#"{"names":["execute-1"]}"#,
            409,
        ),
        ("POST", "/clusters/hpc/nodes/dance", b"{}", 404),
        ("PUT", "/clusters/hpc/nodes", b"", 405),
        ("GET", "/operations/none", b"", 404),
        ("GET", UNKNOWN, b"", 404),
        ("GET", "/api/v1/clusters/no-uuid", b"", 400),
        ("GET", "/api/v1/clusters/%ff", b"", 400),
        ("POST", "/api/v1/clusters", b"", 400),
        ("POST", "/api/v1/clusters", br#"{"name":7}"#, 400),
        ("POST", "/api/v1/clusters", b"\"\xff\"", 400),
        ("PATCH", "/api/v1/clusters", b"", 405),
        ("GET", "/api/v1/nowhere", b"", 404),
        ("GET", &missing, b"", 404),
        ("POST", PROJECT, b"", 400),
        ("POST", PROJECT, b"{\"kind\":\"\xff\"}", 400),
        ("POST", &approve, b"", 400),
        ("PATCH", PROJECT, b"", 405),
        ("PUT", "/reeve/agent/v1/beat", b"", 405),
        ("POST", "/reeve/agent/v1/dance", b"", 404),
    ];
    let large = vec![b' '; 5 << 20];
    let paths = [
        "/reeve/v1/clusters",
        "/clusters/hpc/nodes/create",
        "/api/v1/clusters",
        PROJECT,
        "/reeve/agent/v1/beat",
    ];
    let oversized = paths.map(|path| ("POST", path, &large[..], 413));
    let mut faults = Vec::new();
    for (method, path, body, status) in rows.into_iter().chain(oversized) {
        let answer = world.call(Some(&admin), method, path, body.to_vec()).await;
        let shape: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
        let shaped = fields(path).iter().all(|field| shape.get(field).is_some());
        if answer.status.as_u16() != status || !shaped {
            faults.push(format!(
                "{method} {path}: {} instead of {status}: {}",
                answer.status, answer.text
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
