//! `reeve node`.

use std::collections::HashSet;

use clap::Subcommand;
use reeve_wire::native::{Node, NodeCreate, NodeCreated, NodeVerb, NodeVerbResult};

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{Record, or_dash, simulated};
use super::session::{Patience, Session, Watching};
use super::{wait, watch};

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List nodes of a cluster
    List(List),
    /// Show one node with what its agent reported
    Get {
        /// Name of the cluster
        cluster: String,
        /// Name of the node
        name: String,
        #[command(flatten)]
        watching: Watching,
    },
    /// Make alike nodes and start them
    Create(Create),
    /// Start nodes
    Start(Verb),
    /// End the machines of nodes
    Terminate(Verb),
    /// End the machines of nodes and forget the nodes
    Remove(Verb),
    /// Give the machines of nodes back but keep their disks
    Deallocate(Verb),
    /// Turn nodes off but keep their machines
    Shutdown(Verb),
    /// Try again with nodes that failed
    Retry(Verb),
}

/// Lists nodes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    /// Name of the cluster
    cluster: String,
    /// Only those of this pool
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only those in this phase, e.g. running, failed
    #[arg(long)]
    phase: Option<String>,
    /// Only those with this in the name
    #[arg(long)]
    name: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    watching: Watching,
}

/// Makes nodes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Create {
    /// Name of the cluster
    cluster: String,
    /// Name of the pool
    #[arg(long)]
    pool: String,
    /// How many
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Machine size; the pool's first that has room when absent
    #[arg(long)]
    size: Option<String>,
    /// Format of the names with %d, e.g. gpu-%03d
    #[arg(long, value_name = "FORMAT")]
    name_format: Option<String>,
    /// First number of the names
    #[arg(long, value_name = "NUMBER")]
    name_offset: Option<u32>,
    /// Placement group
    #[arg(long, value_name = "NAME")]
    placement_group: Option<String>,
    /// Token of your choice against doing it twice
    #[arg(long, value_name = "TOKEN")]
    request_key: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

/// Changes nodes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verb {
    /// Name of the cluster
    cluster: String,
    /// Names of the nodes
    #[arg(required_unless_present = "id")]
    names: Vec<String>,
    /// Ids of nodes, in addition to names
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Token of your choice against doing it twice
    #[arg(long, value_name = "TOKEN")]
    request_key: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

impl Record for Node {
    const COLUMNS: &'static [&'static str] = &[
        "NAME", "POOL", "SIZE", "GOAL", "PHASE", "REASON", "ADDRESS", "SINCE", "NOTE",
    ];
    const MORE: &'static [&'static str] = &[
        "CORES",
        "MACHINE",
        "HOSTNAME",
        "GROUP",
        "SPOT",
        "KEPT",
        "AGENT",
        "AGENT-SEEN",
        "ID",
        "MESSAGE",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.pool.clone(),
            or_dash(Some(&self.size)),
            self.goal.clone(),
            self.phase.clone(),
            or_dash(Some(&self.reason)),
            or_dash(self.address.as_deref()),
            self.since.clone(),
            simulated(self.simulated),
        ]
    }

    fn more(&self) -> Vec<String> {
        let yes_or_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            self.cores.to_string(),
            or_dash(self.machine.as_deref()),
            or_dash(self.hostname.as_deref()),
            or_dash(self.placement_group.as_deref()),
            yes_or_no(self.spot),
            yes_or_no(self.keep_alive),
            or_dash(Some(&self.agent.init)),
            or_dash(self.agent.last_seen.as_deref()),
            self.id.clone(),
            or_dash(Some(&self.message)),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached, some nodes are refused or unknown, or waiting ends badly.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => run_list(session, &list).await,
        Command::Get {
            cluster,
            name,
            watching,
        } if watching.watch => {
            watch::show(session, &watching, async |client: &Client| {
                Ok(vec![get(client, &cluster, &name).await?])
            })
            .await
        }
        Command::Get { cluster, name, .. } => show(session, &cluster, &name).await,
        Command::Create(create) => run_create(session, create).await,
        Command::Start(verb) => change(session, "start", verb).await,
        Command::Terminate(verb) => change(session, "terminate", verb).await,
        Command::Remove(verb) => change(session, "remove", verb).await,
        Command::Deallocate(verb) => change(session, "deallocate", verb).await,
        Command::Shutdown(verb) => change(session, "shutdown", verb).await,
        Command::Retry(verb) => change(session, "retry", verb).await,
    }
}

async fn run_list(session: &mut Session, list: &List) -> Result<(), Failure> {
    let doing = format!("list the nodes of cluster {:?}", list.cluster);
    watch::show(session, &list.watching, async |client: &Client| {
        let filters = [
            ("pool", list.pool.as_deref()),
            ("phase", list.phase.as_deref()),
            ("name", list.name.as_deref()),
        ];
        client
            .list::<Node>(&doing, &["clusters", &list.cluster, "nodes"], &filters, list.limit)
            .await
    })
    .await
}

async fn get(client: &Client, cluster: &str, name: &str) -> Result<Node, Failure> {
    client
        .get(&format!("show node {name:?}"), &["clusters", cluster, "nodes", name])
        .await
}

