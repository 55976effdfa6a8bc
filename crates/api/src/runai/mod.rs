//! The Run:ai dialect: tokens, clusters and nodes as Run:ai clients know them.
//!
//! Two path families of one origin, `/api/v1` and the older `/v1/k8s`, and the token endpoint under `/api/v2`. Whatever
//! is below them and not routed here answers in Run:ai's own error form, so that its clients show a sentence instead of a
//! decoding error; `COVERAGE.md` beside this file says what is offered. This module knows no rule of scheduling or of
//! life cycles: a handler reads the request, calls `control` once, and renders. It knows no other dialect either.

use axum::Router;
use reeve_model::permission::{ACTIONS, Action, Permissions, RESOURCES, Resource, Role};

use crate::{App, table::Table};

mod auth;
mod cluster;
mod error;
mod extract;
mod node;
pub mod query;
pub mod time;
mod token;

/// The routes of this dialect by the prefix they lie under.
pub fn tables() -> [(&'static str, Table); 3] {
    let current = Table::new()
        .post("/token", token::grant)
        .get("/clusters", cluster::list)
        .post("/clusters", cluster::create)
        .get("/clusters/{cluster}", cluster::get)
        .put("/clusters/{cluster}", cluster::rename)
        .delete("/clusters/{cluster}", cluster::delete)
        .get("/clusters/{cluster}/nodes", node::of_cluster)
        .get("/clusters/{cluster}/nodes/count", node::count_of_cluster)
        .get("/nodes", node::of_tenant)
        .get("/nodes/count", node::count_of_tenant);
    [
        ("/api/v1", current),
        ("/api/v2", Table::new().post("/token", token::oauth)),
        ("/v1/k8s", Table::new().post("/auth/oauth/apptoken", token::application)),
    ]
}

/// The router of [`tables`].
pub fn routes() -> Router<App> {
    tables().into_iter().fold(Router::new(), |router, (prefix, table)| {
        router.nest(prefix, closed(table.router()))
    })
}

/// Answers everything else below the same prefix in this dialect's error form.
fn closed(routes: Router<App>) -> Router<App> {
    routes
        .method_not_allowed_fallback(error::no_method)
        .fallback(error::no_route)
}

/// Run:ai's predefined roles, as far as the things they permit exist here.
///
/// `Viewer` is missing because names are matched without case and the core has a role `viewer` of the same meaning.
/// Roles about workloads and their assets are missing because Reeve has neither; a role that permits nothing would only
/// look like one that works.
#[must_use]
pub fn roles() -> Vec<Role> {
    let around = [Resource::Cluster, Resource::Pool, Resource::Node];
    let units = [Resource::Department, Resource::Project];
    let change = [Action::Read, Action::Create, Action::Update, Action::Delete];
    let seen = Permissions::of(&around, &[Action::Read]);
    let reads_units = seen.clone().and(&Permissions::of(&units, &[Action::Read]));
    let department = seen
        .clone()
        .and(&Permissions::of(&units, &change))
        .and(&Permissions::of(&[Resource::Usage], &[Action::Read]));
    let manager = reads_units.clone().and(&Permissions::of(&[Resource::Project], &change));
    let role = |name: &str, permissions: &Permissions| Role {
        name: name.into(),
        permissions: permissions.clone(),
    };
    vec![
        role("System administrator", &Permissions::of(&RESOURCES, &ACTIONS)),
        role("Department administrator", &department),
        role("Research manager", &manager),
        role("Editor", &manager),
        role("Department viewer", &reads_units),
        role("L1 researcher", &reads_units),
        role("L2 researcher", &reads_units),
        role("ML engineer", &reads_units),
    ]
}

/// The word for a node whose agent was heard just now, and the answer to an error, for the tables of all dialects.
#[cfg(test)]
pub(crate) mod shown {
    use axum::response::{IntoResponse as _, Response};
    use reeve_model::{
        Error, Timestamp,
        node::{Goal, Phase},
    };

    pub(crate) fn node(goal: Goal, phase: Phase) -> &'static str {
        super::node::status(goal, phase, Some(Timestamp(0)), Timestamp(0))
    }

    pub(crate) fn error(error: Error) -> Response {
        super::error::Failure::from(error).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_of_this_dialect_do_not_contradict_each_other() {
        let _: Router<App> = Router::new().merge(routes()).fallback(error::no_route);
    }

    #[test]
    fn the_routes_of_this_dialect_live_beside_a_router_with_its_own_fallback() {
        let other: Router<App> = Table::new()
            .get("/other", cluster::list)
            .router()
            .fallback(error::no_route);
        let _ = other.merge(routes());
    }

    #[test]
    fn roles_of_this_dialect_leave_the_core_roles_alone_and_only_the_administrator_changes_clusters() {
        let core: Vec<_> = reeve_model::permission::core_roles()
            .into_iter()
            .map(|role| role.name)
            .collect();
        for role in roles() {
            assert!(
                !core.contains(&role.name.to_lowercase()),
                "{} hides a core role",
                role.name
            );
            let may = role.permissions.holds(Resource::Cluster, Action::Delete);
            assert_eq!(may, role.name == "System administrator", "{}", role.name);
            assert!(role.permissions.holds(Resource::Node, Action::Read), "{}", role.name);
        }
    }
}
