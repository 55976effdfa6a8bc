//! Answers of this dialect: JSON or YAML, and the three fields of its errors.
//!
//! Clients map few status codes and search error texts for words that mean "it is gone"; both rules are kept here, in
//! one place, whatever the text of an error is.

use axum::{
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_model::{Error, Kind};
use serde_json::{Value, json};

use super::media;
use crate::{App, request};

/// Words by which clients conclude that a thing is gone, each with what is said instead.
const GONE: [(&str, &str); 3] = [
    ("not found", "unknown"),
    ("does not exist", "is unknown"),
    ("code 404", "a missing answer"),
];

/// An answer that is not 200.
#[derive(Debug)]
pub(super) enum Problem {
    /// Of the core.
    Core(Error),
    /// The body could not be read.
    Body(BytesRejection),
    /// The document breaks rules; all of them, joined.
    Document(String),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

/// The status of a kind of error; no other codes are known to clients.
fn status(kind: &Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists
        | Kind::Invalid { .. }
        | Kind::Conflict
        | Kind::DuplicateRequest
        | Kind::QuotaExceeded
        | Kind::Unsupported => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The text for the caller under the rule of words.
fn external(status: StatusCode, message: &str) -> String {
    if status == StatusCode::NOT_FOUND {
        let told = message.to_ascii_lowercase().contains("not found");
        return if told {
            message.to_owned()
        } else {
            format!("not found: {message}")
        };
    }
    let mut text = message.to_owned();
    for (words, instead) in GONE {
        while let Some(at) = text.to_ascii_lowercase().find(words) {
            text.replace_range(at..at + words.len(), instead);
        }
    }
    text
}

/// Writes a problem.
pub(super) fn refuse(app: &App, headers: &HeaderMap, problem: Problem) -> Response {
    let request_id = request::id(app, headers);
    let (status, message, retry_after) = match problem {
        Problem::Core(error) => {
            if error.kind == Kind::Internal {
                tracing::error!(request_id, error = %error, "a request failed");
            }
            let wait = match error.kind {
                Kind::Unavailable { retry_after } => Some(retry_after.as_secs().max(1)),
                _ => None,
            };
            (status(&error.kind), error.message, wait)
        }
        Problem::Body(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 1 MiB".to_owned(),
            None,
        ),
        Problem::Body(rejection) => (StatusCode::BAD_REQUEST, rejection.body_text(), None),
        Problem::Document(text) => (StatusCode::BAD_REQUEST, text, None),
    };
    let mut response = answer(headers, status, &body(status, &message, &request_id));
    set(&mut response, "x-request-id", &request_id);
    if let Some(seconds) = retry_after {
        set(&mut response, "retry-after", &seconds.to_string());
    }
    response
}

/// Status and body of an error of the core, for the table of all dialects.
#[cfg(test)]
pub(super) fn told(error: &Error) -> (u16, Value) {
    let status = status(&error.kind);
    (status.as_u16(), body(status, &error.message, "r-1"))
}

fn body(status: StatusCode, message: &str, request_id: &str) -> Value {
    json!({
        "code": status.as_u16(),
        "external": external(status, message),
        "internal": format!("request {request_id}"),
    })
}

/// Writes a value in the notation the caller ranks highest.
pub(super) fn answer(headers: &HeaderMap, status: StatusCode, value: &Value) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (kind, text) = if media::wants_yaml(accept) {
        ("application/yaml", media::to_yaml(value))
    } else {
        ("application/json", value.to_string())
    };
    (
        status,
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")],
        text,
    )
        .into_response()
}

/// Sets a header; text that no header can hold is left out.
pub(super) fn set(response: &mut Response, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

/// A path that this API does not have.
pub(super) async fn unknown_path(State(app): State<App>, headers: HeaderMap) -> Response {
    refuse(
        &app,
        &headers,
        Error::new(Kind::NotFound, "this path was not found").into(),
    )
}

/// A verb that a path does not take; the header `Allow`, which the router adds, names those it takes.
pub(super) async fn wrong_method(headers: HeaderMap) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let text = "this path does not take this verb; the header Allow names those it takes";
    answer(&headers, status, &json!({ "code": status.as_u16(), "external": text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_of_the_codes_clients_know() {
        for kind in Kind::every() {
            assert!(
                [400, 401, 403, 404, 500, 503].contains(&status(&kind).as_u16()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_words_for_gone_stand_in_a_404_and_nowhere_else() {
        assert_eq!(
            external(StatusCode::NOT_FOUND, "cluster \"x\" not found"),
            "cluster \"x\" not found"
        );
        assert!(external(StatusCode::NOT_FOUND, "cluster \"x\"").contains("not found"));
        let text =
            external(StatusCode::BAD_REQUEST, "node Not Found; it does not exist, code 404").to_ascii_lowercase();
        assert!(GONE.iter().all(|(words, _)| !text.contains(words)), "{text}");
    }
}
