//! Why a node agent cannot go on.
//!
//! Each kind is something a script or a person reacts to differently; [`crate::exit`] gives each its number.
//! Network trouble while beating is absent on purpose: it never ends an agent.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use reeve_wire::agent::Precheck;

/// A final failure of the node agent.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Hard prechecks failed, so the machine was not enrolled.
    #[error("the machine is not fit to join: {}", describe(.failed))]
    Precheck {
        /// The hard ones that failed.
        failed: Vec<Precheck>,
    },
    /// The server did not answer (only with `once`).
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// Address of the server.
        server: String,
        /// Last thing that went wrong.
        reason: String,
    },
    /// The join token or the credential was refused for good.
    #[error("{message} ({code})")]
    Refused {
        /// Code from the server's refusal.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The machine belongs to another cluster or server than the one it is asked to join.
    #[error("this machine already belongs to {owner}; remove {} to let it join {asked}", .state_dir.display())]
    BelongsElsewhere {
        /// Where it belongs.
        owner: String,
        /// What it was asked to join.
        asked: String,
        /// Folder that holds the old membership.
        state_dir: PathBuf,
    },
    /// The server refused the call for good, for a reason that is not the credential.
    #[error("the server refused: {message} ({code})")]
    Rejected {
        /// Code from the server's refusal.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The server does not speak this agent's protocol version.
    #[error(
        "the server does not speak version {} of the agent protocol: {message}; \
         upgrade the server first, or use the agent that came with it",
        reeve_wire::agent::PROTOCOL
    )]
    UnsupportedProtocol {
        /// The server's words.
        message: String,
    },
    /// A setting cannot be right.
    #[error("{name}: {reason}")]
    Settings {
        /// Name of the setting.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The source address is taken or not on this machine.
    #[error("cannot claim {address}: {source}; is another agent running for this address?")]
    Address {
        /// Address and claim port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent works in the same state directory.
    #[error("another agent is running in {}", .state_dir.display())]
    Busy {
        /// The folder.
        state_dir: PathBuf,
    },
    /// The state directory cannot be read or written.
    #[error("{doing} {}: {source}", .path.display())]
    State {
        /// What was being done, present tense.
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn describe(failed: &[Precheck]) -> String {
    let lines: Vec<_> = failed
        .iter()
        .map(|check| format!("{} {}: {}", check.id, check.name, check.detail))
        .collect();
    lines.join("; ")
}
