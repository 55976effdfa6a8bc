//! Errors in Run:ai's envelope: `{code, message, details}`, where `code` repeats the status.
//!
//! Clients of this API retry 401, 429 and every 5xx several times before they give up, so each of these is used only
//! where trying again can help.

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_model::{Error, Kind};
use serde_json::json;

use super::auth;
use crate::App;

/// An error on its way to the caller.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: status(&error.kind),
            error,
        }
    }
}

impl Failure {
    /// A request that is malformed; `what` tells how.
    pub(super) fn bad(what: impl Into<String>) -> Self {
        Error::invalid("", what).into()
    }

    /// A body that could not be read; `status` tells one that is too large from a broken one.
    pub(super) fn body(status: StatusCode, what: impl Into<String>) -> Self {
        Self {
            status,
            error: Error::invalid("", what),
        }
    }

    /// The same error for an endpoint that gives tokens: there bad credentials are a bad request.
    pub(super) fn at_token_endpoint(mut self) -> Self {
        if self.error.kind == Kind::Unauthenticated {
            self.status = StatusCode::BAD_REQUEST;
        }
        self
    }
}

/// The status that tells a kind of error.
fn status(kind: &Kind) -> StatusCode {
    match kind {
        Kind::Invalid { .. } | Kind::Unsupported => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Conflict | Kind::DuplicateRequest | Kind::QuotaExceeded => StatusCode::CONFLICT,
        Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Message and details. Scripts look for the words "already exists" in the message.
fn texts(error: &Error) -> (String, Option<String>) {
    match &error.kind {
        Kind::AlreadyExists => (
            "Resource with this name already exists".into(),
            Some(error.message.clone()),
        ),
        Kind::Invalid { field } if !field.is_empty() => (error.message.clone(), Some(format!("field: {field}"))),
        _ => (error.message.clone(), None),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(error = %self.error, "a request failed");
        }
        let (message, details) = texts(&self.error);
        let mut body = json!({ "code": self.status.as_u16(), "message": message });
        if let Some(details) = details {
            body["details"] = details.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Kind::Unavailable { retry_after } = self.error.kind {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        response
    }
}

/// The answer to a path that this version does not know.
pub(super) async fn no_route(
    State(app): State<App>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = auth::verify(&app, &headers).await {
        return Failure::from(error).into_response();
    }
    let text = format!("{method} {} is not offered by this version", uri.path());
    Failure::from(Error::new(Kind::NotFound, text)).into_response()
}

/// The answer to a known path with a method it does not have.
pub(super) async fn no_method(
    State(app): State<App>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let gives_tokens = uri.path().ends_with("token");
    if !gives_tokens && let Err(error) = auth::verify(&app, &headers).await {
        return Failure::from(error).into_response();
    }
    let error = Error::new(
        Kind::Unsupported,
        format!("{} has no method {method} in this version", uri.path()),
    );
    Failure {
        status: StatusCode::METHOD_NOT_ALLOWED,
        error,
    }
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_status_that_this_dialects_clients_know() {
        let statuses: Vec<_> = Kind::every()
            .iter()
            .map(|kind| (kind.code(), status(kind).as_u16()))
            .collect();
        assert_eq!(
            statuses,
            [
                ("not_found", 404),
                ("already_exists", 409),
                ("invalid", 400),
                ("conflict", 409),
                ("duplicate_request", 409),
                ("unauthenticated", 401),
                ("forbidden", 403),
                ("quota_exceeded", 409),
                ("unsupported", 400),
                ("unavailable", 503),
                ("internal", 500),
            ]
        );
    }

    #[test]
    fn a_taken_name_is_told_in_the_words_that_scripts_look_for() {
        let (message, details) = texts(&Error::new(Kind::AlreadyExists, "cluster \"a\" is there"));
        assert!(message.contains("already exists"));
        assert_eq!(details.as_deref(), Some("cluster \"a\" is there"));
    }

    #[test]
    fn bad_credentials_at_a_token_endpoint_are_a_bad_request() {
        let failure = Failure::from(Error::new(Kind::Unauthenticated, "no")).at_token_endpoint();
        assert_eq!(failure.status, StatusCode::BAD_REQUEST);
        let failure = Failure::from(Error::new(Kind::Internal, "no")).at_token_endpoint();
        assert_eq!(failure.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
