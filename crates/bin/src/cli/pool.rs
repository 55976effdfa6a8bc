//! `reeve pool`: what a cluster's nodes are made from.

use clap::Subcommand;
use reeve_wire::native::{Page, Pool};

use super::client::Client;
use super::failure::Failure;
use super::output::{Record, or_dash};
use super::session::{Session, Watching};
use super::watch;

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List the pools of a cluster, with what is in use and what is left
    List {
        /// Name of the cluster
        cluster: String,
        #[command(flatten)]
        watching: Watching,
    },
}

impl Record for Pool {
    const COLUMNS: &'static [&'static str] = &["NAME", "KIND", "ACCOUNT", "REGION", "SIZES", "ACTIVE", "MAX", "STATE"];
    const MORE: &'static [&'static str] = &["AVAILABLE", "MAX-CORES", "ZONE", "SPOT", "GROUP", "ID"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let sizes: Vec<&str> = self.buckets.iter().map(|bucket| &*bucket.size).collect();
        let active: u32 = self.buckets.iter().map(|bucket| bucket.active).sum();
        vec![
            self.name.clone(),
            self.kind.clone(),
            or_dash(Some(&self.account)),
            or_dash(Some(&self.region)),
            or_dash(Some(&sizes.join(","))),
            active.to_string(),
            number(self.max_count),
            state(self).to_owned(),
        ]
    }

    fn more(&self) -> Vec<String> {
        // Sizes share limits, so what is left of each can not be added up.
        let left = self.buckets.iter();
        let left: Vec<String> = left
            .map(|bucket| format!("{}:{}", bucket.size, bucket.available))
            .collect();
        vec![
            or_dash(Some(&left.join(","))),
            number(self.max_cores),
            or_dash(self.zone.as_deref()),
            if self.spot { "spot" } else { "-" }.to_owned(),
            or_dash(self.placement_group.as_deref()),
            self.id.clone(),
        ]
    }
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Whether nodes can be made, and why not when none can of any size.
fn state(pool: &Pool) -> &str {
    if pool.removed {
        return "removed";
    }
    let mut closed = pool.buckets.iter().map(|bucket| bucket.closed.as_deref());
    match closed.next() {
        Some(Some(first)) if closed.all(|closed| closed.is_some()) => first,
        _ => "open",
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    let Command::List { cluster, watching } = command;
    watch::show(session, &watching, async |client: &Client| {
        let doing = format!("list the pools of cluster {cluster:?}");
        let page: Page<Pool> = client.get(&doing, &["clusters", &cluster, "pools"]).await?;
        Ok(page.items)
    })
    .await
}
