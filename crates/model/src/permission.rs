//! The one permission rule: actor, action, scope path.
//!
//! A role is a named set of permissions; a grant gives a role at a scope. Deny by default. The three core roles are
//! here; dialects bring their vendors' role names as further [`Role`] values, all judged by the same [`allows`].

use std::collections::BTreeSet;

use crate::{actor::Actor, scope::Scope};

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The tenant's own settings.
    Tenant,
    /// Folders of clusters.
    Folder,
    /// Clusters.
    Cluster,
    /// Pools of nodes.
    Pool,
    /// Nodes.
    Node,
    /// Departments.
    Department,
    /// Projects.
    Project,
    /// Users, applications, API keys.
    Identity,
    /// Grants of roles.
    Grant,
    /// The audit trail.
    Audit,
    /// Usage and cost.
    Usage,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Look at it.
    Read,
    /// Make one.
    Create,
    /// Change it, or what it is wanted for.
    Update,
    /// Remove it.
    Delete,
    /// Let a host join: reading the answer reveals a join secret.
    Join,
}

/// A set of (resource, action).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions(BTreeSet<(Resource, Action)>);

impl Permissions {
    /// Every combination of `resources` and `actions`.
    #[must_use]
    pub fn of(resources: &[Resource], actions: &[Action]) -> Self {
        Self(
            resources
                .iter()
                .flat_map(|resource| actions.iter().map(|action| (*resource, *action)))
                .collect(),
        )
    }

    /// Both sets together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// True when the set holds this permission.
    #[must_use]
    pub fn holds(&self, resource: Resource, action: Action) -> bool {
        self.0.contains(&(resource, action))
    }
}

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Name as people give it, unique without case.
    pub name: String,
    /// What it permits.
    pub permissions: Permissions,
}

/// Every resource there is.
pub const RESOURCES: [Resource; 11] = [
    Resource::Tenant,
    Resource::Folder,
    Resource::Cluster,
    Resource::Pool,
    Resource::Node,
    Resource::Department,
    Resource::Project,
    Resource::Identity,
    Resource::Grant,
    Resource::Audit,
    Resource::Usage,
];

/// Every action there is.
pub const ACTIONS: [Action; 5] = [
    Action::Read,
    Action::Create,
    Action::Update,
    Action::Delete,
    Action::Join,
];

/// What an operator works on: everything but identities, grants and the tenant itself.
const OPERATED: [Resource; 6] = [
    Resource::Cluster,
    Resource::Pool,
    Resource::Node,
    Resource::Department,
    Resource::Project,
    Resource::Folder,
];

/// What a viewer sees; identities, grants and the audit trail are for administrators.
const VIEWED: [Resource; 8] = [
    Resource::Tenant,
    Resource::Folder,
    Resource::Cluster,
    Resource::Pool,
    Resource::Node,
    Resource::Department,
    Resource::Project,
    Resource::Usage,
];

/// The three core roles: `admin`, `operator`, `viewer`.
#[must_use]
pub fn core_roles() -> Vec<Role> {
    let viewer = Permissions::of(&VIEWED, &[Action::Read]);
    let operator = Permissions::of(&OPERATED, &ACTIONS)
        .and(&viewer)
        .and(&Permissions::of(&[Resource::Audit], &[Action::Read]));
    vec![
        Role {
            name: "admin".into(),
            permissions: Permissions::of(&RESOURCES, &ACTIONS),
        },
        Role {
            name: "operator".into(),
            permissions: operator,
        },
        Role {
            name: "viewer".into(),
            permissions: viewer,
        },
    ]
}

/// The rule: some grant covers `scope` and its role holds the permission.
#[must_use]
pub fn allows(actor: &Actor, resource: Resource, action: Action, scope: &Scope) -> bool {
    actor
        .grants
        .iter()
        .any(|grant| grant.scope.covers(scope) && grant.role.permissions.holds(resource, action))
}

/// True when the actor holds the permission at `scope`, above it, or anywhere below it: whether a list is worth making.
#[must_use]
pub fn allows_somewhere(actor: &Actor, resource: Resource, action: Action, scope: &Scope) -> bool {
    actor.grants.iter().any(|grant| {
        (grant.scope.covers(scope) || scope.covers(&grant.scope)) && grant.role.permissions.holds(resource, action)
    })
}
