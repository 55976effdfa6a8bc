//! Convergence: the whole control plane on the fake cloud, with the clock in the test's hand.

mod crash;
mod ec2;
mod life;
mod servers;
mod usage;
mod world;
