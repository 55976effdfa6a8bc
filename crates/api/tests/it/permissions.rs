//! Who may do what: every route of every dialect, called by nobody, a stranger, a viewer, an operator and an admin.

use std::collections::BTreeSet;

use reeve_control::cluster::{self, Selector};
use serde_json::json;

use crate::world::{Caller, DOCUMENT, ELSEWHERE, TEMPLATE, World, furnished};

/// The matrix, in the order in which each caller goes through it in a world of their own: what ends things comes last.
///
/// The columns after the path: nobody (no credential), a stranger (admin of a folder in which nothing lies), a viewer,
/// an operator, an admin (all three of the whole tenant). In a cell stands a status, or `ok` for any that is no refusal
/// (a 400 or 409 tells that the caller was let through to the rules). `public` and `token` stand for all five.
const MATRIX: &str = "
# What machines ask a server. Public: a balancer, a scraper and a verifier of our tokens have no credential here.
GET    /healthz                                  public
GET    /readyz                                   public
GET    /metrics                                  public
GET    /.well-known/jwks.json                    public
GET    /.well-known/openid-configuration         public
# Public: it describes the API, not what is in it.
GET    /reeve/v1/openapi.json                    public

# Our own API. What a caller may not see does not exist. A stranger's lists are empty, not refused.
GET    /reeve/v1/status                          401 200 200 200 200
POST   /reeve/v1/token                           401 200 200 200 200
GET    /reeve/v1/clusters                        401 200 200 200 200
POST   /reeve/v1/clusters                        401 404 403 201 201
POST   /reeve/v1/clusters/import                 401 404 403 200 200
GET    /reeve/v1/clusters/{cluster}              401 404 200 200 200
POST   /reeve/v1/clusters/{cluster}/start        401 404 403 202 202
GET    /reeve/v1/clusters/{cluster}/pools        401 404 200 200 200
GET    /reeve/v1/clusters/{cluster}/nodes        401 404 200 200 200
POST   /reeve/v1/clusters/{cluster}/nodes        401 404 403 202 202
GET    /reeve/v1/clusters/{cluster}/nodes/{node} 401 404 200 200 200
POST   /reeve/v1/clusters/{cluster}/nodes/{node} 401 404 403 202 202
GET    /reeve/v1/clusters/{cluster}/usage        401 404 200 200 200
GET    /reeve/v1/clusters/{cluster}/budget       401 404 200 200 200
# Operators work within a budget; who may spend how much is an admin's to say.
PUT    /reeve/v1/clusters/{cluster}/budget       401 404 403 403 200
DELETE /reeve/v1/clusters/{cluster}/budget       401 404 403 403 204
# Of the whole tenant, so who sees a part of it must name a folder.
GET    /reeve/v1/usage                           401 403 200 200 200
GET    /reeve/v1/budgets                         401 200 200 200 200
GET    /reeve/v1/operations                      401 200 200 200 200
GET    /reeve/v1/operations/{operation}          401 404 200 200 200
GET    /reeve/v1/folders                         401 200 200 200 200
POST   /reeve/v1/folders                         401 403 403 201 201
GET    /reeve/v1/credentials                     401 403 403 403 200
POST   /reeve/v1/credentials                     401 403 403 403 201
DELETE /reeve/v1/credentials/{credential}        401 403 403 403 204
GET    /reeve/v1/audit                           401 403 403 200 200
GET    /reeve/v1/events                          401 200 200 200 200

# Agents. No role opens these: a join token lets an agent in, and its own credential keeps it in.
POST   /reeve/agent/v1/enroll                    token
POST   /reeve/agent/v1/beat                      token
GET    /reeve/agent/v1/binary/{architecture}     token

