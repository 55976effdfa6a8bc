//! Identities, their grants, agents' secrets, and the server's own keys.

use reeve_model::{
    Timestamp,
    actor::IdentityKind,
    id::{ClusterId, GrantId, IdentityId, NodeId, TenantId},
    scope::Scope,
};

use crate::{
    args,
    codec::{at, at_opt, narrow, parsed, word},
    engine::{Conn, Error, Result, Row, Tx},
};

/// An identity that can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The tenant.
    pub tenant: TenantId,
    /// Its kind.
    pub kind: IdentityKind,
    /// Its name, unique by kind in the tenant.
    pub name: String,
    /// Password hash of a user, keyed hash of any other secret.
    pub secret_hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Identity {
    /// Works at `now`.
    #[must_use]
    pub fn valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}

const COLUMNS: &str = "id, tenant, kind, name, secret_hash, created_at, expires_at, revoked_at";

fn read(row: &Row) -> Result<Identity> {
    Ok(Identity {
        id: parsed(row, 0)?,
        tenant: parsed(row, 1)?,
        kind: word(row, 2, IdentityKind::parse)?,
        name: row.text(3)?,
        secret_hash: row.text(4)?,
        created_at: at(row, 5)?,
        expires_at: at_opt(row, 6)?,
        revoked_at: at_opt(row, 7)?,
    })
}

/// Adds an identity.
///
/// # Errors
/// `Unique` when the name is taken by another of its kind.
pub async fn insert(tx: &mut Tx, identity: &Identity) -> Result<()> {
    let sql = format!("insert into identity ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8)");
    tx.run(
        &sql,
        args![
            identity.id.to_string(),
            identity.tenant.to_string(),
            identity.kind.word(),
            identity.name.as_str(),
            identity.secret_hash.as_str(),
            identity.created_at.0,
            identity.expires_at.map(|at| at.0),
            identity.revoked_at.map(|at| at.0)
        ],
    )
    .await
    .map(|_| ())
}

/// One identity by id.
pub async fn find(db: &mut Conn, id: IdentityId) -> Result<Option<Identity>> {
    let sql = format!("select {COLUMNS} from identity where id = $1");
    db.first(&sql, args![id.to_string()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Identities of any of `kinds` with that name, of all tenants.
pub async fn find_by_name(db: &mut Conn, name: &str) -> Result<Vec<Identity>> {
    let sql =
        format!("select {COLUMNS} from identity where name = $1 and kind in ('user', 'application') order by kind");
    db.all(&sql, args![name]).await?.iter().map(read).collect()
}

/// The identity a keyed hash belongs to.
pub async fn find_by_secret(db: &mut Conn, hash: &str) -> Result<Option<Identity>> {
    let sql = format!("select {COLUMNS} from identity where secret_hash = $1 and kind = 'api-key'");
    db.first(&sql, args![hash]).await?.as_ref().map(read).transpose()
}

/// Identities of a tenant, oldest first.
pub async fn list(db: &mut Conn, tenant: TenantId) -> Result<Vec<Identity>> {
    let sql = format!("select {COLUMNS} from identity where tenant = $1 order by created_at, id");
    db.all(&sql, args![tenant.to_string()])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Revokes an identity; `false` when there was nothing to revoke.
pub async fn revoke(tx: &mut Tx, tenant: TenantId, id: IdentityId, now: Timestamp) -> Result<bool> {
    let changed = tx
        .run(
            "update identity set revoked_at = $1 where tenant = $2 and id = $3 and revoked_at is null",
            args![now.0, tenant.to_string(), id.to_string()],
        )
        .await?;
    Ok(changed > 0)
}

/// Gives a role at a scope.
pub async fn grant(
    tx: &mut Tx,
    id: GrantId,
    identity: IdentityId,
    role: &str,
    scope: &Scope,
    now: Timestamp,
) -> Result<()> {
    tx.run(
        "insert into role_grant (id, tenant, identity, role, scope, created_at) values ($1, $2, $3, $4, $5, $6)",
        args![
            id.to_string(),
            scope.tenant_id().to_string(),
            identity.to_string(),
            role,
            scope.to_string(),
            now.0
        ],
    )
    .await
    .map(|_| ())
}

/// Roles an identity holds, with their scopes.
pub async fn grants(db: &mut Conn, identity: IdentityId) -> Result<Vec<(String, Scope)>> {
    let rows = db
        .all(
            "select role, scope from role_grant where identity = $1 order by created_at, id",
            args![identity.to_string()],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text(0)?, parsed(row, 1)?))).collect()
}

/// A secret of the server itself, by name.
pub async fn server_secret(db: &mut Conn, name: &str) -> Result<Option<String>> {
    db.first("select value from secret where name = $1", args![name])
        .await?
        .map(|row| row.text(0))
        .transpose()
}

/// Keeps a secret of the server unless another server was first.
pub async fn keep_server_secret(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    tx.run(
        "insert into secret (name, value) values ($1, $2) on conflict (name) do nothing",
        args![name, value],
    )
    .await
    .map(|_| ())
}

/// A stored signing key: id, private part, when it was made.
pub type SigningKeyRow = (String, String, Timestamp);

/// All signing keys, newest first.
pub async fn signing_keys(db: &mut Conn) -> Result<Vec<SigningKeyRow>> {
    let rows = db
        .all(
            "select kid, private, created_at from signing_key order by created_at desc, kid",
            args![],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, row.text(1)?, at(row, 2)?)))
        .collect()
}

