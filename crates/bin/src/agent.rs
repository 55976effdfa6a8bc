//! `reeve agent …`: hands arguments and signals to the agents and turns their outcome into a process status.

use std::{net::Ipv4Addr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reeve_agent::{Secret, exit, node};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which agent.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Join this machine to a cluster and keep it there
    Node(Box<Node>),
}

/// What the node agent is told.
#[derive(Args)]
pub(crate) struct Node {
    /// URL of the server
    #[arg(long, value_name = "URL")]
    server: String,
    /// Token that allows this machine to join; not needed once it has joined
    #[arg(
        long,
        env = "REEVE_JOIN_TOKEN",
        hide_env_values = true,
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// File with that token, which other users of this machine can not see in the list of processes
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate: trust this one and no other
    #[arg(long, value_name = "HEX")]
    ca_sha256: Option<String>,
    /// Certificate authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Folder for what must survive a restart
    #[arg(long, value_name = "DIR", default_value = "/var/lib/reeve-agent")]
    state_dir: PathBuf,
    /// IPv4 address to call from; no second agent may have it
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// Name to report instead of this machine's own
    #[arg(long)]
    hostname: Option<String>,
    /// Id to report instead of this machine's own
    #[arg(long)]
    machine_id: Option<String>,
    /// Join, then end
    #[arg(long)]
    once: bool,
}

/// Runs an agent until it is told to stop.
pub(crate) async fn run(command: Command) -> ExitCode {
    let Command::Node(flags) = command;
    let once = flags.once;
    let (config, stop) = match prepare(*flags) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("reeve: {error:#}");
            return ExitCode::from(exit::OTHER);
        }
    };
    let outcome = node::run(config, stop.wait()).await;
    match &outcome {
        Ok(node::Ended::Enrolled { node_name, cluster }) if once => {
            println!("joined cluster {cluster} as node {node_name}");
        }
        Ok(node::Ended::AlreadyEnrolled { node_name, cluster }) if once => {
            println!("already node {node_name} of cluster {cluster}");
        }
        Ok(ended) => tracing::info!(?ended, "the agent ends"),
        Err(failure) => eprintln!("reeve: {failure}"),
    }
    ExitCode::from(exit::code(&outcome))
}

fn prepare(flags: Node) -> anyhow::Result<(node::Config, Stop)> {
    let join_token = match (flags.token, flags.token_file) {
        (Some(token), _) => Secret::new(token),
        (None, Some(file)) => read_token(&file)?,
        (None, None) => Secret::default(),
    };
    let config = node::Config {
        server: flags.server,
        join_token,
        ca_sha256: flags.ca_sha256,
        ca_file: flags.ca_file,
        state_dir: flags.state_dir,
        source_address: flags.address,
        hostname: flags.hostname,
        machine_id: flags.machine_id,
        once: flags.once,
        prechecks: Vec::new(),
    };
    Ok((config, Stop::listen()?))
}

/// A file that is gone is no failure: the machine may have joined already, and the agent says so if it has not.
fn read_token(file: &std::path::Path) -> anyhow::Result<Secret> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Secret::default()),
        Err(error) => Err(error).with_context(|| format!("can not read the token file {}", file.display())),
    }
}

/// The signals that end an agent, and the one that must not.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// Being listened to keeps a closed terminal from ending the agent.
    hangup: Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}
