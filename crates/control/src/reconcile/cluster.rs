//! The cluster reconciler: moves elastic clusters along as their nodes do, and drops deleted ones with their last node.

use std::sync::Arc;

use reeve_model::{
    Result,
    cluster::{Census, Goal, next_phase},
    node::{Goal as NodeGoal, Phase},
};
use reeve_store::{self as store};

use crate::{
    core::{Core, stored},
    ctx::Ctx,
    record,
};

/// Runs one activation; answers how many clusters moved.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn activate(core: &Arc<Core>) -> Result<usize> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let moving = store::cluster::unsettled(&mut db)
        .await
        .map_err(stored("list clusters"))?;
    drop(db);
    let mut moved = 0;
    for cluster in moving {
        let mut tx = core.store.begin().await.map_err(stored("begin"))?;
        let counts = store::node::census(&mut tx, Some(cluster.id))
            .await
            .map_err(stored("count nodes"))?;
        let census = census(&counts);
        if cluster.goal == Goal::Absent && census.records == 0 {
            store::cluster::delete(&mut tx, cluster.id)
                .await
                .map_err(stored("delete cluster"))?;
            tx.commit().await.map_err(stored("commit"))?;
            moved += 1;
            continue;
        }
        let phase = next_phase(cluster.goal, cluster.phase, census);
        if phase == cluster.phase {
            continue;
        }
        if store::cluster::observe(&mut tx, cluster.id, cluster.generation, phase)
            .await
            .map_err(stored("save"))?
        {
            let ctx = Ctx::system(Arc::clone(core), cluster.tenant, "cluster-reconciler");
            let event = record::event(&ctx, &cluster, "cluster", &cluster.name, phase.word().to_owned());
            store::ledger::events(&mut tx, &[event])
                .await
                .map_err(stored("write event"))?;
            tx.commit().await.map_err(stored("commit"))?;
            moved += 1;
        }
    }
    core.note("clusters", format!("moved {moved} clusters"), None);
    Ok(moved)
}

fn census(counts: &[(NodeGoal, Phase, i64)]) -> Census {
    let mut census = Census::default();
    for (goal, phase, count) in counts {
        let count = u64::try_from(*count).unwrap_or(0);
        census.records += count;
        if *goal == NodeGoal::Started && *phase != Phase::Running {
            census.first_missing += count;
        }
        if *phase != Phase::Off {
            census.with_machine += count;
        }
    }
    census
}
