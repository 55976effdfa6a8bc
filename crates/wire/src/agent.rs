//! The agent protocol, newest version.
//!
//! Agents call the server, never the other way round: *post what you see, get your goals with their epoch*.
//! Two calls exist, both `POST` with a JSON body, optionally gzip-encoded:
//!
//! | path | authentication | request | answer |
//! | --- | --- | --- | --- |
//! | `/reeve/agent/v1/enroll` | `Authorization: Bearer JOIN_TOKEN` | [`Enroll`] | [`Enrolled`] |
//! | `/reeve/agent/v1/beat` | `Authorization: Bearer AGENT_CREDENTIAL` | [`Beat`] | [`Goals`] |
//!
//! A beat may ask to be held (`wait_ms`): the server answers early when the goals' epoch is newer than
//! `epoch_seen`. Errors carry [`Refusal`]. Versions: this module re-exports the newest one; older versions will
//! stand beside it and be converted here.

pub mod v1;

pub use v1::*;
