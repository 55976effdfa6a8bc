//! Keeps what the control plane knows: one SQL text for SQLite and PostgreSQL, one module per noun.
//!
//! No decisions live here. Functions take the transaction; `control` opens and commits it. Time and ids come in as
//! arguments. Start with [`engine`] for how a transaction works and [`node`] for the busiest table.

pub mod budget;
pub mod cluster;
mod codec;
pub mod engine;
pub mod identity;
pub mod ledger;
pub mod migrate;
pub mod node;
pub mod operation;
pub mod pool;
pub mod testing;
pub mod usage;
