//! Usage and cost: answers for a cluster, a folder, the tenant.
//!
//! [`ledger`] writes down what the reconcilers see; here it is only read. The runs of an answer are handed over one by
//! one and added up as they come, so that an answer takes memory for its lines and intervals and not for its runs.

use std::collections::BTreeMap;

use reeve_model::{
    Error, Result, Timestamp,
    cluster::Cluster,
    permission::{Action, Resource},
    scope::Scope,
    usage::{
        Line,
        frame::{Frame, Granularity, Window},
        report::{Exact, Group, Prices, Report, Resolution, Tally},
    },
};
use reeve_store::{self as store, engine::Conn, usage::Of};

use crate::{
    cluster::{self, Selector},
    core::stored,
    ctx::Ctx,
};

pub mod ledger;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Of which time.
    pub frame: Frame,
    /// How finely split.
    pub granularity: Granularity,
    /// How finely rounded.
    pub resolution: Resolution,
}

/// Usage of one cluster, by standing-alone node and by pool.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid` at `to` when the time is empty or too long.
pub async fn of_cluster(ctx: &Ctx, which: &Selector, question: Question) -> Result<(Cluster, Report)> {
    let cluster = cluster::permitted(ctx, which, Resource::Usage, Action::Read).await?;
    let window = Window::of(question.frame, question.granularity, ctx.now())?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let exact = exact(&mut db, Of::Cluster(cluster.id), window, ctx.now(), Group::in_cluster).await?;
    Ok((cluster, exact.rounded(question.resolution)))
}

/// Usage of a folder, or of the whole tenant when none is named, by cluster; of clusters that are gone too.
///
/// # Errors
/// As [`of_cluster`].
pub async fn of_folder(ctx: &Ctx, folder: Option<&str>, question: Question) -> Result<Report> {
    let of = match folder {
        None => {
            ctx.check_root(Resource::Usage, Action::Read, "usage").await?;
            Of::Tenant(ctx.tenant())
        }
        Some(name) => {
            let folders = cluster::folders(ctx).await?;
            let folder = folders.into_iter().find(|folder| folder.name == name);
            let folder = folder.ok_or_else(|| Error::not_found("folder", name))?;
            let scope = Scope::folder(ctx.tenant(), folder.id);
            ctx.check(Resource::Usage, Action::Read, &scope, "folder", name).await?;
            Of::Folder(ctx.tenant(), folder.id)
        }
    };
    let window = Window::of(question.frame, question.granularity, ctx.now())?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let by_cluster = |line: &Line| Group::Cluster(line.cluster.clone());
    let exact = exact(&mut db, of, window, ctx.now(), by_cluster).await?;
    Ok(exact.rounded(question.resolution))
}

/// Adds up what ran in a window; what still runs is counted until `now`.
pub(crate) async fn exact(
    db: &mut Conn,
    of: Of,
    window: Window,
    now: Timestamp,
    group: impl Fn(&Line) -> Group,
) -> Result<Exact> {
    let lines: BTreeMap<i64, Line> = store::usage::lines(db, of)
        .await
        .map_err(stored("load usage lines"))?
        .into_iter()
        .collect();
    let mut prices = Prices::default();
    for (goods, day, price) in store::usage::prices(db, of).await.map_err(stored("load prices"))? {
        prices.add(goods, day, price);
    }
    let mut tally = Tally::new(window);
    store::usage::runs(db, of, window.from, window.until, &mut |line, from, until| {
        tally.add(line, from, until.min(now));
    })
    .await
    .map_err(stored("load usage"))?;
    Ok(tally.priced(&lines, &prices, group))
}
