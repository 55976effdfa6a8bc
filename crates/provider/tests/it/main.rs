//! One behaviour suite for all providers, and what each has of its own.

mod fake;
mod local;
mod suite;
mod support;
