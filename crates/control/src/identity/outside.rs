//! Callers that a trusted outside issuer vouches for: what its token says becomes an [`Actor`] with the roles that the
//! configuration gives.
//!
//! Nothing about them is stored, so there is nothing to revoke here either: a token ends when its issuer said it would, or
//! when the issuer withdraws the key that signed it. Whoever is given no role may sign in and sees nothing.

use std::sync::Arc;

use reeve_model::{
    Error, Kind, Result,
    actor::{Actor, Grant, IdentityKind},
    id::{IdentityId, TenantId},
    scope::Scope,
};
use reeve_store::{self as store, engine::Conn};
use uuid::Uuid;

use super::Known;
use crate::{
    core::{Core, stored},
    secret::{
        Secret,
        issuer::{Issuers, LEEWAY_S, OutsideError, Outsider, RoleAt},
    },
};

/// Longest part of a name that the caller's issuer may choose, in letters.
const USERNAME_MAX: usize = 64;

/// Verifies a token of a trusted issuer.
///
/// # Errors
/// `Unauthenticated`, `Unavailable` when the issuer's keys cannot be had.
pub(super) async fn check(core: &Core, issuers: &Issuers, token: &Secret) -> Result<Known> {
    let now_s = core.now().0 / 1_000_000;
    let outsider = issuers
        .verify(token.expose(), now_s)
        .await
        .map_err(|error| refused(&error))?;
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let tenants = store::identity::tenants(&mut db)
        .await
        .map_err(stored("list tenants"))?;
    let Some((tenant, _, _)) = tenants.first() else {
        return Err(Error::internal("there is no tenant yet"));
    };
    let tenant = *tenant;
    let mut grants = Vec::with_capacity(outsider.roles.len());
    for given in &outsider.roles {
        grants.extend(grant(core, &mut db, tenant, given).await?);
    }
    let actor = Actor {
        id: id(&outsider),
        kind: IdentityKind::Outsider,
        name: name(&outsider),
        tenant,
        grants,
    };
    Ok(Known {
        actor: Arc::new(actor),
        ends_s: outsider.expires_at.saturating_add(LEEWAY_S),
    })
}

/// The refusal of a token; only the issuer's silence is not the caller's fault.
pub(super) fn refused(error: &OutsideError) -> Error {
    let kind = match error {
        OutsideError::Unavailable(_) => Kind::Unavailable {
            retry_after: std::time::Duration::from_secs(5),
        },
        OutsideError::Malformed(_)
        | OutsideError::WrongIssuer
        | OutsideError::WrongAudience
        | OutsideError::UnknownKey
        | OutsideError::BadSignature
        | OutsideError::Expired
        | OutsideError::NotYet => Kind::Unauthenticated,
    };
    match error {
        // Addresses and network errors are for the operator.
        OutsideError::Unavailable(why) => {
            Error::new(kind, "the keys of the token's issuer cannot be had now; try again").context(why.clone())
        }
        told => Error::new(kind, told.to_string()),
    }
}

/// The same person has the same id in each server and after each restart.
fn id(outsider: &Outsider) -> IdentityId {
    let lasting = format!("{}#{}", outsider.issuer, outsider.subject);
    IdentityId(Uuid::new_v5(&Uuid::NAMESPACE_URL, lasting.as_bytes()))
}

/// The name for people comes first; what cannot be mistaken for somebody else, issuer and subject, comes last.
fn name(outsider: &Outsider) -> String {
    let username: String = outsider
        .username
        .chars()
        .filter(|letter| !letter.is_control())
        .take(USERNAME_MAX)
        .collect();
    format!("{username} ({}#{})", outsider.issuer, outsider.subject)
}

/// A role at the place its scope names; nothing while there is no such role or place.
async fn grant(core: &Core, db: &mut Conn, tenant: TenantId, given: &RoleAt) -> Result<Option<Grant>> {
    let Some(role) = core.roles.get(&given.role.to_lowercase()) else {
        return Ok(None);
    };
    let scope = place(db, tenant, &given.scope).await?;
    Ok(scope.map(|scope| Grant {
        role: Arc::clone(role),
        scope,
    }))
}

async fn place(db: &mut Conn, tenant: TenantId, text: &str) -> Result<Option<Scope>> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let Some(folder) = parts.first() else {
        return Ok(Some(Scope::tenant(tenant)));
    };
    let folders = store::cluster::folders(db, tenant)
        .await
        .map_err(stored("list folders"))?;
    let Some(folder) = folders.into_iter().find(|known| known.name == *folder) else {
        return Ok(None);
    };
    match parts[1..] {
        [] => Ok(Some(Scope::folder(tenant, folder.id))),
        [cluster] => {
            let named = store::cluster::find_by_name(db, tenant, cluster)
                .await
                .map_err(stored("find cluster"))?;
            let here = named.into_iter().find(|known| known.folder == folder.id);
            Ok(here.map(|known| Scope::cluster(tenant, folder.id, known.id)))
        }
        _ => Ok(None),
    }
}
