//! Process status of `reeve agent node`, as installer scripts rely on it.
//!
//! The numbers are a contract with people's scripts (the installer command passes them on) and never change
//! meaning. Nothing here ends the process: `bin` does.

use crate::node::{Ended, Failure};

/// Registered, or stopped cleanly.
pub const OK: u8 = 0;
/// Anything that has no number of its own.
pub const OTHER: u8 = 1;
/// At least one hard precheck failed.
pub const PRECHECK_FAILED: u8 = 10;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 11;
/// The credential was refused: expired, used, unknown, revoked, or for another cluster.
pub const REFUSED: u8 = 12;
/// This machine already belongs to another cluster or server.
pub const BELONGS_ELSEWHERE: u8 = 13;

/// Process status for the outcome of [`crate::node::run`].
pub fn code(outcome: &Result<Ended, Failure>) -> u8 {
    match outcome {
        Ok(_) => OK,
        Err(failure) => code_of_failure(failure),
    }
}

/// Process status for a failure.
pub fn code_of_failure(failure: &Failure) -> u8 {
    match failure {
        Failure::Precheck { .. } => PRECHECK_FAILED,
        Failure::Unreachable { .. } => UNREACHABLE,
        Failure::Refused { .. } => REFUSED,
        Failure::BelongsElsewhere { .. } => BELONGS_ELSEWHERE,
        Failure::Rejected { .. }
        | Failure::UnsupportedProtocol { .. }
        | Failure::Settings { .. }
        | Failure::Address { .. }
        | Failure::Busy { .. }
        | Failure::State { .. } => OTHER,
    }
}
