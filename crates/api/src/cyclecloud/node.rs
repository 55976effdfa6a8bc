//! Nodes: listing them, making them, scaling a nodearray, and the verbs on selected nodes.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_control::{
    cluster::{self, Selector},
    node as nodes, operation,
};
use reeve_model::{id::OperationId, operation::Verb};
use serde_json::{Value as Json, json};

use super::{
    auth::Caller,
    cluster::answer,
    error::{Answer, Failure},
    extract::{Bytes, Path},
    operation::render,
    query::Query,
    record::Records,
    selection,
};
use crate::{App, request};

/// `GET /clusters/{cluster}/nodes`
///
/// # Errors
/// 400 with two selectors, 404 for an unknown cluster, operation or request id.
pub async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::of(query);
    let which = Selector::Name(name);
    let (chosen, missing) = match (query.get("operation"), query.get("request_id")) {
        (None, None) => {
            let status = cluster::status(&ctx, &which, true).await?;
            return Ok(answer(body(&app, &status, None)));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::malformed(
                "invalid specification: give operation or request_id, not both",
            ));
        }
        (None, Some("")) => return Err(Failure::malformed("request_id is empty")),
        (None, Some(key)) => (
            Some(operation::Selector::Key(key.to_owned())),
            format!("No operation found for request id {key}"),
        ),
        (Some(id), None) => (
            id.parse().ok().map(operation::Selector::Id),
            format!("No operation found with id {id}"),
        ),
    };
    let missing = || Failure::new(StatusCode::NOT_FOUND, missing.clone());
    let Some(chosen) = chosen else {
        cluster::get(&ctx, &which).await?;
        return Err(missing());
    };
    let (status, found) = nodes::of_operation(&ctx, &which, &chosen).await?.ok_or_else(missing)?;
    Ok(answer(body(&app, &status, Some(render(&found)))))
}

fn body(app: &App, status: &cluster::Status, operation: Option<Json>) -> Vec<u8> {
    let mut body = b"{\"nodes\":".to_vec();
    Records::new(app).write_all(status, |_| true, &mut body);
    if let Some(operation) = operation {
        body.extend_from_slice(b",\"operation\":");
        body.extend_from_slice(operation.to_string().as_bytes());
    }
    body.push(b'}');
    body
}

/// 202 with the place where the operation can be looked up.
fn accepted(app: &App, headers: &HeaderMap, operation: OperationId, body: Json) -> Response {
    let mut response = (StatusCode::ACCEPTED, axum::Json(body)).into_response();
    let place = format!("{}/operations/{operation}", request::base_url(app, headers));
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn created(made: &nodes::Created) -> Json {
    let sets: Vec<Json> = made
        .sets
        .iter()
        .map(|set| match &set.message {
            None => json!({ "added": set.names.len() }),
            Some(why) => json!({ "added": set.names.len(), "message": why }),
        })
        .collect();
    json!({ "operationId": made.operation.to_string(), "sets": sets })
}

/// `POST /clusters/{cluster}/nodes/create`
///
/// # Errors
/// 400 when the body is not JSON, 404 for an unknown cluster, 409 for everything else that breaks a rule.
pub async fn create(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Bytes(bytes): Bytes,
) -> Answer {
    let which = Selector::Name(name);
    cluster::get(&ctx, &which).await?;
    let wanted = selection::body(&bytes)?;
    let key = selection::text(&wanted, "requestId")?;
    let sets = selection::sets(&wanted)?;
    let made = nodes::create(&ctx, &which, &sets, key).await?;
    Ok(accepted(&app, &headers, made.operation, created(&made)))
}

/// `POST /clusters/{cluster}/scale/{nodearray}`
///
/// # Errors
/// 404 for an unknown cluster, 409 for an unknown nodearray and unless there is exactly one total.
pub async fn scale(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((name, nodearray)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let which = Selector::Name(name);
    cluster::get(&ctx, &which).await?;
    let (count, cores) = totals(&Query::of(query))?;
    let made = nodes::scale(&ctx, &which, &nodearray, count, cores).await?;
    Ok(accepted(&app, &headers, made.operation, created(&made)))
}

fn totals(query: &Query) -> Result<(Option<u32>, Option<u32>), Failure> {
    let read = |name: &str| {
        let wrong = |_| Failure::refused(format!("{name} must be an integer, 0 or more"));
        query
            .get(name)
            .map(|text| text.parse::<u32>().map_err(wrong))
            .transpose()
    };
    match (read("totalNodeCount")?, read("totalCoreCount")?) {
        (None, None) | (Some(_), Some(_)) => Err(Failure::refused("give either totalNodeCount or totalCoreCount")),
        one => Ok(one),
    }
}

/// What the last part of a path asks for; `None` is no path of ours.
fn verb(word: &str) -> Option<Result<Verb, Failure>> {
    Some(Ok(match word {
        "start" => Verb::Start,
        "deallocate" => Verb::Deallocate,
        "shutdown" => Verb::Shutdown,
        "terminate" => Verb::Terminate,
        "remove" => Verb::Remove,
        "restart" | "reimage" => {
            return Some(Err(Failure::refused(format!(
                "{word} is not supported; terminate the node and create it again"
            ))));
        }
        _ => return None,
    }))
}

/// `POST /clusters/{cluster}/nodes/{verb}`
///
/// # Errors
/// 400 when the body is not JSON, 404 for an unknown cluster, 409 without a selector or with one that can not be read.
pub async fn manage(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((name, word)): Path<(String, String)>,
    headers: HeaderMap,
    Bytes(bytes): Bytes,
) -> Answer {
    let unknown = || {
        Failure::new(
            StatusCode::NOT_FOUND,
            format!("there is nothing called nodes/{word} here"),
        )
    };
    let verb = verb(&word).ok_or_else(unknown)?;
    let which = Selector::Name(name);
    cluster::get(&ctx, &which).await?;
    let verb = verb?;
    let wanted = selection::body(&bytes)?;
    let key = selection::text(&wanted, "requestId")?;
    let selected = selection::selector(&wanted, &app)?;
    let managed = nodes::manage(&ctx, &which, verb, &selected, key).await?;
    let rows: Vec<Json> = managed.nodes.iter().map(judged).collect();
    let body = json!({ "operationId": managed.operation.to_string(), "nodes": rows });
    Ok(accepted(&app, &headers, managed.operation, body))
}

fn judged(node: &nodes::Judged) -> Json {
    match &node.error {
        None => json!({ "name": node.name, "id": node.id.to_string(), "status": "OK" }),
        Some(why) => json!({ "name": node.name, "id": node.id.to_string(), "status": "Error", "error": why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_request_names_exactly_one_total() {
        let read = |text: &str| totals(&Query::parse(text)).ok();
        assert_eq!(read("totalNodeCount=3"), Some((Some(3), None)));
        assert_eq!(read("totalCoreCount=40"), Some((None, Some(40))));
        for bad in [
            "",
            "totalNodeCount=1&totalCoreCount=1",
            "totalNodeCount=-1",
            "totalNodeCount=1.5",
            "totalCoreCount=x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
