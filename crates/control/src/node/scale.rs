//! Raising a pool to a total.

use reeve_model::{
    Error, Result,
    operation::Verb,
    permission::{Action, Resource},
};

use super::{Added, Created, Differences, Set, figures, making::Making, quotas};
use crate::{
    budget,
    cluster::{self},
    core::stored,
    ctx::Ctx,
    record,
};

/// Raises a pool to a total of nodes or cores; never lowers it.
///
/// # Errors
/// As [`create`].
pub async fn scale(
    ctx: &Ctx,
    which: &cluster::Selector,
    pool: &str,
    nodes: Option<u32>,
    cores: Option<u32>,
) -> Result<Created> {
    let cluster = cluster::permitted(ctx, which, Resource::Node, Action::Create).await?;
    let quotas = quotas(ctx, cluster.id).await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    budget::admit(ctx, &mut tx, &cluster).await?;
    let mut making = Making::open(ctx, &mut tx, cluster.id, &quotas).await?;
    making.load_names(&mut tx).await?;
    let set = Set {
        pool: pool.to_owned(),
        count: 1,
        size: None,
        name_format: None,
        name_offset: None,
        placement_group: None,
        differences: Differences::default(),
        overrides: None,
    };
    let (pool, format) = making.check(&set)?;
    let mut names = Vec::new();
    let mut short = 0;
    for size in pool.sizes.clone() {
        let figures = figures(ctx, &mut tx, &making.cluster, &pool, &size, &quotas).await?;
        let in_use = making.in_use(&pool, &figures);
        short = match (nodes, cores) {
            (Some(total), _) => u32::try_from(i64::from(total) - in_use.pool.nodes).unwrap_or(0),
            (None, Some(total)) => u32::try_from(i64::from(total) - in_use.pool.cores)
                .unwrap_or(0)
                .div_ceil(figures.limits.cores.max(1)),
            (None, None) => return Err(Error::invalid("totalNodeCount", "give a total of nodes or of cores")),
        };
        if short == 0 {
            break;
        }
        let set = Set {
            count: short,
            size: Some(size),
            ..set.clone()
        };
        let added = making.add(&mut tx, &set, &pool, &format).await?;
        short -= u32::try_from(added.names.len()).unwrap_or(short);
        names.extend(added.names);
    }
    let message = (short > 0).then(|| format!("{short} more nodes were wanted than there is room for"));
    let (targets, cluster) = making.write(&mut tx).await?;
    let operation = cluster::operate(ctx, &mut tx, &cluster, Verb::Create, None, &targets).await?;
    record::done(
        ctx,
        &mut tx,
        "scale-pool",
        &pool.name,
        format!("{} nodes", targets.len()),
    )
    .await?;
    tx.notify("node", String::new());
    tx.commit().await.map_err(stored("commit"))?;
    ctx.core.nodes_due.notify_one();
    Ok(Created {
        operation,
        sets: vec![Added { names, message }],
    })
}