# Run:ai. Public: here a token is asked for; the credential is in the body, and a wrong one is a 400 (or, at the
# second, an OAuth error). Objects outside the caller's scopes are a 403; lists leave them out.
POST   /api/v1/token                             public
POST   /api/v2/token                             public
POST   /v1/k8s/auth/oauth/apptoken               public
GET    /api/v1/clusters                          401 200 200 200 200
POST   /api/v1/clusters                          401 403 403 201 201
GET    /api/v1/clusters/{cluster}                401 403 200 200 200
PUT    /api/v1/clusters/{cluster}                401 403 403 204 204
GET    /api/v1/clusters/{cluster}/nodes          401 403 200 200 200
GET    /api/v1/clusters/{cluster}/nodes/count    401 403 200 200 200
GET    /api/v1/nodes                             401 200 200 200 200
GET    /api/v1/nodes/count                       401 200 200 200 200

# Rafay. Who is known and may not is told 403. Installer commands reveal a join secret, so reading does not suffice.
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters                                 401 403 200 200 200
POST   /apis/infra.k8smgmt.io/v3/projects/{project}/clusters                                 401 403 403 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}                          401 403 200 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/status                   401 403 200 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/bootstrap                401 403 400 400 400
POST   /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/nodes/{hostname}/approve 401 403 403 ok  ok
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/installercmds            401 403 403 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/installerCmds            401 403 403 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/InstallerCmds            401 403 403 200 200
GET    /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name}/installercmd             401 403 403 200 200

# CycleCloud. A valid user without rights on a cluster is told 403; reading needs less than changing.
GET    /clusters/{cluster}/status                401 403 200 200 200
GET    /clusters/{cluster}/usage                 401 403 200 200 200
GET    /clusters/{cluster}/nodes                 401 403 200 200 200
POST   /clusters/{cluster}/nodes/create          401 403 403 202 202
POST   /clusters/{cluster}/nodes/{verb}          401 403 403 202 202
POST   /clusters/{cluster}/scale/{nodearray}     401 403 403 202 202
GET    /operations                               401 200 200 200 200
GET    /operations/{operation}                   401 403 200 200 200
POST   /cloud/api/import_cluster/{cluster}       401 403 403 200 200
POST   /cloud/actions/startcluster/{cluster}     401 403 403 200 200
POST   /cloud/actions/terminate_node/{cluster}   401 403 403 200 200
POST   /cloud/actions/retry/{cluster}            401 403 403 200 200
GET    /cloud/clusters                           401 200 200 200 200
GET    /cloud/clusters/{cluster}                 401 403 200 200 200
GET    /cloud/api/clusters                       401 200 200 200 200
GET    /cloud/api/clusters/{cluster}             401 403 200 200 200
GET    /cloud/api/nodes                          401 200 200 200 200
# It searches all clusters for a node, so it can not tell one out of sight from none.
GET    /cloud/api/nodes/{name}                   401 404 200 200 200

# What ends things.
POST   /reeve/v1/clusters/{cluster}/stop         401 404 403 202 202
DELETE /reeve/v1/clusters/{cluster}              401 404 403 200 200
DELETE /api/v1/clusters/{cluster}                401 403 403 204 204
DELETE /apis/infra.k8smgmt.io/v3/projects/{project}/clusters/{name} 401 403 403 200 200
POST   /cloud/actions/terminatecluster/{cluster} 401 403 403 200 200
POST   /cloud/actions/removecluster/{cluster}    401 403 403 200 200
";

const COLUMNS: [&str; 5] = ["nobody", "stranger", "viewer", "operator", "admin"];
/// Names that only those may read who see the default folder.
const SECRETS: [&str; 6] = ["hpc", "idle", "train", "edge-lab", "execute", "lab-n1"];

struct Row {
    method: &'static str,
    path: &'static str,
    cells: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = MATRIX.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
            let cells = words.collect();
            Row { method, path, cells }
        })
        .collect()
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let routes: BTreeSet<_> = reeve_api::listing()
        .into_iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let rows: Vec<_> = rows()
        .iter()
        .map(|row| format!("{} {}", row.method, row.path))
        .collect();
    let known: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), known.len(), "a route has two rows");
    let without: Vec<_> = routes.difference(&known).collect();
    assert!(without.is_empty(), "routes without a row in the matrix: {without:#?}");
    let gone: Vec<_> = known.difference(&routes).collect();
    assert!(gone.is_empty(), "rows of the matrix without a route: {gone:#?}");
}

