//! Nodes and what is known of them.
//!
//! Three writers share a row and never a column: verbs write the wish ([`wish`]), the node reconciler writes what is
//! so ([`observe`], fenced by the epoch that [`claim`] raised), agents write what they see ([`agent`]).

use reeve_model::{
    Timestamp,
    condition::{Condition, Reason},
    id::{ClusterId, NodeId, OperationId, PoolId},
    naming,
    node::{AgentView, Goal, Init, Node, Observation, Phase},
    pool::ShutdownPolicy,
};

use crate::{
    args,
    codec::{at, at_opt, micros, narrow, parsed, span, word},
    engine::{Conn, Error, Result, Row, Tx, Value},
};

const COLUMNS: &str = "id, tenant, cluster, pool, pool_revision, name, sequence, size, cores, quota_cores, spot, \
    placement_group, single, fixed, keep_alive, shutdown_policy, start_timeout_us, created_at, goal, generation, phase, \
    reason, message, since, deadline, attempts, settled, incarnation, holds, machine, address, hostname, \
    provider_request, ready_at, due, agent_incarnation, agent_init, agent_message, agent_drained, agent_hostname, \
    agent_seen, reruns, agent_rerun";

/// A node with the attributes its dialect keeps beside it.
#[derive(Debug, Clone)]
pub struct Full {
    /// The node.
    pub node: Node,
    /// JSON object of attributes that differ from its pool's, if any.
    pub overrides: Option<String>,
}

/// A node claimed for one activation of the reconciler.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The node.
    pub node: Node,
    /// The epoch that every write of this activation must carry.
    pub epoch: i64,
}

fn read(row: &Row) -> Result<Node> {
    let address = row.text_opt(30)?;
    // What an agent said of a run that is over says nothing about the present one.
    let heard = row.int(41)? == row.int(42)?;
    Ok(Node {
        id: parsed(row, 0)?,
        tenant: parsed(row, 1)?,
        cluster: parsed(row, 2)?,
        pool: parsed(row, 3)?,
        pool_revision: row.int(4)?,
        name: row.text(5)?,
        sequence: row.int(6)?,
        size: row.text(7)?,
        cores: narrow(row, 8)?,
        quota_cores: narrow(row, 9)?,
        spot: row.bool(10)?,
        placement_group: row.text_opt(11)?,
        single: row.bool(12)?,
        fixed: row.bool(13)?,
        keep_alive: row.bool(14)?,
        shutdown_policy: word(row, 15, ShutdownPolicy::parse)?,
        start_timeout: span(row, 16)?,
        created_at: at(row, 17)?,
        goal: word(row, 18, Goal::parse)?,
        generation: row.int(19)?,
        seen: Observation {
            phase: word(row, 20, Phase::parse)?,
            condition: Condition {
                reason: word(row, 21, Reason::parse)?,
                message: row.text(22)?,
                since: at(row, 23)?,
            },
            deadline: at_opt(row, 24)?,
            attempts: narrow(row, 25)?,
            generation: row.int(26)?,
            incarnation: narrow(row, 27)?,
            reruns: narrow(row, 41)?,
            holds: row.bool(28)?,
            machine: row.text_opt(29)?,
            address: match address {
                None => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| Error::Corrupt(format!("address \"{text}\"")))?,
                ),
            },
            hostname: row.text_opt(31)?,
            provider_request: row.text_opt(32)?,
            due: at(row, 34)?,
        },
        ready_at: at_opt(row, 33)?,
        agent: AgentView {
            incarnation: narrow(row, 35)?,
            rerun: narrow(row, 42)?,
            init: if heard {
                word(row, 36, Init::parse)?
            } else {
                Init::Pending
            },
            message: if heard { row.text(37)? } else { String::new() },
            drained: row.int(38)?,
            hostname: row.text_opt(39)?,
            last_seen: at_opt(row, 40)?,
        },
    })
}

/// Number of columns [`read`] takes; a column that only one query adds comes after them.
const WIDTH: usize = 43;

fn full(row: &Row) -> Result<Full> {
    Ok(Full {
        node: read(row)?,
        overrides: row.text_opt(WIDTH)?,
    })
}

/// Adds nodes with their attributes.
///
/// # Errors
/// `Unique` when a name is taken in the cluster.
pub async fn insert(tx: &mut Tx, nodes: &[Full]) -> Result<()> {
    // Some at a time, so that the values of ten thousand nodes are not all in memory at once: touching fresh memory
    // cost more than the statements.
    for some in nodes.chunks(256) {
        insert_some(tx, some).await?;
    }
    Ok(())
}

