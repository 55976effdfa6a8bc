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
pub mod extract;
pub mod import;
pub mod node;
pub mod operation;
pub mod query;
pub mod record;
pub mod selection;
pub mod states;
pub mod template;
pub mod usage;

use axum::Router;

use crate::{App, table::Table};

/// Every route of this dialect, each with and without a slash at its end.
pub fn table() -> Table {
    Table::new()
        .get("/clusters/{cluster}/status", cluster::status)
        .get("/clusters/{cluster}/usage", usage::usage)
        .get("/clusters/{cluster}/nodes", node::list)
        .post("/clusters/{cluster}/nodes/create", node::create)
        .post("/clusters/{cluster}/nodes/{verb}", node::manage)
        .post("/clusters/{cluster}/scale/{nodearray}", node::scale)
        .get("/operations", operation::list)
        .get("/operations/{operation}", operation::get)
        .post("/cloud/api/import_cluster/{cluster}", admin::import)
        .post("/cloud/actions/startcluster/{cluster}", admin::start)
        .post("/cloud/actions/terminatecluster/{cluster}", admin::terminate)
        .post("/cloud/actions/removecluster/{cluster}", admin::remove)
        .post("/cloud/actions/terminate_node/{cluster}", admin::terminate_nodes)
        .post("/cloud/actions/retry/{cluster}", admin::retry)
        .get("/cloud/clusters", admin::clusters)
        .get("/cloud/clusters/{cluster}", admin::cluster)
        .get("/cloud/api/clusters", admin::clusters)
        .get("/cloud/api/clusters/{cluster}", admin::cluster)
        .get("/cloud/api/nodes", admin::nodes)
        .get("/cloud/api/nodes/{name}", admin::node)
        .slashed()
}

/// The router of [`table`]. This dialect has no prefix of its own, so it answers for every path that nobody has.
pub fn routes() -> Router<App> {
    table()
        .router()
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(error::unknown_path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_routes_of_this_dialect_collide() {
        assert!(super::routes().has_routes());
    }
}
