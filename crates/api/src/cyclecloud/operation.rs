//! Operations: one by id, one by request id, or the newest thousand.

use axum::{Json as Body, extract::RawQuery, http::StatusCode};
use reeve_control::operation::{self, Selector};
use reeve_model::operation::Operation;
use serde_json::{Value as Json, json};

use super::{
    auth::Caller,
    error::{Answer, Failure},
    extract::Path,
    query::Query,
};

/// Most operations in one answer.
const LISTED_MAX: u32 = 1000;

/// An operation as this dialect shows it. It has no progress: that is the status of its nodes.
#[must_use]
pub fn render(operation: &Operation) -> Json {
    json!({ "action": operation.verb.word(), "startTime": operation.created_at.rfc3339_seconds() })
}

/// `GET /operations/`
///
/// # Errors
/// 400 for an empty request id.
pub async fn list(Caller(ctx): Caller, RawQuery(query): RawQuery) -> Answer<Body<Vec<Json>>> {
    let query = Query::of(query);
    let shown: Vec<Operation> = match query.get("request_id") {
        Some("") => return Err(Failure::malformed("request_id is empty")),
        Some(key) => {
            let found = operation::find(&ctx, &Selector::Key(key.to_owned())).await?;
            found.into_iter().collect()
        }
        None => {
            let newest_first = operation::list(&ctx, None, i64::MAX, LISTED_MAX).await?;
            newest_first.into_iter().rev().map(|(operation, _)| operation).collect()
        }
    };
    Ok(Body(shown.iter().map(render).collect()))
}

/// `GET /operations/{id}`
///
/// # Errors
/// 404.
pub async fn get(Caller(ctx): Caller, Path(id): Path<String>) -> Answer<Body<Json>> {
    let missing = || Failure::new(StatusCode::NOT_FOUND, format!("No operation found with id {id}"));
    let parsed = id.parse().map_err(|_| missing())?;
    let found = operation::find(&ctx, &Selector::Id(parsed))
        .await?
        .ok_or_else(missing)?;
    Ok(Body(render(&found)))
}
