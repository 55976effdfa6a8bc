//! Which cluster a request means, and whether its caller may.

use reeve_model::{
    Error, Result,
    cluster::Cluster,
    id::ClusterId,
    permission::{Action, Resource},
};
use reeve_store::{self as store, engine::Reader};

use super::folder::folder_named;
use crate::{core::stored, ctx::Ctx};

/// Which cluster.
#[derive(Debug, Clone)]
pub enum Selector {
    /// By id.
    Id(ClusterId),
    /// By name, anywhere in the tenant.
    Name(String),
    /// By name in a folder.
    InFolder(String, String),
}

impl Selector {
    fn text(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) | Self::InFolder(_, name) => name.clone(),
        }
    }
}

/// A consistent view of the database with a cluster whose `resource` the caller may see; the first step of every read.
pub(crate) async fn view(ctx: &Ctx, which: &Selector, resource: Resource) -> Result<(Reader, Cluster)> {
    let folder = match which {
        Selector::InFolder(folder, _) => Some(folder_named(ctx, folder).await?),
        Selector::Id(_) | Selector::Name(_) => None,
    };
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let found = match which {
        Selector::Id(id) => store::cluster::find(&mut db, ctx.tenant(), *id).await,
        Selector::Name(name) | Selector::InFolder(_, name) => {
            let named = store::cluster::find_by_name(&mut db, ctx.tenant(), name).await;
            let here = |cluster: &Cluster| folder.as_ref().is_none_or(|folder| folder.id == cluster.folder);
            named.map(|all| all.into_iter().find(here))
        }
    };
    let Some(cluster) = found.map_err(stored("load cluster"))? else {
        return Err(Error::not_found("cluster", which.text()));
    };
    let sees = |resource| ctx.sees(resource, &cluster.scope());
    if sees(Resource::Cluster) && sees(resource) {
        return Ok((db, cluster));
    }
    // The refusal is written on a connection of its own.
    drop(db);
    Err(ctx.refused(Action::Read, "cluster", &which.text(), false).await)
}

/// Finds a cluster and checks the permission; the first step of every verb on one.
pub(crate) async fn permitted(ctx: &Ctx, which: &Selector, resource: Resource, action: Action) -> Result<Cluster> {
    let (db, cluster) = view(ctx, which, Resource::Cluster).await?;
    drop(db);
    ctx.check(resource, action, &cluster.scope(), "cluster", &cluster.name)
        .await?;
    Ok(cluster)
}
