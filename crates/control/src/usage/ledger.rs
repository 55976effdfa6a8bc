//! Writing the usage ledger: runs begin and end in the transaction that records what was seen of their machine.
//!
//! Whether the run of a machine is open is read with the claim and compared with what the node tells after each step,
//! so the ledger follows the nodes whoever changed them, and a crash between two steps loses and doubles nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use reeve_model::{
    Result,
    cluster::Cluster,
    node::Node,
    pool::{Pool, PoolKind},
    usage::{Goods, Line, Price, System, fixes_price, frame, runs},
};
use reeve_store::{
    self as store,
    engine::{Conn, Tx},
    usage::Home,
};

use crate::core::{Core, stored};

/// Which of these nodes have a machine whose run is open, by token.
pub(crate) async fn running<'a>(db: &mut Conn, nodes: impl Iterator<Item = &'a Node>) -> Result<BTreeSet<String>> {
    let tokens: Vec<String> = nodes
        .filter(|node| node.seen.incarnation > 0)
        .map(Node::token)
        .collect();
    let open = store::usage::opened(db, &tokens).await.map_err(stored("load usage"))?;
    Ok(open.into_iter().collect())
}

/// What is to be written with one transaction.
#[derive(Default)]
pub(crate) struct Entries {
    begun: BTreeMap<(Line, HomeKey), Vec<String>>,
    ended: Vec<String>,
}

/// [`Home`] in an order, so that two servers write lines in the same one and never wait for each other.
type HomeKey = (
    reeve_model::id::TenantId,
    reeve_model::id::FolderId,
    reeve_model::id::ClusterId,
);

impl Entries {
    /// Takes note of a node that was changed, or removed when `after` is not there. `running` tells whether the run of
    /// its machine was open, and is brought up to date.
    pub(crate) fn note(
        &mut self,
        cluster: Option<&Cluster>,
        pool: &Pool,
        before: &Node,
        after: Option<&Node>,
        running: &mut bool,
    ) {
        if pool.kind == PoolKind::Hosts {
            return;
        }
        if *running && after.is_none_or(|after| after.token() != before.token()) {
            self.ended.push(before.token());
            *running = false;
        }
        let Some(after) = after else { return };
        let runs = runs(after, *running);
        if *running && !runs {
            self.ended.push(after.token());
        } else if !*running
            && runs
            && let Some(cluster) = cluster
        {
            let home = (cluster.tenant, cluster.folder, cluster.id);
            let tokens = self.begun.entry((line(cluster, pool, after), home)).or_default();
            tokens.push(after.token());
        }
        *running = runs;
    }

    /// Writes everything.
    pub(crate) async fn write(self, core: &Arc<Core>, tx: &mut Tx) -> Result<()> {
        let now = core.now();
        for token in &self.ended {
            store::usage::close(tx, token, now).await.map_err(stored("end usage"))?;
        }
        let mut opened = Vec::new();
        for ((line, (tenant, folder, cluster)), tokens) in self.begun {
            let home = Home {
                tenant,
                folder,
                cluster,
            };
            let number = store::usage::line(tx, home, &line)
                .await
                .map_err(stored("begin usage line"))?;
            fix_price(core, tx, &line.goods).await?;
            opened.extend(tokens.into_iter().map(|token| (token, number)));
        }
        if !opened.is_empty() {
            store::usage::open(tx, &opened, now)
                .await
                .map_err(stored("begin usage"))?;
        }
        Ok(())
    }
}

fn line(cluster: &Cluster, pool: &Pool, node: &Node) -> Line {
    Line {
        cluster: cluster.name.clone(),
        single: node.single,
        owner: if node.single { &node.name } else { &pool.name }.clone(),
        goods: Goods {
            account: pool.account.clone(),
            size: node.size.clone(),
            region: pool.region.clone(),
            spot: node.spot,
            // The agent that makes a machine a node is a Linux program; nothing else can become one.
            system: System::Linux,
        },
        cores: node.cores.max(1),
    }
}

/// Retail price now, if the account's catalog knows one.
fn price(core: &Core, goods: &Goods) -> Option<Price> {
    let size = Core::size(core.accounts.get(&goods.account)?, &goods.size)?;
    let dollars = match (goods.system, goods.spot) {
        (System::Linux, false) => size.price_hour,
        (System::Linux, true) => size.price_hour_spot,
        // The catalog's prices are those of Linux.
        (System::Windows, _) => None,
    };
    Price::from_dollars(dollars?)
}

/// Writes today's price down when the day has none yet.
async fn fix_price(core: &Core, tx: &mut Tx, goods: &Goods) -> Result<()> {
    let today = frame::day(core.now());
    let newest = store::usage::newest_price(tx, goods)
        .await
        .map_err(stored("load price"))?;
    if fixes_price(newest, today) {
        store::usage::fix_price(tx, goods, today, price(core, goods))
            .await
            .map_err(stored("write price"))?;
    }
    Ok(())
}

/// Writes today's prices down of everything that is in use; answers of how much.
///
/// # Errors
/// `Unavailable` when the database does not answer.
pub async fn fix_prices(core: &Core) -> Result<usize> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let goods = store::usage::goods_in_use(&mut db)
        .await
        .map_err(stored("load usage lines"))?;
    let today = frame::day(core.now());
    let mut due = Vec::new();
    for goods in &goods {
        let newest = store::usage::newest_price(&mut db, goods)
            .await
            .map_err(stored("load price"))?;
        if fixes_price(newest, today) {
            due.push(goods);
        }
    }
    drop(db);
    if !due.is_empty() {
        due.sort();
        let mut tx = core.store.begin().await.map_err(stored("begin"))?;
        for goods in due {
            fix_price(core, &mut tx, goods).await?;
        }
        tx.commit().await.map_err(stored("commit"))?;
    }
    Ok(goods.len())
}