/// Adds a signing key.
pub async fn add_signing_key(tx: &mut Tx, key: &SigningKeyRow) -> Result<()> {
    tx.run(
        "insert into signing_key (kid, private, created_at) values ($1, $2, $3)",
        args![key.0.as_str(), key.1.as_str(), key.2.0],
    )
    .await
    .map(|_| ())
}

/// Drops signing keys made before `before`.
pub async fn drop_signing_keys(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.run("delete from signing_key where created_at < $1", args![before.0])
        .await
}

/// A join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Keyed hash of the token.
    pub hash: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The cluster it admits to.
    pub cluster: ClusterId,
    /// The node it is for; `None`: any declared host of the cluster.
    pub node: Option<NodeId>,
    /// Incarnation of that node.
    pub incarnation: u32,
    /// The agent instance that used it.
    pub used_by: Option<String>,
    /// Admits one agent instance only.
    pub single_use: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Adds join tokens; those that exist already stay as they are.
pub async fn add_join_tokens(tx: &mut Tx, tokens: &[JoinToken]) -> Result<()> {
    let mut values = Vec::with_capacity(tokens.len() * 9);
    for token in tokens {
        values.extend(args![
            token.hash.as_str(),
            token.tenant.to_string(),
            token.cluster.to_string(),
            token.node.map(|id| id.to_string()),
            token.incarnation,
            token.used_by.clone(),
            token.single_use,
            token.created_at.0,
            token.expires_at.0,
        ]);
    }
    if tokens.is_empty() {
        return Ok(());
    }
    tx.insert_many(
        "insert into join_token (hash, tenant, cluster, node, incarnation, used_by, single_use, created_at, expires_at) \
         values",
        9,
        values,
        "on conflict (hash) do nothing",
    )
    .await
    .map(|_| ())
}

/// A join token by its keyed hash.
pub async fn find_join_token(db: &mut Conn, hash: &str) -> Result<Option<JoinToken>> {
    let row = db
        .first(
            "select hash, tenant, cluster, node, incarnation, used_by, single_use, created_at, expires_at \
             from join_token where hash = $1",
            args![hash],
        )
        .await?;
    row.map(|row| {
        let node = match row.text_opt(3)? {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Error::Corrupt(format!("join token node \"{text}\"")))?,
            ),
        };
        Ok(JoinToken {
            hash: row.text(0)?,
            tenant: parsed(&row, 1)?,
            cluster: parsed(&row, 2)?,
            node,
            incarnation: narrow(&row, 4)?,
            used_by: row.text_opt(5)?,
            single_use: row.bool(6)?,
            created_at: at(&row, 7)?,
            expires_at: at(&row, 8)?,
        })
    })
    .transpose()
}

/// Marks a join token as used by an agent instance; `false` when another instance was first.
pub async fn use_join_token(tx: &mut Tx, hash: &str, instance: &str) -> Result<bool> {
    let changed = tx
        .run(
            "update join_token set used_by = $1 where hash = $2 and (used_by is null or used_by = $1 or single_use = 0)",
            args![instance, hash],
        )
        .await?;
    Ok(changed > 0)
}

/// Drops join tokens that expired before `before`.
pub async fn drop_join_tokens(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.run("delete from join_token where expires_at < $1", args![before.0])
        .await
}

/// Gives an agent a credential, replacing those of earlier incarnations and of earlier enrolments.
pub async fn put_agent_credential(
    tx: &mut Tx,
    tenant: TenantId,
    node: NodeId,
    incarnation: u32,
    hash: &str,
    now: Timestamp,
) -> Result<()> {
    tx.run("delete from agent_credential where node = $1", args![node.to_string()])
        .await?;
    tx.run(
        "insert into agent_credential (hash, tenant, node, incarnation, created_at) values ($1, $2, $3, $4, $5)",
        args![hash, tenant.to_string(), node.to_string(), incarnation, now.0],
    )
    .await
    .map(|_| ())
}

/// The node and incarnation an agent credential stands for.
pub async fn find_agent(db: &mut Conn, hash: &str) -> Result<Option<(NodeId, u32)>> {
    let row = db
        .first(
            "select node, incarnation from agent_credential where hash = $1",
            args![hash],
        )
        .await?;
    row.map(|row| Ok((parsed(&row, 0)?, narrow(&row, 1)?))).transpose()
}

/// A tenant: id, number, name.
pub async fn tenants(db: &mut Conn) -> Result<Vec<(TenantId, i32, String)>> {
    let rows = db
        .all("select id, number, name from tenant order by created_at, id", args![])
        .await?;
    rows.iter()
        .map(|row| Ok((parsed(row, 0)?, narrow(row, 1)?, row.text(2)?)))
        .collect()
}

/// Adds a tenant.
pub async fn insert_tenant(tx: &mut Tx, id: TenantId, number: i32, name: &str, now: Timestamp) -> Result<()> {
    tx.run(
        "insert into tenant (id, number, name, created_at) values ($1, $2, $3, $4)",
        args![id.to_string(), number, name, now.0],
    )
    .await
    .map(|_| ())
}
