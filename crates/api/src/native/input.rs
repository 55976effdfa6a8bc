//! What handlers read of a request: path, query and body, each refused with a `Problem` when it is not as it should be.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{StatusCode, request::Parts},
};
use bytes::Bytes;
use reeve_model::{Error, Result};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::Refusal;
use crate::App;

/// Largest body, bytes.
pub const BODY_MAX: usize = 4 << 20;
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// Decoded segments of the path.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Segments<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(error) => {
                let error = Error::invalid("", format!("the path can not be read: {}", error.body_text()));
                Err(Refusal::new(app, &parts.headers, error))
            }
        }
    }
}

/// The query; parameters it does not know are refused by name.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(|error| {
                let text = error.to_string();
                let error = Error::invalid(named(&text), format!("the query can not be read: {text}"));
                Refusal::new(app, &parts.headers, error)
            })
    }
}

/// The JSON body, whatever its content type says.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|rejection| unread(app, &headers, &rejection))?;
        parse(&bytes)
            .map(Self)
            .map_err(|error| Refusal::new(app, &headers, error))
    }
}

fn unread(app: &App, headers: &axum::http::HeaderMap, rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let error = Error::invalid("", format!("the body is larger than {BODY_MAX} bytes"));
        return Refusal::new(app, headers, error).with_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    Refusal::new(app, headers, Error::invalid("", "the body did not arrive in full"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("", "a JSON body is missing"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::invalid(
            "",
            format!("the body is not UTF-8: byte {} is broken", error.valid_up_to()),
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        Error::invalid(named(&message), format!("the body can not be read: {message}"))
    })
}

/// The field that a message of serde names, empty when it names none.
fn named(message: &str) -> &str {
    let after = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.split_once(start))
        .map_or("", |(_, rest)| rest);
    after.split_once('`').map_or("", |(name, _)| name)
}

/// Where a list goes on, and how far.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Most items, 1 to 1000; 100 when absent.
    pub limit: Option<u32>,
}

/// Reads a limit.
///
/// # Errors
/// `Invalid` outside 1 to 1000.
pub fn limit(given: Option<u32>) -> Result<u32> {
    match given.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        other => Err(Error::invalid(
            "limit",
            format!("a limit is 1 to {LIMIT_MAX}, not {other}"),
        )),
    }
}

/// Reads a cursor; `start` when there is none.
///
/// # Errors
/// `Invalid` when no page ever gave it.
pub fn cursor(given: Option<&str>, start: i64) -> Result<i64> {
    given.map_or(Ok(start), |text| {
        text.parse()
            .map_err(|_| Error::invalid("cursor", format!("\"{text}\" is no cursor of a page")))
    })
}

/// Reads an id.
///
/// # Errors
/// `NotFound`: what is no id names nothing.
pub fn id<T: std::str::FromStr>(what: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::not_found(what, text))
}

#[cfg(test)]
mod tests {
    use reeve_model::Kind;
    use reeve_wire::native::{ClusterCreate, NodeCreate};

    use super::*;

    fn field<T: DeserializeOwned + std::fmt::Debug>(body: &[u8]) -> String {
        match parse::<T>(body).expect_err("the body must be refused").kind {
            Kind::Invalid { field } => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_field_that_is_unknown_missing_or_given_twice_is_named() {
        assert_eq!(field::<ClusterCreate>(br#"{"name":"a","nmae":"b"}"#), "nmae");
        assert_eq!(field::<NodeCreate>(br#"{"count":1}"#), "pool");
        assert_eq!(field::<ClusterCreate>(br#"{"name":"a","name":"b"}"#), "name");
    }

    #[test]
    fn bodies_that_are_empty_broken_or_of_another_type_are_refused() {
        for body in [
            &b""[..],
            b"  ",
            b"{",
            b"[]",
            b"null",
            b"\"\xff\"",
            br#"{"name":1}"#,
            b"{}{}",
        ] {
            field::<ClusterCreate>(body);
        }
    }

    #[test]
    fn a_limit_lies_between_one_and_a_thousand() {
        assert_eq!(limit(None).expect("the default"), 100);
        assert_eq!(limit(Some(1000)).expect("the most"), 1000);
        assert!(limit(Some(0)).is_err() && limit(Some(1001)).is_err());
    }
}