/// A table for the node, and below it what its agent reported, which has no fixed columns.
async fn show(session: &mut Session, cluster: &str, name: &str) -> Result<(), Failure> {
    let node = get(&session.client, cluster, name).await?;
    session.print_one(&node)?;
    if !session.format.is_table() {
        return Ok(());
    }
    for (heading, value) in [("FACTS", &node.facts), ("SAMPLE", &node.sample)] {
        if let Some(value) = value {
            let text = super::output::document(value, super::Format::Yaml)?;
            let indented: String = text
                .lines()
                .map(|line| format!("  {}\n", super::output::clean(line)))
                .collect();
            session.print(&format!("{heading}\n{indented}"))?;
        }
    }
    Ok(())
}

async fn run_create(session: &mut Session, create: Create) -> Result<(), Failure> {
    let cluster = &create.cluster;
    let doing = format!(
        "make {} nodes in pool {:?} of cluster {cluster:?}",
        create.count, create.pool
    );
    let body = NodeCreate {
        pool: create.pool,
        count: create.count,
        size: create.size,
        name_format: create.name_format,
        name_offset: create.name_offset,
        placement_group: create.placement_group,
        request_key: create.request_key,
    };
    let created: NodeCreated = session
        .client
        .post(&doing, &["clusters", cluster, "nodes"], &body)
        .await?;
    if created.added < create.count {
        let why = created.message.as_deref().unwrap_or("the server does not say why");
        session.note(&format!(
            "reeve: warning: only {} of {} nodes were made: {why}",
            created.added, create.count
        ));
    }
    let words = format!("{} nodes made, operation {}", created.added, created.operation);
    session.print_outcome(&words, &created.names.join("\n"), &created)?;
    settle(session, &created.operation, &create.patience).await
}

async fn change(session: &mut Session, word: &str, verb: Verb) -> Result<(), Failure> {
    let doing = format!("{word} nodes of cluster {:?}", verb.cluster);
    let body = NodeVerb {
        names: verb.names,
        ids: verb.id,
        request_key: verb.request_key,
    };
    let result: NodeVerbResult = session
        .client
        .post(&doing, &["clusters", &verb.cluster, "nodes", word], &body)
        .await?;
    let accepted = result.nodes.iter().filter(|node| node.ok).count();
    let words = format!("{accepted} nodes: {word} accepted, operation {}", result.operation);
    session.print_outcome(&words, &result.operation, &result)?;
    let judged = judge(&doing, &body, &result);
    if accepted > 0 {
        settle(session, &result.operation, &verb.patience).await?;
    }
    judged
}

async fn settle(session: &mut Session, operation: &str, patience: &Patience) -> Result<(), Failure> {
    if patience.wait {
        wait::operation(session, operation, patience.time()).await?;
    }
    Ok(())
}

/// Some nodes may have been refused or unknown though the request was accepted: scripts must not take that for done.
fn judge(doing: &str, asked: &NodeVerb, result: &NodeVerbResult) -> Result<(), Failure> {
    let refused: Vec<String> = result
        .nodes
        .iter()
        .filter(|node| !node.ok)
        .map(|node| format!("{}: {}", node.name, node.error.as_deref().unwrap_or("refused")))
        .collect();
    if !refused.is_empty() {
        return Err(Failure::new(
            Kind::Conflict,
            doing,
            refused.join("; "),
            "the other nodes were accepted; correct and ask again for these",
        ));
    }
    // Names are told apart without case, as the server does.
    let names: HashSet<String> = result.nodes.iter().map(|node| node.name.to_lowercase()).collect();
    let ids: HashSet<&str> = result.nodes.iter().map(|node| node.id.as_str()).collect();
    let unknown_names = asked.names.iter().filter(|name| !names.contains(&name.to_lowercase()));
    let unknown_ids = asked.ids.iter().filter(|id| !ids.contains(id.as_str()));
    let unknown: Vec<&str> = unknown_names.chain(unknown_ids).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let why = format!("no such node: {}", unknown.join(", "));
    Err(Failure::new(
        Kind::NotFound,
        doing,
        why,
        "see `reeve node list` for the names",
    ))
}

#[cfg(test)]
mod tests {
    use reeve_wire::native::NodeJudged;

    use super::*;

    fn judged(name: &str, ok: bool) -> NodeJudged {
        NodeJudged {
            id: format!("id-{name}"),
            name: name.to_owned(),
            ok,
            error: (!ok).then(|| "kept alive".to_owned()),
        }
    }

    fn outcome(asked: &[&str], nodes: Vec<NodeJudged>) -> Result<(), Failure> {
        let asked = NodeVerb {
            names: asked.iter().map(|name| (*name).to_owned()).collect(),
            ..NodeVerb::default()
        };
        judge(
            "stop nodes",
            &asked,
            &NodeVerbResult {
                operation: "o".to_owned(),
                nodes,
            },
        )
    }

    #[test]
    fn a_refused_node_is_a_conflict_with_its_reason() {
        let failure = outcome(&["a", "b"], vec![judged("a", true), judged("b", false)]).unwrap_err();
        assert_eq!((failure.kind, failure.why.as_str()), (Kind::Conflict, "b: kept alive"));
    }

    #[test]
    fn a_node_that_the_server_does_not_mention_does_not_exist() {
        let failure = outcome(&["a", "x"], vec![judged("a", true)]).unwrap_err();
        assert_eq!(
            (failure.kind, failure.why.as_str()),
            (Kind::NotFound, "no such node: x")
        );
    }

    #[test]
    fn names_are_told_apart_without_case() {
        assert!(outcome(&["GPU-1"], vec![judged("gpu-1", true)]).is_ok());
    }
}
