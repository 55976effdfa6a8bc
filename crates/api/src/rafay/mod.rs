//! The Rafay dialect: clusters of hosts that people bring, under `/apis/infra.k8smgmt.io/v3`.
//!
//! [`document`], [`media`] and [`status`] are pure: what a cluster document means and how answers look. [`record`] is
//! what is kept of a document between requests. The rest finds the caller ([`auth`]), calls `control` and renders.

mod auth;
mod cluster;
pub mod document;
mod error;
mod installer;
#[cfg(test)]
mod journey;
pub mod media;
mod record;
pub mod status;

use axum::{Router, extract::DefaultBodyLimit, routing::any};
use reeve_model::permission::{ACTIONS, Action, Permissions, Resource, Role};

use crate::{App, table::Table};

/// Where all clusters of a project lie.
const BASE: &str = "/apis/infra.k8smgmt.io/v3/projects/{project}/clusters";
/// Most bytes of a request.
const BODY_MAX: usize = 1024 * 1024;
/// The four spellings under which clients may look for the installer commands; the published pages do not tell.
const INSTALLER_PATHS: [&str; 4] = ["installercmds", "installerCmds", "InstallerCmds", "installercmd"];

/// The routes of this dialect. A trailing slash means nothing.
pub fn table() -> Table {
    let one = format!("{BASE}/{{name}}");
    let table = Table::new()
        .get(BASE, cluster::list)
        .post(BASE, cluster::apply)
        .get(&one, cluster::details)
        .delete(&one, cluster::delete)
        .get(&format!("{one}/status"), cluster::status)
        .get(&format!("{one}/bootstrap"), cluster::bootstrap)
        .post(&format!("{one}/nodes/{{hostname}}/approve"), cluster::approve);
    let with_installer = INSTALLER_PATHS.iter().fold(table, |table, word| {
        table.get(&format!("{one}/{word}"), cluster::installer_commands)
    });
    with_installer.slashed()
}

/// The router of [`table`].
pub fn routes() -> Router<App> {
    table()
        .router()
        .route("/apis/infra.k8smgmt.io/v3/{*rest}", any(error::unknown_path))
        .method_not_allowed_fallback(error::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

/// The vendor's role names with what they permit on clusters.
#[must_use]
pub fn roles() -> Vec<Role> {
    let reader = Permissions::of(
        &[Resource::Folder, Resource::Cluster, Resource::Node, Resource::Pool],
        &[Action::Read],
    );
    let writer = Permissions::of(&[Resource::Cluster, Resource::Node, Resource::Pool], &ACTIONS).and(&reader);
    let administrator = Permissions::of(&[Resource::Folder], &ACTIONS).and(&writer);
    let role = |name: &str, permissions: &Permissions| Role {
        name: name.to_owned(),
        permissions: permissions.clone(),
    };
    let nothing = Permissions::default();
    vec![
        role("Organization Admin", &administrator),
        role("Org Admin Read Only", &reader),
        role("Infrastructure Admin", &writer),
        role("Infrastructure Read Only", &reader),
        role("Cluster Admin", &writer),
        role("Project Admin", &reader),
        role("Project Read Only", &reader),
        role("Workspace Admin", &reader),
        role("Cluster Template User", &reader),
        role("Namespace Admin", &nothing),
        role("Namespace Read Only", &nothing),
        role("Auditor", &nothing),
    ]
}

/// The word for a host, and the answer to an error, for the tables of all dialects.
#[cfg(test)]
pub(crate) mod shown {
    use reeve_model::{Error, condition::Reason};
    use serde_json::Value;

    pub(crate) fn host(reason: Reason) -> &'static str {
        super::record::node_status(reason).as_str()
    }

    pub(crate) fn error(error: &Error) -> (u16, Value) {
        super::error::told(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roles_that_may_apply_may_read_join_secrets() {
        for role in roles() {
            let holds = |action| role.permissions.holds(Resource::Cluster, action);
            assert_eq!(holds(Action::Join), holds(Action::Create), "{}", role.name);
            assert_eq!(holds(Action::Join), holds(Action::Delete), "{}", role.name);
        }
    }

    #[test]
    fn no_two_routes_clash() {
        drop(routes());
    }
}
