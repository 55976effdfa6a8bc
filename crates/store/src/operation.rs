//! Operations and the rows they name.

use reeve_model::{
    id::{ClusterId, OperationId, TenantId},
    node::{Goal, Phase},
    operation::{Operation, Outcome, Progress, Target, Verb, outcome},
};

use crate::{
    args,
    codec::{at, parsed, word},
    engine::{Conn, Result, Row, Tx},
};

const COLUMNS: &str = "id, tenant, cluster, verb, actor, actor_name, request_key, created_at, sequence";

fn read(row: &Row) -> Result<Operation> {
    Ok(Operation {
        id: parsed(row, 0)?,
        tenant: parsed(row, 1)?,
        cluster: parsed(row, 2)?,
        verb: word(row, 3, Verb::parse)?,
        actor: parsed(row, 4)?,
        actor_name: row.text(5)?,
        request_key: row.text_opt(6)?,
        created_at: at(row, 7)?,
    })
}

/// Records an accepted request.
///
/// # Errors
/// `Unique` when its request key was used before in the tenant.
pub async fn insert(tx: &mut Tx, operation: &Operation, sequence: i64, targets: &[Target]) -> Result<()> {
    let sql = format!("insert into operation ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    tx.run(
        &sql,
        args![
            operation.id.to_string(),
            operation.tenant.to_string(),
            operation.cluster.to_string(),
            operation.verb.word(),
            operation.actor.to_string(),
            operation.actor_name.as_str(),
            operation.request_key.clone(),
            operation.created_at.0,
            sequence
        ],
    )
    .await?;
    let mut values = Vec::with_capacity(targets.len() * 4);
    for (position, target) in targets.iter().enumerate() {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        values.extend(args![
            operation.id.to_string(),
            position,
            target.node.to_string(),
            target.generation
        ]);
    }
    if !targets.is_empty() {
        tx.insert_many(
            "insert into operation_target (operation, position, node, generation) values",
            4,
            values,
            "",
        )
        .await?;
    }
    Ok(())
}

/// One operation.
pub async fn find(db: &mut Conn, tenant: TenantId, id: OperationId) -> Result<Option<Operation>> {
    let sql = format!("select {COLUMNS} from operation where tenant = $1 and id = $2");
    db.first(&sql, args![tenant.to_string(), id.to_string()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// The operation that used a request key.
pub async fn find_by_key(db: &mut Conn, tenant: TenantId, key: &str) -> Result<Option<Operation>> {
    let sql = format!("select {COLUMNS} from operation where tenant = $1 and request_key = $2");
    db.first(&sql, args![tenant.to_string(), key])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// The newest operations before `before` (a sequence), newest first, each with its sequence.
pub async fn list(
    db: &mut Conn,
    tenant: TenantId,
    cluster: Option<ClusterId>,
    before: i64,
    limit: u32,
) -> Result<Vec<(Operation, i64)>> {
    let rows = match cluster {
        None => {
            let sql = format!(
                "select {COLUMNS} from operation where tenant = $1 and sequence < $2 order by sequence desc limit $3"
            );
            db.all(&sql, args![tenant.to_string(), before, limit]).await?
        }
        Some(cluster) => {
            let sql = format!(
                "select {COLUMNS} from operation where tenant = $1 and sequence < $2 and cluster = $4 \
                 order by sequence desc limit $3"
            );
            db.all(&sql, args![tenant.to_string(), before, limit, cluster.to_string()])
                .await?
        }
    };
    rows.iter().map(|row| Ok((read(row)?, row.int(8)?))).collect()
}

/// Progress of an operation, read from the rows it names.
pub async fn progress(db: &mut Conn, id: OperationId) -> Result<Progress> {
    let mut progress = Progress::default();
    db.each(
        "select t.node, t.generation, n.generation, n.settled, n.goal, n.phase from operation_target t \
         left join node n on n.id = t.node where t.operation = $1",
        args![id.to_string()],
        &mut |row| {
            let target = Target {
                node: parsed(row, 0)?,
                generation: row.int(1)?,
            };
            let now = match row.int_opt(2)? {
                None => None,
                Some(generation) => Some((
                    generation,
                    row.int(3)?,
                    word(row, 4, Goal::parse)?,
                    word(row, 5, Phase::parse)?,
                )),
            };
            progress.add(if target.generation < 0 {
                Outcome::Done
            } else {
                outcome(&target, now)
            });
            Ok(())
        },
    )
    .await?;
    Ok(progress)
}
