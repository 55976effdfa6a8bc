//! The native API under `/reeve/v1/`: what the command line and the console speak.
//!
//! JSON with camel-case names. Times are RFC 3339 in UTC; ids are UUIDs as text; absent means unknown or none. Bodies of
//! requests refuse fields they do not know, so that a typing error is never silently ignored. This module deliberately
//! knows no rule: words like goals and phases are text here.

mod cluster;
mod credential;
mod general;
mod node;
mod usage;

pub use cluster::*;
pub use credential::*;
pub use general::*;
pub use node::*;
pub use usage::*;
