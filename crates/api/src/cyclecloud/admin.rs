//! Administrative calls: importing, starting, ending and showing clusters, retrying failed nodes, showing nodes.
//!
//! Autoscalers call only the retry; the rest is what people and their command lines need.

use axum::{
    Json as Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
};
use reeve_control::{
    Ctx,
    cluster::{self, Selector},
    node as nodes,
};
use reeve_model::{
    cluster::{Cluster, Phase as ClusterPhase},
    node::{Goal, Phase},
    operation::Verb,
    pool::PoolKind,
};
use serde_json::{Value as Json, json};

use super::{
    auth::Caller,
    error::{Answer, Failure},
    expression,
    extract::{Bytes, Path},
    import,
    query::Query,
    record::{Record, Records},
    selection, states,
};
use crate::App;

/// `POST /cloud/api/import_cluster/{name}`
///
/// # Errors
/// 400 when form or parameters can not be read, 409 with every problem and its line.
pub async fn import(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Bytes(bytes): Bytes,
) -> Answer<Body<Json>> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with("multipart/") {
        return Err(Failure::malformed(
            "send the form urlencoded; multipart forms are not supported",
        ));
    }
    let form = std::str::from_utf8(&bytes).map_err(|_| Failure::malformed("the form is not UTF-8"))?;
    let form = Query::parse(form);
    if form.is_true("as_template") {
        return Err(Failure::refused(
            "storing a template without a cluster is not supported",
        ));
    }
    let text = form
        .get("cluster")
        .ok_or_else(|| Failure::malformed("the form has no field \"cluster\" with the template"))?;
    let section = form.get("template").filter(|section| !section.is_empty());
    let parameters = parameters(form.get("parameters"))?;
    let (spec, warnings) = import::spec(text, &name, section, &parameters, &app)?;
    let cluster = cluster::import(&ctx, spec, form.is_true("force")).await?;
    Ok(Body(json!({ "ClusterName": cluster.name, "Warnings": warnings })))
}

fn parameters(text: Option<&str>) -> Result<Record, Failure> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(Record::new());
    };
    serde_json::from_str(text).map_err(|error| Failure::malformed(format!("parameters is no JSON object: {error}")))
}

/// `POST /cloud/actions/startcluster/{name}`
///
/// # Errors
/// 404, 403, 409.
pub async fn start(Caller(ctx): Caller, Path(name): Path<String>) -> Answer<Body<Json>> {
    cluster::start(&ctx, &Selector::Name(name)).await?;
    Ok(Body(json!({})))
}

/// `POST /cloud/actions/terminatecluster/{name}`
///
/// # Errors
/// 404, 403, 409.
pub async fn terminate(Caller(ctx): Caller, Path(name): Path<String>) -> Answer<Body<Json>> {
    cluster::stop(&ctx, &Selector::Name(name)).await?;
    Ok(Body(json!({})))
}

/// `POST /cloud/actions/removecluster/{name}`
///
/// # Errors
/// 404, 403, 409 while the cluster is not terminated.
pub async fn remove(Caller(ctx): Caller, Path(name): Path<String>) -> Answer<Body<Json>> {
    let found = cluster::get(&ctx, &Selector::Name(name)).await?;
    match found.phase {
        ClusterPhase::Idle | ClusterPhase::Terminated => {}
        ClusterPhase::Starting | ClusterPhase::Started | ClusterPhase::Terminating => {
            return Err(Failure::refused(format!(
                "cluster \"{}\" must be terminated before it can be removed",
                found.name
            )));
        }
    }
    cluster::delete(&ctx, &Selector::Id(found.id)).await?;
    Ok(Body(json!({})))
}

