//! Refusals of the native API: one [`Problem`] body for every kind of error.

use std::future::Future;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_control::Ctx;
use reeve_model::{Error, Kind, Result};
use reeve_wire::native::Problem;

use crate::{App, request};

/// An error on its way out, with the request it belongs to.
pub struct Refusal {
    error: Error,
    request_id: String,
    status: Option<StatusCode>,
}

impl Refusal {
    /// A refusal of a request whose context could not be made yet.
    pub fn new(app: &App, headers: &HeaderMap, error: Error) -> Self {
        Self {
            error,
            request_id: request::id(app, headers),
            status: None,
        }
    }

    /// The same under a status that no kind of error has.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }
}

/// Runs a handler's work and renders what comes of it, under the request's id.
pub async fn answer<T: IntoResponse>(ctx: &Ctx, work: impl Future<Output = Result<T>>) -> Response {
    match work.await {
        Ok(body) => with_id(body.into_response(), &ctx.request_id),
        Err(error) => Refusal {
            error,
            request_id: ctx.request_id.clone(),
            status: None,
        }
        .into_response(),
    }
}

fn with_id(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// The status of each kind.
#[must_use]
pub fn status(kind: &Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Conflict | Kind::DuplicateRequest => StatusCode::CONFLICT,
        Kind::Invalid { .. } => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::QuotaExceeded => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self {
            error,
            request_id,
            status: given,
        } = self;
        if !error.context.is_empty() {
            let context = error.context.join(": ");
            tracing::warn!(
                request.id = request_id,
                code = error.kind.code(),
                context,
                "call failed"
            );
        }
        let retry_after_s = match &error.kind {
            Kind::Unavailable { retry_after } => Some(retry_after.as_secs().max(1)),
            _ => None,
        };
        let field = match &error.kind {
            Kind::Invalid { field } if !field.is_empty() => Some(field.clone()),
            _ => None,
        };
        let problem = Problem {
            code: error.kind.code().to_owned(),
            message: error.message.clone(),
            field,
            request_id: request_id.clone(),
            retry_after_s,
        };
        let code = given.unwrap_or_else(|| status(&error.kind));
        let mut response = (code, Json(problem)).into_response();
        if let Some(seconds) = retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Reeve\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        with_id(response, &request_id)
    }
}

/// The answer to an error, for the table of all dialects.
#[cfg(test)]
pub(crate) fn shown(error: Error) -> Response {
    Refusal {
        error,
        request_id: "r-1".into(),
        status: None,
    }
    .into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refuse(kind: Kind) -> Response {
        let error = Error::new(kind, "no");
        Refusal {
            error,
            request_id: "r-1".into(),
            status: None,
        }
        .into_response()
    }

    #[test]
    fn every_kind_is_an_error_status_and_carries_the_request_id() {
        for kind in Kind::every() {
            let response = refuse(kind.clone());
            assert!(response.status().as_u16() >= 400, "{kind:?}");
            assert_eq!(response.headers()["x-request-id"], "r-1");
        }
    }

    #[test]
    fn a_missing_credential_is_challenged_for() {
        assert!(
            refuse(Kind::Unauthenticated)
                .headers()
                .contains_key(header::WWW_AUTHENTICATE)
        );
        assert!(!refuse(Kind::Forbidden).headers().contains_key(header::WWW_AUTHENTICATE));
    }

    #[test]
    fn a_caller_is_told_how_long_to_wait() {
        let response = refuse(Kind::Unavailable {
            retry_after: Duration::from_millis(200),
        });
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