async fn insert_some(tx: &mut Tx, nodes: &[Full]) -> Result<()> {
    let mut values = Vec::with_capacity(nodes.len() * (WIDTH + 3));
    for Full { node, overrides } in nodes {
        let Node { seen, agent, .. } = node;
        values.extend(args![
            node.id.to_string(),
            node.tenant.to_string(),
            node.cluster.to_string(),
            node.pool.to_string(),
            node.pool_revision,
            node.name.as_str(),
            node.sequence,
            node.size.as_str(),
            node.cores,
            node.quota_cores,
            node.spot,
            node.placement_group.clone(),
            node.single,
            node.fixed,
            node.keep_alive,
            node.shutdown_policy.word(),
            micros(node.start_timeout),
            node.created_at.0,
            node.goal.word(),
            node.generation,
            seen.phase.word(),
            seen.condition.reason.code(),
            seen.condition.message.as_str(),
            seen.condition.since.0,
            seen.deadline.map(|at| at.0),
            seen.attempts,
            seen.generation,
            seen.incarnation,
            seen.holds,
            seen.machine.clone(),
            seen.address.map(|address| address.to_string()),
            seen.hostname.clone(),
            seen.provider_request.clone(),
            node.ready_at.map(|at| at.0),
            seen.due.0,
            agent.incarnation,
            agent.init.word(),
            agent.message.as_str(),
            agent.drained,
            agent.hostname.clone(),
            agent.last_seen.map(|at| at.0),
            seen.reruns,
            agent.rerun,
            overrides.clone(),
            naming::key(&node.name),
            0i64,
        ]);
    }
    let prefix = format!("insert into node ({COLUMNS}, overrides, name_key, epoch) values");
    tx.insert_many(&prefix, WIDTH + 3, values, "").await?;
    Ok(())
}

/// Nodes of a cluster in order of creation.
pub async fn list(db: &mut Conn, cluster: ClusterId) -> Result<Vec<Full>> {
    let mut nodes = Vec::new();
    let sql = format!("select {COLUMNS}, overrides from node where cluster = $1 order by sequence");
    db.each(&sql, args![cluster.to_string()], &mut |row| {
        nodes.push(full(row)?);
        Ok(())
    })
    .await?;
    Ok(nodes)
}

/// A page of a cluster's nodes after `sequence`, in order of creation.
pub async fn page(db: &mut Conn, cluster: ClusterId, after: i64, limit: u32) -> Result<Vec<Full>> {
    let sql = format!(
        "select {COLUMNS}, overrides from node where cluster = $1 and sequence > $2 order by sequence limit $3"
    );
    db.all(&sql, args![cluster.to_string(), after, limit])
        .await?
        .iter()
        .map(full)
        .collect()
}

/// One node by id.
pub async fn find(db: &mut Conn, id: NodeId) -> Result<Option<Full>> {
    let sql = format!("select {COLUMNS}, overrides from node where id = $1");
    db.first(&sql, args![id.to_string()])
        .await?
        .as_ref()
        .map(full)
        .transpose()
}

/// One node by name, without case.
pub async fn find_by_name(db: &mut Conn, cluster: ClusterId, name: &str) -> Result<Option<Full>> {
    let sql = format!("select {COLUMNS}, overrides from node where cluster = $1 and name_key = $2");
    db.first(&sql, args![cluster.to_string(), naming::key(name)])
        .await?
        .as_ref()
        .map(full)
        .transpose()
}

/// Nodes that an operation names and that still exist, in the operation's order.
pub async fn of_operation(db: &mut Conn, operation: OperationId) -> Result<Vec<Full>> {
    let columns = COLUMNS
        .split(", ")
        .map(|column| format!("n.{}", column.trim()))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "select {columns}, n.overrides from operation_target t join node n on n.id = t.node \
         where t.operation = $1 order by t.position"
    );
    db.all(&sql, args![operation.to_string()])
        .await?
        .iter()
        .map(full)
        .collect()
}

