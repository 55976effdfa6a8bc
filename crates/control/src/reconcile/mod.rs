//! Background work, in its three shapes: reconcilers ([`node`], [`cluster`], [`budget`]), the both-way [`sweep`], and housekeeping.
//!
//! A wake-up carries no data: an activation reads the state and decides from that. It does not retry inside; the next
//! activation is the retry. Starting after a crash is the ordinary path: whatever is due is claimed.

pub mod budget;
pub mod cluster;
pub mod node;
pub mod sweep;
