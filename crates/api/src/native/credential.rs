//! Credentials: who may sign in, as what.

use std::time::Duration;

use axum::{Json, http::StatusCode, response::Response};
use reeve_control::{Ctx, cluster, identity};
use reeve_model::{Error, Result, actor::IdentityKind, scope::Scope};
use reeve_wire::native as wire;

use super::{
    auth::Caller,
    error::answer,
    input::{self, Body, Segments},
    render::{self, Names},
};

/// Credentials of the tenant, oldest first, without secrets.
#[utoipa::path(get, path = "/reeve/v1/credentials", tag = "credentials",
    responses((status = 200, body = wire::Page<wire::Credential>)))]
pub async fn list(Caller(ctx): Caller) -> Response {
    answer(&ctx, async {
        let shown = identity::list(&ctx).await?;
        let names = names(&ctx).await?;
        let items = shown.into_iter().map(|one| credential(one, &names)).collect();
        Ok(Json(wire::Page { items, next: None }))
    })
    .await
}

async fn names(ctx: &Ctx) -> Result<Names> {
    let folders = cluster::folders(ctx)
        .await?
        .into_iter()
        .map(|folder| (folder.id.to_string(), folder.name));
    let clusters = cluster::list(ctx)
        .await?
        .into_iter()
        .map(|cluster| (cluster.id.to_string(), cluster.name));
    Ok(folders.chain(clusters).collect())
}

fn credential(shown: identity::Shown, names: &Names) -> wire::Credential {
    let identity = shown.identity;
    wire::Credential {
        id: identity.id.to_string(),
        kind: identity.kind.word().to_owned(),
        name: identity.name,
        roles: shown
            .grants
            .into_iter()
            .map(|(role, scope)| wire::RoleAt {
                role,
                scope: written(&scope, names),
            })
            .collect(),
        created_at: render::time(identity.created_at),
        expires_at: identity.expires_at.map(render::time),
        revoked_at: identity.revoked_at.map(render::time),
    }
}

fn written(scope: &Scope, names: &Names) -> String {
    let name = |id: String| names.get(&id).cloned().unwrap_or(id);
    let folder = scope.folder_id().map(|id| name(id.to_string()));
    let cluster = scope.cluster_id().map(|id| name(id.to_string()));
    match (folder, cluster) {
        (None, _) => "/".to_owned(),
        (Some(folder), None) => folder,
        (Some(folder), Some(cluster)) => format!("{folder}/{cluster}"),
    }
}

/// Makes a credential with a role; its secret is shown this once.
#[utoipa::path(post, path = "/reeve/v1/credentials", tag = "credentials", request_body = wire::CredentialCreate,
    responses((status = 201, body = wire::CredentialCreated)))]
pub async fn create(Caller(ctx): Caller, Body(body): Body<wire::CredentialCreate>) -> Response {
    answer(&ctx, async {
        let kind = IdentityKind::parse(&body.kind).ok_or_else(|| {
            let message = format!(
                "there is no kind \"{}\"; kinds are: user, application, api-key",
                body.kind
            );
            Error::invalid("kind", message)
        })?;
        let wanted = identity::Wanted {
            kind,
            name: body.name,
            role: body.role,
            scope: body.scope.unwrap_or_default(),
            life: body.expires_in_s.map(Duration::from_secs),
            password: body.password.map(Into::into),
        };
        let made = identity::create(&ctx, wanted).await?;
        let (name, secret) = (made.identity.name, Some(made.secret.into_exposed()));
        let mut created = wire::CredentialCreated {
            id: made.identity.id.to_string(),
            kind: kind.word().to_owned(),
            name: name.clone(),
            client_id: None,
            client_secret: None,
            api_key: None,
            password: None,
        };
        match kind {
            IdentityKind::Application => (created.client_id, created.client_secret) = (Some(name), secret),
            IdentityKind::ApiKey => created.api_key = secret,
            IdentityKind::User | IdentityKind::Agent | IdentityKind::Outsider | IdentityKind::System => {
                created.password = secret
            }
        }
        Ok((StatusCode::CREATED, Json(created)))
    })
    .await
}

/// Revokes a credential at once.
#[utoipa::path(delete, path = "/reeve/v1/credentials/{credential}", tag = "credentials",
    responses((status = 204)))]
pub async fn revoke(Caller(ctx): Caller, Segments(id): Segments<String>) -> Response {
    answer(&ctx, async {
        identity::revoke(&ctx, input::id("credential", &id)?).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