/// The list is of tables; a route that is put into a router beside them would escape it.
#[test]
fn no_route_is_made_outside_of_a_table() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("table.rs") && path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                let lines = text
                    .lines()
                    .filter(|line| line.contains(".route(") || line.contains("route_service("));
                let kept = lines.filter(|line| !line.contains("{*rest}"));
                found.extend(kept.map(|line| format!("{}: {}", path.display(), line.trim())));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What stands for the parameters of a path, and what is sent with it.
async fn request(world: &World, method: &str, path: &str) -> (String, String) {
    let id = async |name: &str| {
        let which = Selector::Name(name.to_owned());
        cluster::get(&world.ctx, &which)
            .await
            .expect("a cluster")
            .id
            .to_string()
    };
    let ends = method == "DELETE" && path.ends_with("{cluster}");
    let name = match path {
        _ if path.starts_with("/api/") && ends => id("old").await,
        _ if path.starts_with("/api/") => id("train").await,
        "/cloud/actions/removecluster/{cluster}" => "idle".to_owned(),
        "/cloud/api/import_cluster/{cluster}" => "imported".to_owned(),
        "/reeve/v1/clusters/{cluster}" if ends => "spare".to_owned(),
        _ => "hpc".to_owned(),
    };
    let node = if method == "POST" { "start" } else { "execute-1" };
    let mut filled = path
        .replace("{cluster}", &name)
        .replace("{node}", node)
        .replace("{verb}", "start")
        .replace("{nodearray}", "execute?totalNodeCount=1")
        .replace("{project}", "defaultproject")
        .replace("{hostname}", "lab-n1")
        .replace("{architecture}", "amd64");
    filled = if path.starts_with("/apis/") {
        filled.replace("{name}", "edge-lab")
    } else {
        filled.replace("{name}", "execute-1")
    };
    if path.contains("{operation}") {
        let newest = reeve_control::operation::list(&world.ctx, None, i64::MAX, 1)
            .await
            .expect("operations");
        filled = filled.replace("{operation}", &newest[0].0.id.to_string());
    }
    if path.contains("{credential}") {
        let all = reeve_control::identity::list(&world.ctx).await.expect("credentials");
        let furnisher = all
            .iter()
            .find(|one| one.identity.name == "furnisher")
            .expect("its credential");
        filled = filled.replace("{credential}", &furnisher.identity.id.to_string());
    }
    if path.contains("terminate_node") {
        filled.push_str("?instance-filter=Name%3D%3D%22execute-2%22");
    }
    (filled, body(method, path))
}

