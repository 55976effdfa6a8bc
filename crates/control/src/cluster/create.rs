//! Making and renaming the records of clusters.

use reeve_model::{
    Error, Kind, Result,
    cluster::{Aspects, Cluster, Goal, MAX_CORES_DEFAULT, MAX_COUNT_DEFAULT, Phase},
    id::{ClusterId, FolderId},
    permission::{Action, Resource},
};
use reeve_store::{self as store, engine::Conn};

use super::{Selector, home, permitted};
use crate::{core::stored, ctx::Ctx, record};

/// A fresh record.
pub(crate) fn blank(ctx: &Ctx, folder: FolderId, name: &str, aspects: Aspects) -> Cluster {
    Cluster {
        id: ClusterId(ctx.core.id()),
        tenant: ctx.tenant(),
        folder,
        name: name.to_owned(),
        aspects,
        goal: Goal::Idle,
        generation: 0,
        phase: Phase::Idle,
        max_count: MAX_COUNT_DEFAULT,
        max_cores: MAX_CORES_DEFAULT,
        domain: None,
        version: None,
        created_at: ctx.now(),
        updated_at: ctx.now(),
        last_seen: None,
        delete_requested_at: None,
        simulated: false,
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 253 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "a cluster's name has 1 to 253 characters and no control characters",
        ));
    }
    Ok(())
}

/// Refuses a name that another cluster of the tenant has.
pub(super) async fn check_free(ctx: &Ctx, db: &mut Conn, name: &str, except: Option<ClusterId>) -> Result<()> {
    let same = store::cluster::find_by_name(db, ctx.tenant(), name)
        .await
        .map_err(stored("load cluster"))?;
    if same.iter().any(|cluster| Some(cluster.id) != except) {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("a cluster named \"{name}\" already exists"),
        ));
    }
    Ok(())
}

/// Makes the record of a cluster that an agent will report.
///
/// # Errors
/// `Invalid`, `AlreadyExists`, `Forbidden`.
pub async fn create(ctx: &Ctx, name: &str, domain: Option<String>, version: Option<String>) -> Result<Cluster> {
    let folder = home(ctx, None).await?;
    check_name(name)?;
    let mut cluster = blank(
        ctx,
        folder,
        name,
        Aspects {
            attached: true,
            ..Aspects::default()
        },
    );
    cluster.domain = domain;
    cluster.version = version;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    check_free(ctx, &mut tx, name, None).await?;
    store::cluster::insert(&mut tx, &cluster)
        .await
        .map_err(stored("insert cluster"))?;
    record::done(ctx, &mut tx, "create-cluster", name, String::new()).await?;
    let event = record::event(ctx, &cluster, "cluster", name, "created".into());
    store::ledger::events(&mut tx, &[event])
        .await
        .map_err(stored("write event"))?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(cluster)
}

/// Renames a cluster; to its present name is fine.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `AlreadyExists`.
pub async fn rename(ctx: &Ctx, which: &Selector, name: &str) -> Result<()> {
    let mut cluster = permitted(ctx, which, Resource::Cluster, Action::Update).await?;
    check_name(name)?;
    if cluster.name == name {
        return Ok(());
    }
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    check_free(ctx, &mut tx, name, Some(cluster.id)).await?;
    let before = std::mem::replace(&mut cluster.name, name.to_owned());
    cluster.updated_at = ctx.now();
    store::cluster::update(&mut tx, &cluster)
        .await
        .map_err(stored("update cluster"))?;
    record::done(ctx, &mut tx, "rename-cluster", name, format!("was \"{before}\"")).await?;
    tx.commit().await.map_err(stored("commit"))
}
