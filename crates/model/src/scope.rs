//! Scope paths: `tenant/folder/cluster/department/project`, each level optional from the right.
//!
//! A grant at a scope covers the scope and everything below it, so "covers" is "is a prefix of".

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::id::{ClusterId, FolderId, TenantId};

/// How deep a scope reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything of one tenant.
    Tenant = 1,
    /// One folder of clusters.
    Folder = 2,
    /// One cluster.
    Cluster = 3,
    /// One department of a cluster.
    Department = 4,
    /// One project of a department.
    Project = 5,
}

/// A place in the tree, from one to five ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Vec<Uuid>);

impl Scope {
    /// Everything of `tenant`.
    #[must_use]
    pub fn tenant(tenant: TenantId) -> Self {
        Self(vec![tenant.0])
    }

    /// One folder.
    #[must_use]
    pub fn folder(tenant: TenantId, folder: FolderId) -> Self {
        Self(vec![tenant.0, folder.0])
    }

    /// One cluster.
    #[must_use]
    pub fn cluster(tenant: TenantId, folder: FolderId, cluster: ClusterId) -> Self {
        Self(vec![tenant.0, folder.0, cluster.0])
    }

    /// One level further down.
    ///
    /// # Panics
    /// When the scope is a project already: there is nothing below it.
    #[must_use]
    pub fn child(&self, id: Uuid) -> Self {
        assert!(self.0.len() < 5, "nothing lies below a project");
        let mut ids = self.0.clone();
        ids.push(id);
        Self(ids)
    }

    /// How deep this scope is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.0.len() {
            1 => Level::Tenant,
            2 => Level::Folder,
            3 => Level::Cluster,
            4 => Level::Department,
            _ => Level::Project,
        }
    }

    /// The tenant it lies in.
    #[must_use]
    pub fn tenant_id(&self) -> TenantId {
        TenantId(self.0[0])
    }

    /// The folder it lies in, unless it is the tenant.
    #[must_use]
    pub fn folder_id(&self) -> Option<FolderId> {
        self.0.get(1).copied().map(FolderId)
    }

    /// The cluster it lies in, if it reaches so deep.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.0.get(2).copied().map(ClusterId)
    }

    /// True when `self` is `other` or above it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            write!(f, "{id}")?;
        }
        Ok(())
    }
}

impl FromStr for Scope {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ids = text
            .split('/')
            .take(5)
            .map(Uuid::try_parse)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_itself_and_what_lies_below_but_not_its_siblings() {
        let (tenant, folder, other) = (
            TenantId(Uuid::from_u128(1)),
            FolderId(Uuid::from_u128(2)),
            FolderId(Uuid::from_u128(3)),
        );
        let cluster = Scope::cluster(tenant, folder, ClusterId(Uuid::from_u128(4)));
        assert!(Scope::tenant(tenant).covers(&cluster));
        assert!(Scope::folder(tenant, folder).covers(&cluster));
        assert!(cluster.covers(&cluster));
        assert!(!Scope::folder(tenant, other).covers(&cluster));
        assert!(!cluster.covers(&Scope::folder(tenant, folder)));
        assert_eq!(cluster.to_string().parse::<Scope>(), Ok(cluster));
    }
}