fn body(method: &str, path: &str) -> String {
    let template = TEMPLATE.replace('X', "imported");
    let value = match (method, path) {
        ("POST", "/reeve/v1/clusters") => json!({ "name": "new" }),
        ("POST", "/reeve/v1/clusters/import") => json!({ "name": "imported-here", "template": template }),
        ("POST", "/reeve/v1/clusters/{cluster}/nodes") => json!({ "pool": "execute", "count": 1 }),
        ("POST", "/reeve/v1/clusters/{cluster}/nodes/{node}") => json!({ "names": ["execute-1"] }),
        ("PUT", "/reeve/v1/clusters/{cluster}/budget") => json!({ "amount": 100.0 }),
        ("POST", "/reeve/v1/folders") => json!({ "name": "new-folder" }),
        ("POST", "/reeve/v1/credentials") => json!({ "kind": "api-key", "name": "new-key", "role": "viewer" }),
        ("POST", "/api/v1/clusters") => json!({ "name": "new-there" }),
        ("PUT", "/api/v1/clusters/{cluster}") => json!({ "name": "train" }),
        ("POST", "/clusters/{cluster}/nodes/create") => json!({ "sets": [{ "nodearray": "execute", "count": 1 }] }),
        ("POST", "/clusters/{cluster}/nodes/{verb}") => json!({ "names": ["execute-1"] }),
        ("POST", "/cloud/api/import_cluster/{cluster}") => {
            return serde_urlencoded::to_string([("cluster", template)]).expect("a form");
        }
        ("POST", "/reeve/agent/v1/enroll") => json!({
            "protocol": 1, "agent_version": "test", "instance": "i-1", "machine_id": "m-1", "clock_us": 0,
            "facts": { "hostname": "lab-n1", "nics": [{ "name": "eth0", "addresses": ["10.1.0.5/24"] }] },
        }),
        ("POST", "/reeve/agent/v1/beat") => json!({
            "protocol": 1, "sequence": 1, "clock_us": 0, "epoch_seen": 0, "init": { "run": "", "state": "pending" },
        }),
        ("POST", path) if path.ends_with("/clusters") => return DOCUMENT.to_owned(),
        _ => return String::new(),
    };
    value.to_string()
}

/// What a cell says of a status; `None` when it is as it should be.
fn wrong(cell: &str, status: u16) -> Option<String> {
    let right = match cell {
        "ok" => !matches!(status, 401 | 403 | 404 | 405) && status < 500,
        "public" => !matches!(status, 401 | 403 | 405) && status < 500,
        number => number == status.to_string(),
    };
    (!right).then(|| format!("{status} instead of {cell}"))
}

#[tokio::test]
async fn everybody_may_do_what_the_matrix_says_and_nothing_else() {
    let mut faults = Vec::new();
    for (column, who) in COLUMNS.into_iter().enumerate() {
        let world = furnished().await;
        let caller = match who {
            "nobody" => None,
            "stranger" => Some(world.caller(who, "admin", ELSEWHERE).await),
            role => Some(world.caller(who, role, "/").await),
        };
        for (number, row) in rows().into_iter().enumerate() {
            let cell = match row.cells[0] {
                "public" => "public",
                "token" => "401",
                _ => row.cells[column],
            };
            if let Some(fault) = visit(&world, caller.as_ref(), who, &row, cell, number).await {
                faults.push(format!("{who}: {} {}: {fault}", row.method, row.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn visit(
    world: &World,
    caller: Option<&Caller>,
    who: &str,
    row: &Row,
    cell: &str,
    number: usize,
) -> Option<String> {
    let (path, body) = request(world, row.method, row.path).await;
    let request_id = format!("{who}-{number}");
    let answer = world
        .send(caller, row.method, &path, &[("x-request-id", &request_id)], body)
        .await;
    let status = answer.status.as_u16();
    if let Some(fault) = wrong(cell, status) {
        return Some(format!("{fault}: {}", answer.text));
    }
    let leaked = |name: &&&str| answer.text.contains(**name) && !path.contains(**name);
    let blind = who == "nobody" || who == "stranger";
    if let Some(name) = SECRETS
        .iter()
        .find(leaked)
        .filter(|_| blind && row.cells[0] != "public")
    {
        return Some(format!("tells of {name}: {}", answer.text));
    }
    // Without a credential there is nobody to write down; a search that finds nothing was not refused.
    let refused = caller.is_some() && row.cells[0] != "token" && matches!(status, 403 | 404);
    if refused && row.path != "/cloud/api/nodes/{name}" {
        let trail = reeve_control::journal::audit_page(&world.ctx, i64::MAX, 20)
            .await
            .expect("the trail");
        let written = |entry: &reeve_control::journal::AuditEntry| {
            entry.request_id == request_id && entry.outcome == "denied" && entry.actor_name.starts_with(who)
        };
        if !trail.iter().any(written) {
            return Some(format!("{status} without an audit entry"));
        }
    }
    None
}
