//! Keeps what the control plane knows: one SQL text for SQLite and PostgreSQL, one module per noun.
//!
//! It knows rows and transactions. It deliberately does not know rules, dialects, status codes or the clock.

pub mod engine;
pub mod migrate;
pub mod testing;
