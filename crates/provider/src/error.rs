//! What can go wrong between us and a provider, in as many kinds as the caller treats differently.
//!
//! Knows no HTTP status and no vendor's error codes: each provider translates its own into these.

use std::time::Duration;

/// A provider call, or one request of a batch, that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller should make of it.
    pub kind: ErrorKind,
    /// For people; one sentence without a final period, free of secrets.
    pub message: String,
    /// The provider's name for the call, for its support; absent when the call never got an answer.
    pub request_id: Option<String>,
}

/// Kinds of failure. Out of capacity, over quota, throttled and unanswered are four different things: the first is
/// remembered against the machine size, the second against the account, the third against the call rate, and the fourth
/// says nothing at all about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No machine with this token exists, or it is gone.
    NotFound,
    /// The provider has no such machine to give at present, in this zone, for this size, at this price.
    OutOfCapacity,
    /// The account may not have more cores of this kind.
    QuotaExceeded,
    /// Too many calls; nothing was done. Ask again no earlier than `retry_after` from now.
    Throttled {
        /// Time to wait.
        retry_after: Duration,
    },
    /// The request can never succeed as it stands (unknown size, malformed token).
    Invalid,
    /// No answer came. **The effect may or may not have happened, or may still happen** within
    /// [`Capabilities::settle`](crate::Capabilities::settle). Ask again with the same token.
    Unanswered,
    /// Anything else; nothing was done as far as the provider knows. The message says what.
    Failed,
}

impl ErrorKind {
    /// Whether the same request may succeed later without anybody changing it.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::OutOfCapacity | Self::QuotaExceeded | Self::Throttled { .. } | Self::Unanswered | Self::Failed => {
                true
            }
            Self::NotFound | Self::Invalid => false,
        }
    }
}

impl Error {
    /// An error without a request id.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            request_id: None,
        }
    }

    /// The same error, naming the provider's request.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    pub(crate) fn failed(doing: &str, cause: &dyn std::fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, format!("{doing}: {cause}"))
    }
}
