//! Agents of Reeve: programs on the machines of a fleet that call the server and carry out its goals.
//!
//! Today there is one, the [`node`] agent, started as `reeve agent node`. Agents always call, never listen; the
//! protocol they speak is `reeve_wire::agent`. This crate knows neither the server's database nor its rules, reads
//! no command line and no environment, and prints nothing: `bin` does that and turns the outcome into a process
//! status with [`exit`]. Start reading at [`node::run`].

pub mod exit;
pub mod node;
mod secret;

pub use reeve_wire::agent::Precheck;
pub use secret::Secret;
