//! The nouns of Reeve and the rules that govern them.
//!
//! Pure: no async, no I/O, no clock, no randomness, no SQL, no HTTP. Time and ids come in as arguments, so every rule
//! here can be read and tested with nothing running. Start with [`node`]: what a node is, and what happens next to it.

pub mod actor;
pub mod budget;
pub mod capacity;
pub mod cluster;
pub mod condition;
pub mod error;
pub mod id;
pub mod naming;
pub mod node;
pub mod operation;
pub mod permission;
pub mod pool;
pub mod scope;
pub mod size;
pub mod timestamp;
pub mod usage;

pub use error::{Error, Kind, Result};
pub use timestamp::Timestamp;