/// `POST /cloud/actions/terminate_node/{cluster}?instance-filter=EXPRESSION`
///
/// # Errors
/// 404, 403, 409 without a filter or with one that can not be read.
pub async fn terminate_nodes(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Body<Json>> {
    let query = Query::of(query);
    let filter = query.get("instance-filter").filter(|text| !text.trim().is_empty());
    let filter = selection::parse(filter.ok_or_else(|| Failure::refused("instance-filter is missing"))?)?;
    let selected = nodes::Selector {
        filter: Some(selection::test(filter, &app)),
        ..nodes::Selector::default()
    };
    nodes::manage(&ctx, &Selector::Name(name), Verb::Terminate, &selected, None).await?;
    Ok(Body(json!({})))
}

/// `POST /cloud/actions/retry/{cluster}`: every failed node that is wanted starts over.
///
/// # Errors
/// 404, 403.
pub async fn retry(Caller(ctx): Caller, Path(name): Path<String>) -> Answer<Body<Json>> {
    let failed = nodes::Selector {
        filter: Some(Box::new(|_, full| {
            full.node.goal == Goal::Started && full.node.seen.phase == Phase::Failed
        })),
        ..nodes::Selector::default()
    };
    nodes::manage(&ctx, &Selector::Name(name), Verb::Retry, &failed, None).await?;
    Ok(Body(json!({})))
}

/// `GET /cloud/clusters`
///
/// # Errors
/// 503 when the database does not answer.
pub async fn clusters(State(app): State<App>, Caller(ctx): Caller) -> Answer<Body<Vec<Json>>> {
    let mut shown = Vec::new();
    for cluster in cluster::list(&ctx)
        .await?
        .iter()
        .filter(|cluster| cluster.aspects.elastic)
    {
        shown.push(shown_cluster(&app, &ctx, cluster).await?);
    }
    Ok(Body(shown))
}

/// `GET /cloud/clusters/{name}`: an array of one.
///
/// # Errors
/// 404.
pub async fn cluster(State(app): State<App>, Caller(ctx): Caller, Path(name): Path<String>) -> Answer<Body<Vec<Json>>> {
    let found = cluster::get(&ctx, &Selector::Name(name)).await?;
    Ok(Body(vec![shown_cluster(&app, &ctx, &found).await?]))
}

async fn shown_cluster(app: &App, ctx: &Ctx, cluster: &Cluster) -> Answer<Json> {
    let status = cluster::status(ctx, &Selector::Id(cluster.id), true).await?;
    let mut records = Records::new(app);
    let rows = status
        .nodes
        .iter()
        .map(|full| records.record(&status, &full.node, full.overrides.as_deref()));
    let rows: Vec<Json> = rows.map(Json::Object).collect();
    let words = states::of_cluster(&status.cluster);
    let arrays = status.pools.iter().filter(|row| row.pool.kind == PoolKind::Many);
    let arrays: Vec<Json> = arrays
        .map(|row| {
            let own = || {
                status
                    .nodes
                    .iter()
                    .filter(|full| full.node.pool == row.pool.id && full.node.active())
            };
            let cores: u64 = own().map(|full| u64::from(full.node.cores)).sum();
            stated(
                json!({ "Template": row.pool.name, "Count": own().count(), "CoreCount": cores }),
                words,
            )
        })
        .collect();
    Ok(stated(
        json!({ "ClusterName": status.cluster.name, "Nodes": rows, "NodeArrays": arrays }),
        words,
    ))
}

fn stated(mut record: Json, words: Option<(&str, &str)>) -> Json {
    if let Some((state, target)) = words {
        record["State"] = json!(state);
        record["TargetState"] = json!(target);
    }
    record
}

/// `GET /cloud/api/nodes`
///
/// # Errors
/// 404 for an unknown cluster, 409 for a filter that can not be read.
pub async fn nodes(State(app): State<App>, Caller(ctx): Caller, RawQuery(query): RawQuery) -> Answer<Body<Vec<Json>>> {
    Ok(Body(shown_nodes(&app, &ctx, &Query::of(query), None).await?))
}

/// `GET /cloud/api/nodes/{name}`
///
/// # Errors
/// 404 when no cluster has such a node, 409 for a filter that can not be read.
pub async fn node(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Body<Vec<Json>>> {
    let rows = shown_nodes(&app, &ctx, &Query::of(query), Some(&name)).await?;
    if rows.is_empty() {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            format!("node \"{name}\" not found"),
        ));
    }
    Ok(Body(rows))
}

async fn shown_nodes(app: &App, ctx: &Ctx, query: &Query, name: Option<&str>) -> Answer<Vec<Json>> {
    let filter = query
        .get("filter")
        .filter(|text| !text.trim().is_empty())
        .map(selection::parse)
        .transpose()?;
    let attributes: Vec<&str> = query.list("attrs").collect();
    let chosen = match query.get("cluster").filter(|name| !name.is_empty()) {
        Some(name) => vec![cluster::get(ctx, &Selector::Name(name.to_owned())).await?],
        None => cluster::list(ctx)
            .await?
            .into_iter()
            .filter(|cluster| cluster.aspects.elastic)
            .collect(),
    };
    let mut rows = Vec::new();
    for cluster in chosen {
        let status = cluster::status(ctx, &Selector::Id(cluster.id), true).await?;
        let mut records = Records::new(app);
        for full in status
            .nodes
            .iter()
            .filter(|full| name.is_none_or(|name| full.node.name == name))
        {
            let mut record = records.record(&status, &full.node, full.overrides.as_deref());
            if filter
                .as_ref()
                .is_some_and(|filter| !expression::matches(filter, &record))
            {
                continue;
            }
            if !attributes.is_empty() {
                record.retain(|key, _| attributes.iter().any(|wanted| wanted.eq_ignore_ascii_case(key)));
            }
            rows.push(Json::Object(record));
        }
    }
    Ok(rows)
}
