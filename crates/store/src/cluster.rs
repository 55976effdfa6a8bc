//! Folders and clusters.

use reeve_model::{
    Timestamp,
    cluster::{Aspects, Cluster, Goal, Phase},
    id::{ClusterId, FolderId, TenantId},
};

use crate::{
    args,
    codec::{at, at_opt, narrow, parsed, word},
    engine::{Conn, Error, Result, Row, Tx},
};

const COLUMNS: &str = "id, tenant, folder, name, attached, managed, elastic, goal, generation, phase, max_count, \
    max_cores, domain, version, created_at, updated_at, last_seen, delete_requested_at, simulated";

fn read(row: &Row) -> Result<Cluster> {
    Ok(Cluster {
        id: parsed(row, 0)?,
        tenant: parsed(row, 1)?,
        folder: parsed(row, 2)?,
        name: row.text(3)?,
        aspects: Aspects {
            attached: row.bool(4)?,
            managed: row.bool(5)?,
            elastic: row.bool(6)?,
        },
        goal: word(row, 7, Goal::parse)?,
        generation: row.int(8)?,
        phase: word(row, 9, Phase::parse)?,
        max_count: narrow(row, 10)?,
        max_cores: narrow(row, 11)?,
        domain: row.text_opt(12)?,
        version: row.text_opt(13)?,
        created_at: at(row, 14)?,
        updated_at: at(row, 15)?,
        last_seen: at_opt(row, 16)?,
        delete_requested_at: at_opt(row, 17)?,
        simulated: row.bool(18)?,
    })
}

/// Adds a cluster.
///
/// # Errors
/// `Unique` when the name is taken in its folder.
pub async fn insert(tx: &mut Tx, cluster: &Cluster) -> Result<()> {
    let sql = format!(
        "insert into cluster ({COLUMNS}, node_sequence) values \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0)"
    );
    tx.run(
        &sql,
        args![
            cluster.id.to_string(),
            cluster.tenant.to_string(),
            cluster.folder.to_string(),
            cluster.name.as_str(),
            cluster.aspects.attached,
            cluster.aspects.managed,
            cluster.aspects.elastic,
            cluster.goal.word(),
            cluster.generation,
            cluster.phase.word(),
            cluster.max_count,
            cluster.max_cores,
            cluster.domain.clone(),
            cluster.version.clone(),
            cluster.created_at.0,
            cluster.updated_at.0,
            cluster.last_seen.map(|at| at.0),
            cluster.delete_requested_at.map(|at| at.0),
            cluster.simulated
        ],
    )
    .await
    .map(|_| ())
}

/// Writes a changed cluster back.
pub async fn update(tx: &mut Tx, cluster: &Cluster) -> Result<()> {
    tx.run(
        "update cluster set name = $1, goal = $2, generation = $3, phase = $4, max_count = $5, max_cores = $6, \
         domain = $7, version = $8, updated_at = $9, delete_requested_at = $10, simulated = $11, attached = $12, \
         managed = $13, elastic = $14 where id = $15",
        args![
            cluster.name.as_str(),
            cluster.goal.word(),
            cluster.generation,
            cluster.phase.word(),
            cluster.max_count,
            cluster.max_cores,
            cluster.domain.clone(),
            cluster.version.clone(),
            cluster.updated_at.0,
            cluster.delete_requested_at.map(|at| at.0),
            cluster.simulated,
            cluster.aspects.attached,
            cluster.aspects.managed,
            cluster.aspects.elastic,
            cluster.id.to_string()
        ],
    )
    .await
    .map(|_| ())
}

/// Records the phase, unless the wish changed meanwhile.
pub async fn observe(tx: &mut Tx, id: ClusterId, generation: i64, phase: Phase) -> Result<bool> {
    let changed = tx
        .run(
            "update cluster set phase = $1 where id = $2 and generation = $3",
            args![phase.word(), id.to_string(), generation],
        )
        .await?;
    Ok(changed > 0)
}

/// Takes the row's lock and `count` places in the cluster's order of nodes; answers the first of them.
pub async fn take_sequence(tx: &mut Tx, id: ClusterId, count: i64) -> Result<i64> {
    let row = tx
        .first(
            "update cluster set node_sequence = node_sequence + $1 where id = $2 returning node_sequence",
            args![count, id.to_string()],
        )
        .await?
        .ok_or_else(|| Error::Other("the cluster is gone".into()))?;
    Ok(row.int(0)? - count + 1)
}

/// One cluster by id.
pub async fn find(db: &mut Conn, tenant: TenantId, id: ClusterId) -> Result<Option<Cluster>> {
    let sql = format!("select {COLUMNS} from cluster where tenant = $1 and id = $2");
    db.first(&sql, args![tenant.to_string(), id.to_string()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Clusters of that name in the tenant: one, unless managed clusters of several folders share it.
pub async fn find_by_name(db: &mut Conn, tenant: TenantId, name: &str) -> Result<Vec<Cluster>> {
    let sql = format!("select {COLUMNS} from cluster where tenant = $1 and name = $2 order by created_at, id");
    db.all(&sql, args![tenant.to_string(), name])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// All clusters of a tenant, oldest first.
pub async fn list(db: &mut Conn, tenant: TenantId) -> Result<Vec<Cluster>> {
    let sql = format!("select {COLUMNS} from cluster where tenant = $1 order by created_at, id");
    db.all(&sql, args![tenant.to_string()])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Elastic clusters that are on their way somewhere, of all tenants: work for the cluster reconciler.
pub async fn unsettled(db: &mut Conn) -> Result<Vec<Cluster>> {
    let sql = format!(
        "select {COLUMNS} from cluster where elastic = 1 and (goal = 'absent' or phase in ('starting', 'terminating') \
         or (goal = 'started' and phase <> 'started') or (goal = 'terminated' and phase <> 'terminated')) order by id"
    );
    db.all(&sql, args![]).await?.iter().map(read).collect()
}

/// Drops a cluster with its pools, operations and facets; its nodes must be gone.
pub async fn delete(tx: &mut Tx, id: ClusterId) -> Result<()> {
    let cluster = id.to_string();
    for sql in [
        "delete from tally where name = $1",
        "delete from facet where entity = $1 or entity in (select id from pool where cluster = $1)",
        "delete from bucket where pool in (select id from pool where cluster = $1)",
        "delete from pool_revision where pool in (select id from pool where cluster = $1)",
        "delete from pool where cluster = $1",
        "delete from cluster where id = $1",
    ] {
        let argument = if sql.contains("tally") {
            format!("c:{cluster}")
        } else {
            cluster.clone()
        };
        tx.run(sql, args![argument]).await?;
    }
    Ok(())
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its id.
    pub id: FolderId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Adds a folder.
///
/// # Errors
/// `Unique` when the name is taken.
pub async fn insert_folder(tx: &mut Tx, tenant: TenantId, folder: &Folder) -> Result<()> {
    tx.run(
        "insert into folder (id, tenant, name, created_at) values ($1, $2, $3, $4)",
        args![
            folder.id.to_string(),
            tenant.to_string(),
            folder.name.as_str(),
            folder.created_at.0
        ],
    )
    .await
    .map(|_| ())
}

/// Folders of a tenant, oldest first.
pub async fn folders(db: &mut Conn, tenant: TenantId) -> Result<Vec<Folder>> {
    let rows = db
        .all(
            "select id, name, created_at from folder where tenant = $1 order by created_at, id",
            args![tenant.to_string()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Folder {
                id: parsed(row, 0)?,
                name: row.text(1)?,
                created_at: at(row, 2)?,
            })
        })
        .collect()
}
