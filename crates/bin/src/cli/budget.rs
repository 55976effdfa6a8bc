//! `reeve budget`: what clusters may cost in a month.

use clap::Subcommand;
use reeve_wire::native::{Budget, BudgetSet};

use super::failure::Failure;
use super::output::Record;
use super::session::Session;

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Set what a cluster may cost in a calendar month, and what follows when it does
    Set {
        /// Name of the cluster
        cluster: String,
        /// US dollars a month
        #[arg(long, value_name = "DOLLARS")]
        amount: f64,
        /// Tell people at so many percent; may be given several times
        #[arg(long, value_name = "PERCENT")]
        warn: Vec<u32>,
        /// Refuse growth from so many percent on
        #[arg(long, value_name = "PERCENT")]
        freeze: Option<u32>,
        /// Shut nodes of pools down from so many percent on
        #[arg(long, value_name = "PERCENT")]
        drain: Option<u32>,
    },
    /// Show a cluster's budget and where the cluster stands
    Get {
        /// Name of the cluster
        cluster: String,
    },
    /// List budgets
    List,
    /// Drop a cluster's budget
    Delete {
        /// Name of the cluster
        cluster: String,
    },
}

fn percent(percent: Option<u32>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"))
}

impl Record for Budget {
    const COLUMNS: &'static [&'static str] = &["CLUSTER", "AMOUNT", "SPENT", "USED", "LEVEL", "FREEZE", "DRAIN"];
    const MORE: &'static [&'static str] = &["WARN", "MONTH", "SINCE"];

    fn name(&self) -> String {
        self.cluster.clone()
    }

    fn cells(&self) -> Vec<String> {
        let standing = |show: fn(&reeve_wire::native::BudgetStanding) -> String| {
            self.standing.as_ref().map_or_else(|| "-".to_owned(), show)
        };
        vec![
            self.cluster.clone(),
            format!("{:.2}", self.amount),
            // A plus: some of what was used has no known price.
            standing(|standing| format!("{:.2}{}", standing.spent, if standing.unpriced { "+" } else { "" })),
            standing(|standing| format!("{}%", standing.spent_percent)),
            standing(|standing| standing.level.clone()),
            percent(self.freeze_percent),
            percent(self.drain_percent),
        ]
    }

    fn more(&self) -> Vec<String> {
        let warn: Vec<String> = self.warn_percent.iter().map(|percent| format!("{percent}%")).collect();
        let standing = self.standing.as_ref();
        vec![
            if warn.is_empty() {
                "-".to_owned()
            } else {
                warn.join(",")
            },
            standing.map_or_else(|| "-".to_owned(), |standing| standing.month.clone()),
            standing.map_or_else(|| "-".to_owned(), |standing| standing.since.clone()),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Set {
            cluster,
            amount,
            warn,
            freeze,
            drain,
        } => {
            let wanted = BudgetSet {
                amount,
                warn_percent: warn,
                freeze_percent: freeze,
                drain_percent: drain,
            };
            let doing = format!("set the budget of cluster {cluster}");
            let set: Budget = session
                .client
                .put(&doing, &["clusters", &cluster, "budget"], &wanted)
                .await?;
            session.print_one(&set)
        }
        Command::Get { cluster } => {
            let doing = format!("show the budget of cluster {cluster}");
            let budget: Budget = session.client.get(&doing, &["clusters", &cluster, "budget"]).await?;
            session.print_one(&budget)
        }
        Command::List => {
            let page: reeve_wire::native::Page<Budget> = session.client.get("list the budgets", &["budgets"]).await?;
            session.print_list(&page.items)
        }
        Command::Delete { cluster } => {
            let doing = format!("delete the budget of cluster {cluster}");
            session.client.delete(&doing, &["clusters", &cluster, "budget"]).await?;
            let words = format!("cluster {cluster} has no budget any more");
            session.print_outcome(&words, &cluster, &serde_json::json!({ "deleted": true }))
        }
    }
}
