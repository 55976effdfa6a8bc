//! Every answer of the agent protocol that is not 200: a code for the agent, a sentence for people.

use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_control::agent::{Failure, Refused};
use reeve_model::{Error, Kind};
use reeve_wire::agent::Refusal as Body;

/// A status with its body.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// Seconds to wait before the next try.
    retry_after: Option<u64>,
    body: Body,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let retryable = status.is_server_error();
        Self {
            status,
            retry_after: None,
            body: Body {
                code: code.to_owned(),
                message: message.into(),
                retryable,
            },
        }
    }

    /// The call is not what the protocol says.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// The agent is newer than this server.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported_protocol", message)
    }

    /// The call carries no bearer token.
    pub(crate) fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "token_unknown",
            "send the token as \"Authorization: Bearer TOKEN\"",
        )
    }

    /// The body could not be read, or is too long.
    pub(crate) fn body(rejection: &BytesRejection) -> Self {
        Self::new(rejection.status(), "invalid", rejection.body_text())
    }

    /// There is no program for this architecture here.
    pub(crate) fn no_binary(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid", message)
    }
}

/// A path that the protocol does not have.
pub(crate) async fn unknown_path() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "invalid",
        "the protocol has no such call in this version",
    )
}

/// A method that a call does not take.
pub(crate) async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid",
        "this call does not take this method",
    )
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why, text) => {
                let (status, code) = words(why);
                Self::new(status, code, text)
            }
            Failure::Error(error) => error.into(),
        }
    }
}

/// What each refusal is called on the wire.
fn words(why: Refused) -> (StatusCode, &'static str) {
    match why {
        Refused::TokenUnknown => (StatusCode::UNAUTHORIZED, "token_unknown"),
        Refused::TokenExpired => (StatusCode::UNAUTHORIZED, "token_expired"),
        Refused::TokenUsed => (StatusCode::CONFLICT, "token_used"),
        Refused::CredentialRevoked => (StatusCode::UNAUTHORIZED, "credential_revoked"),
        Refused::NotDeclared => (StatusCode::NOT_FOUND, "not_declared"),
        Refused::NameHeld => (StatusCode::CONFLICT, "wrong_cluster"),
        Refused::Precheck => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut retry_after = None;
        let status = match error.kind {
            Kind::Unavailable { retry_after: wait } => {
                retry_after = Some(wait.as_secs().max(1));
                StatusCode::SERVICE_UNAVAILABLE
            }
            Kind::Invalid { .. } => return Self::invalid(error.message),
            // Nothing else is an agent's doing: these verbs ask for no permission and name nothing.
            Kind::NotFound
            | Kind::AlreadyExists
            | Kind::Conflict
            | Kind::DuplicateRequest
            | Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::QuotaExceeded
            | Kind::Unsupported
            | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::error!(error = %error, "an agent's call failed");
        Self {
            retry_after,
            ..Self::new(status, "unavailable", error.message)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_our_own_errors_are_worth_another_try() {
        let refused = Refusal::from(Failure::Refused(Refused::TokenExpired, "expired".into()));
        assert_eq!(
            (refused.status, refused.body.retryable),
            (StatusCode::UNAUTHORIZED, false)
        );
        assert_eq!(refused.body.code, "token_expired");
        let busy = Refusal::from(Error::new(
            Kind::Unavailable {
                retry_after: Duration::from_secs(30),
            },
            "busy",
        ));
        assert_eq!(
            (busy.status, busy.body.retryable, busy.retry_after),
            (StatusCode::SERVICE_UNAVAILABLE, true, Some(30))
        );
        let bug = Refusal::from(Error::internal("a hidden reason"));
        assert_eq!(
            (bug.status, bug.body.retryable),
            (StatusCode::INTERNAL_SERVER_ERROR, true)
        );
        assert!(!bug.body.message.contains("hidden"));
    }
}
