//! `reeve cluster`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use reeve_wire::native::{Accepted, Cluster, ClusterDeleted, ClusterImport, ClusterImported};
use reqwest::Method;
use serde_json::{Map, Value};

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{Record, or_dash, simulated};
use super::session::{Patience, Session, Watching};
use super::{wait, watch};

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Define an elastic cluster by a template
    Import(Import),
    /// List clusters
    List {
        #[command(flatten)]
        watching: Watching,
    },
    /// Show one cluster
    Get {
        /// Its name
        name: String,
        #[command(flatten)]
        watching: Watching,
    },
    /// Start a cluster: from now on its nodes may start
    Start(Verb),
    /// Stop a cluster and end its machines
    Stop(Verb),
    /// Delete a cluster and end its machines
    Delete(Verb),
}

/// Defines an elastic cluster.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Import {
    /// File of the template; - for standard input
    template: PathBuf,
    /// Name of the cluster
    #[arg(long)]
    name: String,
    /// JSON file with values of the template's parameters
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Replace the definition of an existing cluster
    #[arg(long)]
    force: bool,
    /// Start the cluster at once
    #[arg(long)]
    start: bool,
    /// Which cluster of the template, when it has several
    #[arg(long, value_name = "NAME")]
    section: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

/// Changes one cluster.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verb {
    /// Name of the cluster
    name: String,
    #[command(flatten)]
    patience: Patience,
}

impl Record for Cluster {
    const COLUMNS: &'static [&'static str] = &[
        "NAME", "KIND", "GOAL", "PHASE", "NODES", "RUNNING", "WAITING", "FAILED", "NOTE",
    ];
    const MORE: &'static [&'static str] = &[
        "MAX-NODES",
        "MAX-CORES",
        "VERSION",
        "DOMAIN",
        "LAST-SEEN",
        "CREATED",
        "ID",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let aspects = [
            (self.aspects.elastic, "elastic"),
            (self.aspects.managed, "managed"),
            (self.aspects.attached, "attached"),
        ];
        let kinds: Vec<&str> = aspects
            .iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, word)| *word)
            .collect();
        vec![
            self.name.clone(),
            or_dash(Some(&kinds.join(","))),
            self.goal.clone(),
            self.phase.clone(),
            self.nodes.total.to_string(),
            self.nodes.running.to_string(),
            self.nodes.waiting.to_string(),
            self.nodes.failed.to_string(),
            simulated(self.simulated),
        ]
    }

    fn more(&self) -> Vec<String> {
        vec![
            self.max_count.to_string(),
            self.max_cores.to_string(),
            or_dash(self.version.as_deref()),
            or_dash(self.domain.as_deref()),
            or_dash(self.last_seen.as_deref()),
            self.created_at.clone(),
            self.id.clone(),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached, a file cannot be read, or waiting ends badly.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import(import) => run_import(session, import).await,
        Command::List { watching } => {
            watch::show(session, &watching, async |client: &Client| {
                client
                    .list::<Cluster>("list the clusters", &["clusters"], &[], None)
                    .await
            })
            .await
        }
        Command::Get { name, watching } if watching.watch => {
            watch::show(session, &watching, async |client: &Client| {
                Ok(vec![get(client, &name).await?])
            })
            .await
        }
        Command::Get { name, .. } => {
            let cluster = get(&session.client, &name).await?;
            session.print_one(&cluster)
        }
        Command::Start(verb) => change(session, "start", &verb).await,
        Command::Stop(verb) => change(session, "stop", &verb).await,
        Command::Delete(verb) => delete(session, &verb).await,
    }
}

async fn get(client: &Client, name: &str) -> Result<Cluster, Failure> {
    client.get(&format!("show cluster {name:?}"), &["clusters", name]).await
}

async fn run_import(session: &mut Session, import: Import) -> Result<(), Failure> {
    let doing = format!("import cluster {:?}", import.name);
    let body = ClusterImport {
        name: import.name.clone(),
        template: read(&doing, &import.template)?,
        parameters: import
            .parameters
            .as_deref()
            .map(|path| parameters(&doing, path))
            .transpose()?,
        force: import.force,
        start: import.start,
        section: import.section,
    };
    let imported: ClusterImported = session.client.post(&doing, &["clusters", "import"], &body).await?;
    for warning in &imported.warnings {
        session.note(&format!("reeve: warning: {warning}"));
    }
    let name = &imported.cluster.name;
    let mark = if imported.cluster.simulated { " (simulated)" } else { "" };
    let then = if import.start { ", starting" } else { "" };
    session.print_outcome(&format!("cluster {name}{mark} imported{then}"), name, &imported)?;
    if !(import.patience.wait && import.start) {
        return Ok(());
    }
    let doing = format!("see cluster {name:?} started");
    wait::until(
        session,
        &doing,
        import.patience.time(),
        async |session: &mut Session| {
            let cluster = get(&session.client, name).await?;
            Ok(Some(()).filter(|()| cluster.phase == "started"))
        },
    )
    .await
}

async fn change(session: &mut Session, word: &str, verb: &Verb) -> Result<(), Failure> {
    let name = &verb.name;
    let doing = format!("{word} cluster {name:?}");
    let accepted: Accepted = session
        .client
        .ask(&doing, Method::POST, &["clusters", name, word])
        .await?;
    let words = format!("cluster {name}: {word} accepted, operation {}", accepted.operation);
    session.print_outcome(&words, &accepted.operation, &accepted)?;
    if verb.patience.wait {
        wait::operation(session, &accepted.operation, verb.patience.time()).await?;
    }
    Ok(())
}

async fn delete(session: &mut Session, verb: &Verb) -> Result<(), Failure> {
    let name = &verb.name;
    let doing = format!("delete cluster {name:?}");
    let deleted: ClusterDeleted = session.client.ask(&doing, Method::DELETE, &["clusters", name]).await?;
    let words = match deleted.gone {
        true => format!("cluster {name} deleted"),
        false => format!("cluster {name}: its machines are ending, and it goes with the last of them"),
    };
    session.print_outcome(&words, name, &deleted)?;
    if deleted.gone || !verb.patience.wait {
        return Ok(());
    }
    let doing = format!("see cluster {name:?} go");
    wait::until(
        session,
        &doing,
        verb.patience.time(),
        async |session: &mut Session| match get(&session.client, name).await {
            Ok(_) => Ok(None),
            Err(failure) if failure.kind == Kind::NotFound => Ok(Some(())),
            Err(failure) => Err(failure),
        },
    )
    .await
}

fn parameters(doing: &str, path: &Path) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&read(doing, path)?).map_err(|error| {
        Failure::new(
            Kind::Usage,
            doing,
            format!("{}: {error}", path.display()),
            "write the parameters as one JSON object",
        )
    })
}

fn read(doing: &str, path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let outcome = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_string(&mut text).map(drop),
        false => std::fs::read_to_string(path).map(|read| text = read),
    };
    let wrong = |error: std::io::Error| {
        Failure::new(
            Kind::Usage,
            doing,
            format!("{}: {error}", path.display()),
            "name a readable text file",
        )
    };
    outcome.map_err(wrong).map(|()| text)
}
