//! Nodes in Run:ai's form, of one cluster and of all.

use std::time::Duration;

use axum::Json;
use reeve_control::{
    Core, Ctx,
    cluster::{self, Selector},
    node::{self, Detailed},
};
use reeve_model::{
    Kind as ErrorKind, Timestamp,
    id::ClusterId,
    node::{Goal, Phase},
    permission::Resource,
};
use serde_json::{Value as Document, json};

use super::{
    auth::Caller,
    error::Failure,
    extract::{Asked, Which},
    query::{Field, Kind, Query, Row, Value},
};

/// An agent that has been silent for longer leaves the truth about its node unknown.
const SILENCE: Duration = Duration::from_secs(90);

/// What nodes are filtered, sorted and searched by.
const FIELDS: [Field; 7] = [
    Field {
        name: "name",
        kind: Kind::Text,
        searched: true,
    },
    Field {
        name: "status",
        kind: Kind::Word,
        searched: true,
    },
    Field {
        name: "nodePool",
        kind: Kind::Text,
        searched: true,
    },
    Field {
        name: "gpuType",
        kind: Kind::Text,
        searched: true,
    },
    Field {
        name: "nvLinkDomainUid",
        kind: Kind::Text,
        searched: false,
    },
    Field {
        name: "nvLinkCliqueId",
        kind: Kind::Text,
        searched: false,
    },
    Field {
        name: "clusterUuid",
        kind: Kind::Word,
        searched: false,
    },
];

/// Parameters that do not go together with `nodeName`.
const REFINING: [&str; 6] = ["filterBy", "sortBy", "sortOrder", "offset", "limit", "search"];

/// `GET /clusters/{clusterUuid}/nodes`.
///
/// Clients written before there were pages send neither `offset` nor `limit` and get everything.
pub(super) async fn of_cluster(
    Caller(ctx): Caller,
    Which(which): Which,
    Asked(params): Asked,
) -> Result<Json<Document>, Failure> {
    let query = Query::read(&params, &FIELDS)?;
    if params.get("nodeName").is_some()
        && let Some(other) = REFINING.iter().find(|name| params.get(name).is_some())
    {
        return Err(Failure::bad(format!("nodeName cannot be combined with {other}")));
    }
    let mut rows = load(&ctx, &which).await?;
    if let Some(name) = params.get("nodeName") {
        rows.retain(|row| row.name == name);
    }
    let paged = params.get("offset").or_else(|| params.get("limit")).is_some();
    Ok(wrap(if paged { query.page(rows) } else { query.all(rows) }))
}

/// `GET /clusters/{clusterUuid}/nodes/count`.
pub(super) async fn count_of_cluster(
    Caller(ctx): Caller,
    Which(which): Which,
    Asked(params): Asked,
) -> Result<Json<Document>, Failure> {
    let query = Query::read(&params, &FIELDS)?;
    Ok(count(&query, &load(&ctx, &which).await?))
}

/// `GET /nodes`.
pub(super) async fn of_tenant(Caller(ctx): Caller, Asked(params): Asked) -> Result<Json<Document>, Failure> {
    let query = Query::read(&params, &FIELDS)?;
    Ok(wrap(query.page(load_all(&ctx).await?)))
}

/// `GET /nodes/count`.
pub(super) async fn count_of_tenant(Caller(ctx): Caller, Asked(params): Asked) -> Result<Json<Document>, Failure> {
    let query = Query::read(&params, &FIELDS)?;
    Ok(count(&query, &load_all(&ctx).await?))
}

async fn load(ctx: &Ctx, which: &Selector) -> Result<Vec<Shown>, reeve_model::Error> {
    let (_, nodes) = node::list(ctx, which).await?;
    Ok(nodes.iter().map(|detailed| Shown::of(&ctx.core, detailed)).collect())
}

