//! Typed ids, one newtype per noun, so that a node's id cannot be passed where a cluster's is meant.
//!
//! Ids are UUIDs; whoever makes one takes it from the id source of `control`, never from here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A tenant: the outermost boundary; nothing is shared across it.
    TenantId,
    /// A folder of clusters.
    FolderId,
    /// A cluster.
    ClusterId,
    /// A pool of nodes inside a cluster.
    PoolId,
    /// A node record; never used again once the record is gone.
    NodeId,
    /// An accepted request for change.
    OperationId,
    /// Somebody or something that can sign in: a user, an application, an API key, an agent.
    IdentityId,
    /// A grant of a role at a scope.
    GrantId,
}
