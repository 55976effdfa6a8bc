//! The one error type that crosses rooms: as few kinds as callers can tell apart, and no HTTP.
//!
//! `message` is for the user: what happened, why, which numbers, what to do next. `context` is for us and never leaves
//! the server except into its log. A dialect turns the kind into its own status and body in one exhaustive match.

use std::{fmt, time::Duration};

/// Result of everything in `model` and `control`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// There is no such thing, or the caller may not see it.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The request breaks a rule; `field` says where, empty when it is the whole.
    Invalid {
        /// Path of the offending field in the caller's terms.
        field: String,
    },
    /// The state of things forbids it now.
    Conflict,
    /// The request key was used before by another request.
    DuplicateRequest,
    /// No credential, or one that does not hold.
    Unauthenticated,
    /// A known caller who lacks the permission on something they may see.
    Forbidden,
    /// A limit would be exceeded.
    QuotaExceeded,
    /// Known, but not offered here.
    Unsupported,
    /// Try again later.
    Unavailable {
        /// How long to wait first.
        retry_after: Duration,
    },
    /// We have a bug.
    Internal,
}

/// An error with a text for people and a chain for us.
#[derive(Debug, Clone)]
pub struct Error {
    /// What a caller can act on.
    pub kind: Kind,
    /// For the user.
    pub message: String,
    /// For us, present-tense phrases from the outside in, e.g. `["start nodes", "load node"]`.
    pub context: Vec<String>,
}

impl Error {
    /// An error of `kind` that tells the user `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            context: Vec::new(),
        }
    }

    /// There is no `what` called `name`.
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{what} \"{name}\" not found"))
    }

    /// `field` breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid { field: field.into() }, message)
    }

    /// The state of things forbids it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// A bug of ours; the user sees a plain sentence, the log sees `why`.
    pub fn internal(why: impl fmt::Display) -> Self {
        let mut error = Self::new(Kind::Internal, "internal error; the server's log has the details");
        error.context.push(why.to_string());
        error
    }

    /// Adds a present-tense phrase for us.
    #[must_use]
    pub fn context(mut self, phrase: impl Into<String>) -> Self {
        self.context.insert(0, phrase.into());
        self
    }

    /// True when the same request may succeed later without anybody changing it.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self.kind {
            Kind::Unavailable { .. } | Kind::Internal => true,
            Kind::NotFound
            | Kind::AlreadyExists
            | Kind::Invalid { .. }
            | Kind::Conflict
            | Kind::DuplicateRequest
            | Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::QuotaExceeded
            | Kind::Unsupported => false,
        }
    }
}

impl Kind {
    /// Stable word for tables, logs and the native API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Invalid { .. } => "invalid",
            Self::Conflict => "conflict",
            Self::DuplicateRequest => "duplicate_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unsupported => "unsupported",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// One of each kind, for the table that every dialect answers.
    #[must_use]
    pub fn every() -> Vec<Self> {
        vec![
            Self::NotFound,
            Self::AlreadyExists,
            Self::Invalid { field: "field".into() },
            Self::Conflict,
            Self::DuplicateRequest,
            Self::Unauthenticated,
            Self::Forbidden,
            Self::QuotaExceeded,
            Self::Unsupported,
            Self::Unavailable {
                retry_after: Duration::from_secs(5),
            },
            Self::Internal,
        ]
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phrase in &self.context {
            write!(f, "{phrase}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