async fn load_all(ctx: &Ctx) -> Result<Vec<Shown>, reeve_model::Error> {
    ctx.check_list(Resource::Node, "nodes").await?;
    let mut rows = Vec::new();
    for cluster in cluster::list(ctx).await? {
        if !ctx.sees(Resource::Node, &cluster.scope()) {
            continue;
        }
        match load(ctx, &Selector::Id(cluster.id)).await {
            Ok(more) => rows.extend(more),
            // It went away since we listed it.
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

fn wrap(rows: Vec<Shown>) -> Json<Document> {
    Json(json!({ "nodes": rows.iter().map(Shown::render).collect::<Vec<_>>() }))
}

fn count(query: &Query, rows: &[Shown]) -> Json<Document> {
    Json(json!({ "count": rows.iter().filter(|row| query.takes(*row)).count() }))
}

/// A node with what is derived from it.
#[derive(Debug, Clone)]
struct Shown {
    id: String,
    name: String,
    cluster: ClusterId,
    status: &'static str,
    pool: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    reason: &'static str,
    message: String,
    gpus: Option<(String, usize)>,
}

impl Shown {
    fn of(core: &Core, detailed: &Detailed) -> Self {
        let node = &detailed.full.node;
        let heard = node::last_heard(core, node);
        let told = detailed.report.as_ref().and_then(|report| gpus_of_facts(&report.facts));
        Self {
            id: node.id.to_string(),
            name: node.name.clone(),
            cluster: node.cluster,
            status: status(node.goal, node.seen.phase, heard, core.now()),
            pool: detailed.pool.name.clone(),
            created_at: node.created_at,
            updated_at: node
                .created_at
                .max(node.seen.condition.since)
                .max(heard.unwrap_or(node.created_at)),
            reason: node.seen.condition.reason.code(),
            message: node.seen.condition.message.clone(),
            gpus: told,
        }
    }

    fn render(&self) -> Document {
        let gpus = self
            .gpus
            .as_ref()
            .map(|(model, count)| json!({ "gpuType": model, "gpuCount": count }));
        json!({
            "id": self.id,
            "name": self.name,
            "clusterUuid": self.cluster.to_string(),
            "status": self.status,
            "nodePool": self.pool,
            "createdAt": self.created_at.rfc3339_millis(),
            "updatedAt": self.updated_at.rfc3339_millis(),
            "conditions": [{ "type": "Ready", "reason": self.reason, "message": self.message }],
            "taints": [],
            "gpuInfo": gpus,
            "nvLinkDomainUid": null,
            "nvLinkCliqueId": null,
        })
    }
}

impl Row for Shown {
    fn value(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::Text(self.name.clone())),
            "status" => Some(Value::Text(self.status.into())),
            "nodePool" => Some(Value::Text(self.pool.clone())),
            "gpuType" => self.gpus.as_ref().map(|(model, _)| Value::Text(model.clone())),
            "clusterUuid" => Some(Value::Text(self.cluster.to_string())),
            _ => None,
        }
    }

    fn place(&self) -> (Timestamp, String) {
        (self.created_at, self.id.clone())
    }
}

/// Nodes without an agent of their own have never been heard and are judged by what the provider tells.
pub(super) fn status(goal: Goal, phase: Phase, heard: Option<Timestamp>, now: Timestamp) -> &'static str {
    match (goal, phase, heard) {
        (Goal::Started, Phase::Running, Some(at)) if now.since(at) > SILENCE => "Unknown",
        (Goal::Started, Phase::Running, _) => "Ready",
        (
            Goal::Started,
            Phase::Off
            | Phase::Reserved
            | Phase::Booting
            | Phase::Initializing
            | Phase::Draining
            | Phase::Stopping
            | Phase::Stopped
            | Phase::Resuming
            | Phase::Releasing
            | Phase::Failed,
            _,
        )
        | (Goal::Off | Goal::Deallocated | Goal::Absent, _, _) => "NotReady",
    }
}

/// Model of the first GPU and count of all; `None` when the agent told of none.
fn gpus_of_facts(facts: &str) -> Option<(String, usize)> {
    let facts: Document = serde_json::from_str(facts).ok()?;
    let gpus = facts.get("gpus")?.as_array()?;
    let model = gpus.first()?.get("model")?.as_str()?;
    Some((model.to_owned(), gpus.len()))
}

#[cfg(test)]
mod tests {
    use super::{super::query::Params, *};

    const NOW: Timestamp = Timestamp(1_772_438_400_000_000);

    fn shown() -> Shown {
        Shown {
            id: "0f6d2a9e-5f1b-4b7e-8a53-3c9e6d1f7a20".into(),
            name: "gpu-01".into(),
            cluster: "5c1d7f0e-3b52-4d7a-9a41-7e0c8f6b2d10".parse().expect("id"),
            status: "Ready",
            pool: "h100".into(),
            created_at: NOW,
            updated_at: NOW,
            reason: "AsWished",
            message: String::new(),
            gpus: None,
        }
    }

    #[test]
    fn a_node_is_ready_when_it_runs_as_wished_and_unknown_when_its_agent_is_silent() {
        let before = |seconds| Some(NOW - Duration::from_secs(seconds));
        assert_eq!(status(Goal::Started, Phase::Running, None, NOW), "Ready");
        assert_eq!(status(Goal::Started, Phase::Running, before(90), NOW), "Ready");
        assert_eq!(status(Goal::Started, Phase::Running, before(91), NOW), "Unknown");
        assert_eq!(status(Goal::Started, Phase::Booting, None, NOW), "NotReady");
        assert_eq!(status(Goal::Off, Phase::Running, before(1), NOW), "NotReady");
    }

    #[test]
    fn gpus_are_counted_from_what_the_agent_told() {
        let facts =
            r#"{"gpus":[{"index":0,"model":"NVIDIA H100 80GB HBM3"},{"index":1,"model":"NVIDIA H100 80GB HBM3"}]}"#;
        assert_eq!(gpus_of_facts(facts), Some(("NVIDIA H100 80GB HBM3".into(), 2)));
        for none in ["", "{}", r#"{"gpus":[]}"#, r#"{"gpus":[{}]}"#] {
            assert_eq!(gpus_of_facts(none), None, "{none}");
        }
    }

    #[test]
    fn a_node_without_gpus_shows_null_and_is_not_found_by_gpu_type() {
        let plain = shown();
        let with = Shown {
            gpus: Some(("H100".into(), 8)),
            ..shown()
        };
        assert!(plain.render()["gpuInfo"].is_null());
        assert_eq!(with.render()["gpuInfo"], json!({ "gpuType": "H100", "gpuCount": 8 }));
        let params = Params::parse("filterBy=gpuType%3D%40h1").expect("query");
        let query = Query::read(&params, &FIELDS).expect("filter");
        assert_eq!(count(&query, &[plain, with]).0, json!({ "count": 1 }));
    }
}
