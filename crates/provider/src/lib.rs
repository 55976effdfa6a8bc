//! Where machines come from: the [`Machines`] trait, its errors and capabilities, the machine catalogue, and the
//! providers: the simulated cloud [`fake`], this host [`local`] and, with the feature `ec2`, EC2 instances.
//!
//! This crate knows tokens, sizes, regions and machines. It deliberately does not know tenants, clusters as rules,
//! nodes as goals, SQL or HTTP: names of clusters and nodes pass through as labels for the machine.
//!
//! Start reading at [`machines`], which holds the contract, then [`fake`] for a cloud in one folder.

pub mod catalogue;
pub mod clock;
#[cfg(feature = "ec2")]
pub mod ec2;
pub mod error;
pub mod fake;
pub mod local;
pub mod machines;
pub mod secret;

pub use catalogue::{Catalogue, Size};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "ec2")]
pub use ec2::Ec2;
pub use error::{Error, ErrorKind};
pub use fake::Fake;
pub use local::Local;
pub use machines::{
    Boot, Capabilities, Cores, Described, Facts, Guest, Init, Launch, Machine, Machines, Page, Quota, State, Token,
};
pub use secret::Secret;
