//! One behaviour suite for all providers, and what each has of its own.

#[cfg(feature = "ec2")]
mod ec2;
mod fake;
mod local;
mod suite;
mod support;
