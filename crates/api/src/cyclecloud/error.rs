//! Our errors as CycleCloud's status codes and bodies: an object with `Message` and `Detail`, always both.
//!
//! Knows nothing of what was asked; a handler that needs a status of its own makes the [`Failure`] itself.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_model::{Error, Kind};
use serde_json::json;

/// What a handler answers instead of a result.
#[derive(Debug)]
pub struct Failure {
    /// Status code.
    pub status: StatusCode,
    /// One line, never empty.
    pub message: String,
    /// The whole text, which may have several lines.
    pub detail: String,
    /// How long to wait before the next try.
    pub retry_after: Option<Duration>,
}

/// Result of a handler.
pub type Answer<T = Response> = Result<T, Failure>;

impl Failure {
    /// A failure with a status of its own; `detail` may have several lines, of which the first becomes the message.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let first = detail
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("request failed");
        Self {
            status,
            message: first.to_owned(),
            detail,
            retry_after: None,
        }
    }

    /// 400: the request can not be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 409: the request can be read and breaks a rule.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }
}

/// The one table of status codes.
#[must_use]
pub fn status(kind: &Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists
        | Kind::Invalid { .. }
        | Kind::Conflict
        | Kind::DuplicateRequest
        | Kind::QuotaExceeded
        | Kind::Unsupported => StatusCode::CONFLICT,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.retryable() {
            tracing::error!(%error, "request failed");
        }
        let mut failure = Self::new(status(&error.kind), error.message);
        if let Kind::Unavailable { retry_after } = error.kind {
            failure.retry_after = Some(retry_after);
        }
        failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "Message": self.message, "Detail": self.detail });
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"reeve\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        if let Some(wait) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// 405 for a known path with a wrong verb.
pub async fn wrong_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not answer to this HTTP method",
    )
}

/// 404 for a path that is nobody's.
pub async fn unknown_path() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_status_that_clients_know() {
        let codes: Vec<u16> = Kind::every().iter().map(|kind| status(kind).as_u16()).collect();
        assert_eq!(codes, [404, 409, 409, 409, 409, 401, 403, 409, 409, 503, 500]);
    }

    #[test]
    fn the_message_is_one_line_and_the_detail_has_all_of_them() {
        let failure = Failure::from(Error::invalid("template", "line 2: a\nline 4: b"));
        assert_eq!(
            (failure.message.as_str(), failure.detail.as_str()),
            ("line 2: a", "line 2: a\nline 4: b")
        );
    }

    #[test]
    fn a_message_is_never_empty() {
        assert!(!Failure::malformed("").message.is_empty());
    }

    #[test]
    fn a_refused_sign_in_names_the_scheme() {
        let response = Failure::from(Error::new(Kind::Unauthenticated, "who?")).into_response();
        assert!(
            response.headers()[header::WWW_AUTHENTICATE]
                .to_str()
                .is_ok_and(|text| text.starts_with("Basic "))
        );
    }
}
