//! `reeve status`.

use clap::Args;
use reeve_wire::native::Status;

use super::client::Client;
use super::failure::Failure;
use super::output::{Record, or_dash};
use super::session::{Session, Watching};
use super::watch;

/// Shows how the server is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    watching: Watching,
}

impl Record for Status {
    const COLUMNS: &'static [&'static str] = &[
        "VERSION",
        "UPTIME",
        "DATABASE",
        "CLUSTERS",
        "NODES",
        "RUNNING",
        "FAILED",
        "OPERATIONS",
    ];
    const MORE: &'static [&'static str] = &["TROUBLE"];

    fn name(&self) -> String {
        self.version.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.version.clone(),
            format!("{} s", self.uptime_s),
            self.database.clone(),
            self.clusters.to_string(),
            self.nodes.to_string(),
            self.nodes_running.to_string(),
            self.nodes_failed.to_string(),
            or_dash(self.operations_running.map(|count| count.to_string()).as_deref()),
        ]
    }

    fn more(&self) -> Vec<String> {
        let trouble: Vec<String> = self
            .activities
            .iter()
            .filter_map(|activity| {
                activity
                    .error
                    .as_ref()
                    .map(|error| format!("{}: {error}", activity.name))
            })
            .collect();
        vec![or_dash(Some(&trouble.join("; ")))]
    }
}

/// Runs the command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, show: &Show) -> Result<(), Failure> {
    let doing = "show the server's state";
    if show.watching.watch {
        return watch::show(session, &show.watching, async |client: &Client| {
            Ok(vec![client.get::<Status>(doing, &["status"]).await?])
        })
        .await;
    }
    let status: Status = session.client.get(doing, &["status"]).await?;
    session.print_one(&status)
}
