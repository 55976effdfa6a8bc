//! The Azure CycleCloud dialect: cluster status, nodes, operations, and the few administrative calls around them.
//!
//! Handlers parse, call `control` once and render; [`record`] turns rows into attribute records, [`states`] their
//! states into CycleCloud's words, [`error`] our errors into its bodies. Nothing here decides what happens to a node.
//! Start reading in [`node`]. What is covered, and what is not, stands in `COVERAGE.md` beside this file.

pub mod admin;
pub mod auth;
pub mod cluster;
pub mod error;
pub mod expression;
pub mod import;
pub mod node;
pub mod operation;
pub mod query;
pub mod record;
pub mod selection;
pub mod states;
pub mod template;
pub mod usage;

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};

use crate::App;

/// Every route of this dialect, each with and without a slash at its end.
pub fn routes() -> Router<App> {
    let all: [(&str, MethodRouter<App>); 20] = [
        ("/clusters/{cluster}/status", get(cluster::status)),
        ("/clusters/{cluster}/usage", get(usage::usage)),
        ("/clusters/{cluster}/nodes", get(node::list)),
        ("/clusters/{cluster}/nodes/create", post(node::create)),
        ("/clusters/{cluster}/nodes/{verb}", post(node::manage)),
        ("/clusters/{cluster}/scale/{nodearray}", post(node::scale)),
        ("/operations", get(operation::list)),
        ("/operations/{operation}", get(operation::get)),
        ("/cloud/api/import_cluster/{cluster}", post(admin::import)),
        ("/cloud/actions/startcluster/{cluster}", post(admin::start)),
        ("/cloud/actions/terminatecluster/{cluster}", post(admin::terminate)),
        ("/cloud/actions/removecluster/{cluster}", post(admin::remove)),
        ("/cloud/actions/terminate_node/{cluster}", post(admin::terminate_nodes)),
        ("/cloud/actions/retry/{cluster}", post(admin::retry)),
        ("/cloud/clusters", get(admin::clusters)),
        ("/cloud/clusters/{cluster}", get(admin::cluster)),
        ("/cloud/api/clusters", get(admin::clusters)),
        ("/cloud/api/clusters/{cluster}", get(admin::cluster)),
        ("/cloud/api/nodes", get(admin::nodes)),
        ("/cloud/api/nodes/{name}", get(admin::node)),
    ];
    all.into_iter().fold(Router::new(), |router, (path, methods)| {
        let methods = methods.fallback(error::wrong_method);
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_routes_of_this_dialect_collide() {
        assert!(super::routes().has_routes());
    }
}
