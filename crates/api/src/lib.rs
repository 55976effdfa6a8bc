//! The dialects: three public APIs, our own, and the one that agents speak, over one core.
//!
//! Each dialect finds its credential ([`request::actor`] verifies it), parses, makes one call into `control`, renders.
//! None decides anything, and none knows another.

pub mod agents;
pub mod cyclecloud;
pub mod native;
pub mod program;
pub mod rafay;
pub mod request;
pub mod runai;
pub mod table;
#[cfg(test)]
mod tables;

use std::sync::Arc;

use axum::{Extension, Router};
use reeve_control::Core;

/// What every handler gets.
pub type App = Arc<Core>;

/// All routes of all dialects.
pub fn router(core: App) -> Router {
    native::routes()
        .merge(agents::routes())
        .merge(runai::routes())
        .merge(rafay::routes())
        .merge(cyclecloud::routes())
        .layer(Extension(native::Templates(template)))
        .with_state(core)
}

/// Method and path of every route of all dialects; what answers to anything else only refuses.
#[must_use]
pub fn listing() -> Vec<(&'static str, String)> {
    let mut rows = native::table().rows("");
    rows.extend(agents::table().rows(""));
    for (prefix, table) in runai::tables() {
        rows.extend(table.rows(prefix));
    }
    rows.extend(rafay::table().rows(""));
    rows.extend(cyclecloud::table().rows(""));
    rows
}

/// Hands the template format of one dialect to the native import; dialects do not know each other.
fn template(
    core: &Core,
    name: &str,
    text: &str,
    section: Option<&str>,
    parameters: &serde_json::Map<String, serde_json::Value>,
) -> reeve_model::Result<(reeve_control::cluster::Spec, Vec<String>)> {
    cyclecloud::import::spec(text, name, section, parameters, core)
}

/// Roles that dialects bring with their vendors' names.
#[must_use]
pub fn roles() -> Vec<reeve_model::permission::Role> {
    let mut roles = runai::roles();
    roles.extend(rafay::roles());
    roles
}
