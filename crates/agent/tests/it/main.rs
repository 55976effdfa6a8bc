//! The node agent against a server that answers by script.
//!
//! Nothing here knows the real server: what is tested is what the agent promises on the wire, on disk and towards
//! the processes it starts. Start with [`harness`].

mod beating;
mod enrolling;
mod harness;
mod scripts;
mod trust;
