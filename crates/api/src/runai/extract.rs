//! The parts of a request as handlers want them, with every refusal in this dialect's error form.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use bytes::Bytes;
use reeve_control::cluster::Selector;
use reeve_model::{Error, Result};
use serde_json::{Map, Value};

use super::{error::Failure, query::Params};
use crate::{App, request};

/// The cluster named by a path that has no other parameter.
pub(super) struct Which(pub(super) Selector);

impl FromRequestParts<App> for Which {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|rejection| Failure::bad(rejection.to_string()))?;
        let id = text
            .parse()
            .map_err(|_| Error::invalid("clusterUuid", format!("\"{text}\" is not a UUID")))?;
        Ok(Self(Selector::Id(id)))
    }
}

/// The parameters of the query string; a bare `?` has none.
pub(super) struct Asked(pub(super) Params);

impl FromRequestParts<App> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Ok(Self(Params::parse(parts.uri.query().unwrap_or_default())?))
    }
}

/// The bytes of a body, whatever its content type says.
pub(super) struct Raw(pub(super) Bytes);

impl FromRequest<App> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        Bytes::from_request(request, app)
            .await
            .map(Self)
            .map_err(|rejection| Failure::body(rejection.status(), rejection.body_text()))
    }
}

/// A body that must be a JSON object.
pub(super) struct Object(pub(super) Map<String, Value>);

impl FromRequest<App> for Object {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let Raw(bytes) = Raw::from_request(request, app).await?;
        Ok(Self(object(&bytes)?))
    }
}

/// Reads a JSON object; one written as a JSON string is unwrapped once, because one of the clients encodes twice.
fn object(bytes: &Bytes) -> Result<Map<String, Value>> {
    let value = match request::json(bytes)? {
        Value::String(text) => request::json(&Bytes::from(text))?,
        other => other,
    };
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Err(Error::invalid("", "Required parameter is missing: the body is empty")),
        _ => Err(Error::invalid("", "the body must be a JSON object")),
    }
}

/// A text field; absent and `null` are the same.
///
/// # Errors
/// `Invalid` when it holds something else.
pub(super) fn text(body: &Map<String, Value>, field: &str) -> Result<Option<String>> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::invalid(field, format!("{field} must be a string"))),
    }
}

/// A text field that must be there and not empty.
///
/// # Errors
/// `Invalid` when it is missing, empty or holds something else.
pub(super) fn required(body: &Map<String, Value>, field: &str) -> Result<String> {
    text(body, field)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Error::invalid(field, format!("Required parameter is missing: {field}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_encoded_twice_reads_like_one_encoded_once() {
        let once = object(&Bytes::from_static(br#"{"name":"a"}"#)).expect("plain");
        let twice = object(&Bytes::from_static(br#""{\"name\":\"a\"}""#)).expect("wrapped");
        assert_eq!(once, twice);
        assert!(
            object(&Bytes::from_static(br#""\"{}\"""#)).is_err(),
            "unwrapped once only"
        );
    }

    #[test]
    fn an_empty_body_and_a_body_that_is_no_object_are_refused() {
        for body in ["", " ", "null", "[]", "3", "{"] {
            assert!(object(&Bytes::from(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn null_is_like_absent_and_another_type_is_refused() {
        let body = object(&Bytes::from_static(br#"{"domain":null,"name":3,"version":""}"#)).expect("object");
        assert_eq!(text(&body, "domain").expect("null"), None);
        assert!(text(&body, "name").is_err());
        assert!(required(&body, "version").is_err());
    }
}
