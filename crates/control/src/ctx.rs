//! The context of one request or one activation: who, under which request id, on which core.

use std::sync::Arc;

use reeve_model::{
    Error, Kind, Result, Timestamp,
    actor::{Actor, Grant, IdentityKind},
    id::{IdentityId, TenantId},
    permission::{self, Action, Resource},
    scope::Scope,
};
use uuid::Uuid;

use crate::{core::Core, record};

/// Who asks, and through which request.
#[derive(Clone)]
pub struct Ctx {
    /// The running server.
    pub core: Arc<Core>,
    /// The verified caller.
    pub actor: Arc<Actor>,
    /// Id of the request, shown to people in errors and kept in the audit trail.
    pub request_id: String,
    /// What exists but is out of the caller's sight is refused as `Forbidden`, because that is what the callers of this
    /// API are promised; otherwise it does not exist for them.
    pub candid: bool,
}

impl Ctx {
    /// A context for work that Reeve does by itself in `tenant`.
    #[must_use]
    pub fn system(core: Arc<Core>, tenant: TenantId, request_id: impl Into<String>) -> Self {
        let role = core.roles.get("admin").cloned();
        let grants = role
            .map(|role| Grant {
                role,
                scope: Scope::tenant(tenant),
            })
            .into_iter()
            .collect();
        let actor = Actor {
            id: IdentityId(Uuid::nil()),
            kind: IdentityKind::System,
            name: "reeve".into(),
            tenant,
            grants,
        };
        Self {
            core,
            actor: Arc::new(actor),
            request_id: request_id.into(),
            candid: false,
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// The caller's tenant.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.actor.tenant
    }

    /// The whole tenant as a scope.
    #[must_use]
    pub fn root(&self) -> Scope {
        Scope::tenant(self.actor.tenant)
    }

    /// May the caller look at `resource` at `scope`?
    #[must_use]
    pub fn sees(&self, resource: Resource, scope: &Scope) -> bool {
        permission::allows(&self.actor, resource, Action::Read, scope)
    }

    /// The one check of every verb; a refusal is written to the audit trail.
    ///
    /// # Errors
    /// `NotFound` when the caller may not even see it, `Forbidden` when they may see but not do this.
    pub async fn check(&self, resource: Resource, action: Action, scope: &Scope, what: &str, name: &str) -> Result<()> {
        if permission::allows(&self.actor, resource, action, scope) {
            return Ok(());
        }
        let shown = self.sees(resource, scope);
        Err(self.refused(action, what, name, shown).await)
    }

    /// The refusal of something that exists, written to the audit trail; `shown`: the caller may see it.
    pub(crate) async fn refused(&self, action: Action, what: &str, name: &str, shown: bool) -> Error {
        record::denied(self, &format!("{}-{}", verb(action), what), name).await;
        if shown || self.candid {
            Error::new(
                Kind::Forbidden,
                format!("{} may not {} {what} \"{name}\"", self.actor.name, verb(action)),
            )
        } else {
            Error::not_found(what, name)
        }
    }

    /// The check of a list for callers who are promised to be told when they may see none of its kind anywhere; others
    /// get an empty one.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn check_list(&self, resource: Resource, what: &str) -> Result<()> {
        if self.candid && !permission::allows_somewhere(&self.actor, resource, Action::Read, &self.root()) {
            return self.check_root(resource, Action::Read, what).await;
        }
        Ok(())
    }

    /// The check for things that lie at the tenant's root and are no secret by existing.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn check_root(&self, resource: Resource, action: Action, what: &str) -> Result<()> {
        if permission::allows(&self.actor, resource, action, &self.root()) {
            return Ok(());
        }
        record::denied(self, &format!("{}-{}", verb(action), what), "").await;
        Err(Error::new(
            Kind::Forbidden,
            format!("{} may not {} {what}", self.actor.name, verb(action)),
        ))
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Join => "join",
    }
}