/// Names in use in a cluster, in comparing form.
pub async fn names(db: &mut Conn, cluster: ClusterId) -> Result<Vec<String>> {
    let rows = db
        .all(
            "select name_key from node where cluster = $1",
            args![cluster.to_string()],
        )
        .await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Records a changed wish, with the phase change that comes with it.
///
/// The epoch rises too, so that an activation which read the old wish can no longer write.
pub async fn wish(tx: &mut Tx, node: &Node) -> Result<()> {
    write(tx, node, None).await.map(|_| ())
}

/// Records what is so, unless somebody else claimed the node meanwhile; `false`: nothing was written.
pub async fn observe(tx: &mut Tx, node: &Node, epoch: i64) -> Result<bool> {
    write(tx, node, Some(epoch)).await
}

async fn write(tx: &mut Tx, node: &Node, epoch: Option<i64>) -> Result<bool> {
    let seen = &node.seen;
    let mut values = args![
        node.goal.word(),
        node.generation,
        seen.phase.word(),
        seen.condition.reason.code(),
        seen.condition.message.as_str(),
        seen.condition.since.0,
        seen.deadline.map(|at| at.0),
        seen.attempts,
        seen.generation,
        seen.incarnation,
        seen.holds,
        seen.machine.clone(),
        seen.address.map(|address| address.to_string()),
        seen.hostname.clone(),
        seen.provider_request.clone(),
        node.ready_at.map(|at| at.0),
        seen.due.0,
        node.keep_alive,
        node.id.to_string(),
        seen.reruns,
    ];
    const SET: &str = "update node set goal = $1, generation = $2, phase = $3, reason = $4, message = $5, since = $6, \
        deadline = $7, attempts = $8, settled = $9, incarnation = $10, holds = $11, machine = $12, address = $13, \
        hostname = $14, provider_request = $15, ready_at = $16, due = $17, keep_alive = $18, reruns = $20";
    let changed = match epoch {
        None => {
            tx.run(&format!("{SET}, epoch = epoch + 1 where id = $19"), values)
                .await?
        }
        Some(epoch) => {
            values.push(Value::Int(epoch));
            tx.run(&format!("{SET} where id = $19 and epoch = $21"), values).await?
        }
    };
    Ok(changed > 0)
}

/// Takes nodes that are due, most overdue first, and keeps others away until `lease_until`.
pub async fn claim(tx: &mut Tx, now: Timestamp, lease_until: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
    let sql = format!(
        "update node set epoch = epoch + 1, due = $1 where id in \
         (select id from node where due <= $2 order by due limit $3) and due <= $2 returning {COLUMNS}, epoch"
    );
    let rows = tx.all(&sql, args![lease_until.0, now.0, limit]).await?;
    let mut claimed = rows
        .iter()
        .map(|row| {
            Ok(Claimed {
                node: read(row)?,
                epoch: row.int(WIDTH)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    claimed.sort_by_key(|claimed| claimed.node.sequence);
    Ok(claimed)
}

/// When the next node is due, `None` when none ever is.
pub async fn next_due(db: &mut Conn) -> Result<Option<Timestamp>> {
    let row = db.first("select min(due) from node", args![]).await?;
    Ok(row
        .map(|row| row.int_opt(0))
        .transpose()?
        .flatten()
        .map(Timestamp)
        .filter(|due| *due != Timestamp::NEVER))
}

/// Asks the reconciler to look at a node at `now`.
///
/// The epoch rises, so that an activation under way cannot write an older view, and a later due time, over this.
pub async fn wake(tx: &mut Tx, id: NodeId, now: Timestamp) -> Result<()> {
    tx.run(
        "update node set due = $1, epoch = epoch + 1 where id = $2",
        args![now.0, id.to_string()],
    )
    .await
    .map(|_| ())
}

/// Placement groups that node records of a cluster name, with their pool and size.
pub async fn groups(db: &mut Conn, cluster: ClusterId) -> Result<Vec<(PoolId, String, String)>> {
    let rows = db
        .all(
            "select distinct pool, size, placement_group from node where cluster = $1 and placement_group is not null \
             order by pool, size, placement_group",
            args![cluster.to_string()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((parsed(row, 0)?, row.text(1)?, row.text(2)?)))
        .collect()
}

/// Drops a record; `false` when somebody else claimed the node meanwhile.
pub async fn delete(tx: &mut Tx, id: NodeId, epoch: Option<i64>) -> Result<bool> {
    let changed = match epoch {
        None => tx.run("delete from node where id = $1", args![id.to_string()]).await?,
        Some(epoch) => {
            tx.run(
                "delete from node where id = $1 and epoch = $2",
                args![id.to_string(), epoch],
            )
            .await?
        }
    };
    Ok(changed > 0)
}

/// Records what an agent said of its initialisation and drain.
pub async fn agent(tx: &mut Tx, id: NodeId, view: &AgentView) -> Result<()> {
    tx.run(
        "update node set agent_incarnation = $1, agent_init = $2, agent_message = $3, agent_drained = $4, \
         agent_hostname = $5, agent_seen = $6, agent_rerun = $7 where id = $8",
        args![
            view.incarnation,
            view.init.word(),
            view.message.as_str(),
            view.drained,
            view.hostname.clone(),
            view.last_seen.map(|at| at.0),
            view.rerun,
            id.to_string()
        ],
    )
    .await
    .map(|_| ())
}

/// Records when agents were last heard of.
pub async fn heard(tx: &mut Tx, beats: &[(NodeId, Timestamp, Option<String>)]) -> Result<()> {
    for (node, seen, sample) in beats {
        tx.run(
            "update node set agent_seen = $1 where id = $2",
            args![seen.0, node.to_string()],
        )
        .await?;
        if let Some(sample) = sample {
            tx.run(
                "update node_report set sample = $1, updated_at = $2 where node = $3",
                args![sample.as_str(), seen.0, node.to_string()],
            )
            .await?;
        }
    }
    Ok(())
}

/// What an agent told about its machine.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The agent's own random id.
    pub instance: String,
    /// JSON of the facts.
    pub facts: String,
    /// JSON of the latest sample.
    pub sample: Option<String>,
    /// JSON of the scripts' results.
    pub scripts: Option<String>,
}

/// Keeps an agent's report, replacing the one before.
pub async fn report(tx: &mut Tx, id: NodeId, report: &Report, now: Timestamp) -> Result<()> {
    tx.run(
        "insert into node_report (node, instance, facts, sample, scripts, updated_at) values ($1, $2, $3, $4, $5, $6) \
         on conflict (node) do update set instance = excluded.instance, facts = excluded.facts, \
         sample = excluded.sample, scripts = excluded.scripts, updated_at = excluded.updated_at",
        args![
            id.to_string(),
            report.instance.as_str(),
            report.facts.as_str(),
            report.sample.clone(),
            report.scripts.clone(),
            now.0
        ],
    )
    .await
    .map(|_| ())
}

/// An agent's report of one node.
pub async fn find_report(db: &mut Conn, id: NodeId) -> Result<Option<Report>> {
    let row = db
        .first(
            "select instance, facts, sample, scripts from node_report where node = $1",
            args![id.to_string()],
        )
        .await?;
    row.map(|row| {
        Ok(Report {
            instance: row.text(0)?,
            facts: row.text(1)?,
            sample: row.text_opt(2)?,
            scripts: row.text_opt(3)?,
        })
    })
    .transpose()
}

/// Facts of all nodes of a cluster by node, for lists that show them.
pub async fn reports(db: &mut Conn, cluster: ClusterId) -> Result<Vec<(NodeId, String)>> {
    let rows = db
        .all(
            "select r.node, r.facts from node_report r join node n on n.id = r.node where n.cluster = $1",
            args![cluster.to_string()],
        )
        .await?;
    rows.iter().map(|row| Ok((parsed(row, 0)?, row.text(1)?))).collect()
}

/// What a row says of its machine, as short as can be: all of them are held in memory at once.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The node.
    pub node: NodeId,
    /// Which of its machines.
    pub incarnation: u32,
    /// Where it is.
    pub phase: Phase,
}

/// All machines that rows explain, of one provider account.
pub async fn held(db: &mut Conn, account: &str) -> Result<Vec<Held>> {
    let mut found = Vec::new();
    let sql = "select n.id, n.incarnation, n.phase from node n join pool p on p.id = n.pool \
        where p.account = $1 and n.holds = 1";
    db.each(sql, args![account], &mut |row| {
        found.push(Held {
            node: parsed(row, 0)?,
            incarnation: narrow(row, 1)?,
            phase: word(row, 2, Phase::parse)?,
        });
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Counts of a cluster's nodes by (goal, phase).
pub async fn census(db: &mut Conn, cluster: Option<ClusterId>) -> Result<Vec<(Goal, Phase, i64)>> {
    let rows = match cluster {
        Some(id) => {
            db.all(
                "select goal, phase, count(*) from node where cluster = $1 group by goal, phase",
                args![id.to_string()],
            )
            .await?
        }
        None => {
            db.all("select goal, phase, count(*) from node group by goal, phase", args![])
                .await?
        }
    };
    rows.iter()
        .map(|row| Ok((word(row, 0, Goal::parse)?, word(row, 1, Phase::parse)?, row.int(2)?)))
        .collect()
}
