//! `reeve audit`: who asked for what, and who was denied.

use clap::Subcommand;
use reeve_wire::native::AuditEntry;

use super::client::Client;
use super::failure::Failure;
use super::output::{Record, or_dash};
use super::session::{Session, Watching};
use super::watch;

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List the audit trail, newest first
    List {
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        watching: Watching,
    },
}

impl Record for AuditEntry {
    const COLUMNS: &'static [&'static str] = &["SEQUENCE", "AT", "WHO", "VERB", "RESOURCE", "OUTCOME"];
    const MORE: &'static [&'static str] = &["DETAIL", "REQUEST", "ACTOR"];

    fn name(&self) -> String {
        self.sequence.to_string()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.sequence.to_string(),
            self.at.clone(),
            or_dash(Some(&self.actor_name)),
            self.verb.clone(),
            or_dash(Some(&self.resource)),
            self.outcome.clone(),
        ]
    }

    fn more(&self) -> Vec<String> {
        vec![
            or_dash(Some(&self.detail)),
            or_dash(Some(&self.request_id)),
            or_dash(Some(&self.actor)),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    let Command::List { limit, watching } = command;
    watch::show(session, &watching, async |client: &Client| {
        client
            .list::<AuditEntry>("list the audit trail", &["audit"], &[], Some(limit))
            .await
    })
    .await
}
