//! `reeve operation`: what became of accepted requests.

use clap::Subcommand;
use reeve_wire::native::Operation;

use super::client::Client;
use super::failure::Failure;
use super::output::{Record, or_dash};
use super::session::{Session, Watching, parse_time};
use super::{wait, watch};

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List operations, newest first
    List {
        /// Only those of this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        watching: Watching,
    },
    /// Show one operation
    Get {
        /// Its id
        id: String,
    },
    /// Follow one operation to its end
    Watch {
        /// Its id
        id: String,
        /// How long to follow it at most, e.g. 90s, 10m, 2h
        #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "30m")]
        timeout: std::time::Duration,
    },
}

impl Record for Operation {
    const COLUMNS: &'static [&'static str] = &["ID", "CLUSTER", "VERB", "STATE", "DONE", "FAILED", "TOTAL", "CREATED"];
    const MORE: &'static [&'static str] = &["SUPERSEDED", "ACTOR", "REQUEST-KEY"];

    fn name(&self) -> String {
        self.id.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.cluster.clone(),
            self.verb.clone(),
            self.state.clone(),
            self.progress.done.to_string(),
            self.progress.failed.to_string(),
            self.progress.total.to_string(),
            self.created_at.clone(),
        ]
    }

    fn more(&self) -> Vec<String> {
        vec![
            self.progress.superseded.to_string(),
            self.actor.clone(),
            or_dash(self.request_key.as_deref()),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached, or a followed operation does not end well or in time.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List {
            cluster,
            limit,
            watching,
        } => {
            watch::show(session, &watching, async |client: &Client| {
                let filters = [("cluster", cluster.as_deref())];
                client
                    .list::<Operation>("list the operations", &["operations"], &filters, Some(limit))
                    .await
            })
            .await
        }
        Command::Get { id } => {
            let operation: Operation = session
                .client
                .get(&format!("show operation {id}"), &["operations", &id])
                .await?;
            session.print_one(&operation)
        }
        Command::Watch { id, timeout } => {
            let operation = wait::operation(session, &id, timeout).await?;
            session.print_one(&operation)
        }
    }
}
