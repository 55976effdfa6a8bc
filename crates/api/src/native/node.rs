//! Nodes: listing, making and changing them.

use axum::{Json, http::StatusCode, response::Response};
use reeve_control::{
    Ctx,
    cluster::Selector,
    node::{self, Differences, Set},
};
use reeve_model::{Error, Result, node::Phase, operation::Verb};
use reeve_wire::native as wire;
use utoipa::IntoParams;

use super::{
    auth::Caller,
    error::answer,
    input::{self, Body, Query, Segments},
    render,
};

/// Verbs on nodes; the last segment of their path.
pub const VERBS: [Verb; 6] = [
    Verb::Start,
    Verb::Terminate,
    Verb::Remove,
    Verb::Deallocate,
    Verb::Shutdown,
    Verb::Retry,
];

/// Which nodes to list.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Only of this pool.
    pub pool: Option<String>,
    /// Only in this phase.
    pub phase: Option<String>,
    /// Only with this in the name, without case.
    pub name: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Most items, 1 to 1000; 100 when absent.
    pub limit: Option<u32>,
}

/// Nodes of a cluster in order of creation.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}/nodes", tag = "nodes", params(Listing),
    responses((status = 200, body = wire::Page<wire::Node>)))]
pub async fn list(Caller(ctx): Caller, Segments(name): Segments<String>, Query(listing): Query<Listing>) -> Response {
    answer(&ctx, async {
        Ok(Json(page(&ctx, &Selector::Name(name), listing).await?))
    })
    .await
}

async fn page(ctx: &Ctx, which: &Selector, listing: Listing) -> Result<wire::Page<wire::Node>> {
    let limit = input::limit(listing.limit)?;
    let mut after = input::cursor(listing.cursor.as_deref(), 0)?;
    let phase = listing.phase.as_deref().map(read_phase).transpose()?;
    let part = listing.name.map(|part| part.to_lowercase());
    let mut rows = Vec::new();
    // Nodes that do not match are passed over, so a page may take several reads.
    while rows.len() <= limit as usize {
        let asked = limit + 1;
        let (cluster, pools, records) = node::page(ctx, which, after, asked).await?;
        let last = records.last().map(|full| full.node.sequence);
        let more = records.len() == asked as usize;
        for full in records {
            let record = full.node;
            let Some(pool) = pools.iter().find(|pool| pool.id == record.pool) else {
                continue;
            };
            let wanted = phase.is_none_or(|phase| phase == record.seen.phase)
                && listing
                    .pool
                    .as_ref()
                    .is_none_or(|wanted| wanted.eq_ignore_ascii_case(&pool.name))
                && part
                    .as_ref()
                    .is_none_or(|part| record.name.to_lowercase().contains(part));
            if wanted {
                rows.push((record.sequence, render::node(&ctx.core, &cluster.name, pool, &record)));
            }
        }
        match last {
            Some(last) if more => after = last,
            _ => break,
        }
    }
    Ok(render::page(rows, limit, |(sequence, _)| *sequence, |(_, node)| node))
}

fn read_phase(word: &str) -> Result<Phase> {
    Phase::parse(word).ok_or_else(|| {
        let known = Phase::EVERY
            .iter()
            .map(|phase| phase.word())
            .collect::<Vec<_>>()
            .join(", ");
        Error::invalid("phase", format!("there is no phase \"{word}\"; phases are: {known}"))
    })
}

/// One node by name or id, with its agent's report.
#[utoipa::path(get, path = "/reeve/v1/clusters/{cluster}/nodes/{node}", tag = "nodes",
    responses((status = 200, body = wire::Node)))]
pub async fn get(Caller(ctx): Caller, Segments((cluster, name)): Segments<(String, String)>) -> Response {
    answer(&ctx, async {
        let (cluster, detailed) = node::get(&ctx, &Selector::Name(cluster), &name).await?;
        Ok(Json(render::node_in_full(&ctx.core, &cluster.name, &detailed)))
    })
    .await
}

/// Makes nodes: as many as there is room for, at once; their machines follow.
#[utoipa::path(post, path = "/reeve/v1/clusters/{cluster}/nodes", tag = "nodes", request_body = wire::NodeCreate,
    responses((status = 202, body = wire::NodeCreated)))]
pub async fn create(
    Caller(ctx): Caller,
    Segments(cluster): Segments<String>,
    Body(body): Body<wire::NodeCreate>,
) -> Response {
    answer(&ctx, async {
        let set = Set {
            pool: body.pool,
            count: body.count,
            size: body.size,
            name_format: body.name_format,
            name_offset: body.name_offset,
            placement_group: body.placement_group,
            differences: Differences::default(),
            overrides: None,
        };
        let created = node::create(&ctx, &Selector::Name(cluster), &[set], body.request_key).await?;
        let added = created
            .sets
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("no set was answered"))?;
        Ok((
            StatusCode::ACCEPTED,
            Json(wire::NodeCreated {
                operation: created.operation.to_string(),
                added: u32::try_from(added.names.len()).unwrap_or(u32::MAX),
                message: added.message,
                names: added.names,
            }),
        ))
    })
    .await
}

/// Changes selected nodes. `verb` is `start`, `terminate`, `remove`, `deallocate`, `shutdown` or `retry`.
#[utoipa::path(post, path = "/reeve/v1/clusters/{cluster}/nodes/{verb}", tag = "nodes", request_body = wire::NodeVerb,
    responses((status = 202, body = wire::NodeVerbResult)))]
pub async fn manage(
    Caller(ctx): Caller,
    Segments((cluster, verb)): Segments<(String, String)>,
    Body(body): Body<wire::NodeVerb>,
) -> Response {
    answer(&ctx, async {
        let verb = read_verb(&verb)?;
        let selector = node::Selector {
            names: body.names,
            ids: body.ids,
            ..node::Selector::default()
        };
        let managed = node::manage(&ctx, &Selector::Name(cluster), verb, &selector, body.request_key).await?;
        let nodes = managed.nodes.into_iter().map(|judged| wire::NodeJudged {
            id: judged.id.to_string(),
            name: judged.name,
            ok: judged.error.is_none(),
            error: judged.error,
        });
        let result = wire::NodeVerbResult {
            operation: managed.operation.to_string(),
            nodes: nodes.collect(),
        };
        Ok((StatusCode::ACCEPTED, Json(result)))
    })
    .await
}

fn read_verb(word: &str) -> Result<Verb> {
    VERBS
        .into_iter()
        .find(|verb| verb.word() == word)
        .ok_or_else(|| Error::not_found("verb", word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verbs_on_nodes_are_taken() {
        assert_eq!(read_verb("retry").expect("a verb on nodes"), Verb::Retry);
        assert!(read_verb("create").is_err() && read_verb("delete-cluster").is_err());
    }

    #[test]
    fn an_unknown_phase_is_refused_with_the_known_ones() {
        assert!(read_phase("flying").expect_err("no phase").message.contains("running"));
    }
}
