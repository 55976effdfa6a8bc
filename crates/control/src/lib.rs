//! The verbs: one function per thing a user can ask, and the reconcilers that bring it about.
//!
//! `control` orders effects: load, decide (in `model`), save, wake. It knows no status code, no JSON field and no
//! vendor. Every verb takes a [`Ctx`] first and checks the one permission rule before the first load that could leak.
//! Start with [`node::create`] for a request and [`reconcile::node`] for what happens after it.

pub mod agent;
pub mod budget;
pub mod cluster;
pub mod core;
pub mod ctx;
pub mod host;
pub mod identity;
pub mod journal;
pub mod node;
pub mod operation;
pub mod reconcile;
pub mod record;
pub mod secret;
pub mod supervisor;
pub mod usage;

pub use core::{Account, Core, Settings};
pub use ctx::Ctx;
