//! Who acts: the one answer of every kind of sign-in. Past this line nobody asks which dialect it was.

use std::sync::Arc;

use crate::{
    id::{IdentityId, TenantId},
    permission::Role,
    scope::Scope,
};

/// What kind of identity acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentityKind {
    /// A person with a password.
    User,
    /// A program with an id and a secret.
    Application,
    /// A single key.
    ApiKey,
    /// A node agent.
    Agent,
    /// Somebody an outside issuer vouches for; nothing of them is stored.
    Outsider,
    /// Reeve itself: reconcilers and sweeps.
    System,
}

impl IdentityKind {
    /// Stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Application => "application",
            Self::ApiKey => "api-key",
            Self::Agent => "agent",
            Self::Outsider => "outsider",
            Self::System => "system",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::User,
            Self::Application,
            Self::ApiKey,
            Self::Agent,
            Self::Outsider,
            Self::System,
        ]
        .into_iter()
        .find(|kind| kind.word() == word)
    }
}

/// A role held at a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it permits.
    pub role: Arc<Role>,
    /// Where, and everywhere below.
    pub scope: Scope,
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The identity's id.
    pub id: IdentityId,
    /// Its kind.
    pub kind: IdentityKind,
    /// Its name, for the audit trail and for people.
    pub name: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Everything it may do.
    pub grants: Vec<Grant>,
}
