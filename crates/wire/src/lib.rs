//! Types that travel between parts of Reeve: the native API and the agent protocol.
//!
//! Only serde lives here. The server, the command line and the agents all link this crate, so it knows no rule,
//! no database and no HTTP library. Start with [`agent`] for what nodes say and [`native`] for what people ask.

pub mod agent;
pub mod native;
