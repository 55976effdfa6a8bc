//! The command line: a client of the native API.
//!
//! Start with [`run`]. One module per noun turns arguments into requests; `client` sends them, `output`, `watch` and
//! `wait` show the answers, `failure` says what went wrong. Nothing here decides what is allowed or opens the
//! database: whatever the command line can do, anybody can do with HTTP.

mod audit;
mod budget;
mod client;
mod cluster;
mod context;
mod credential;
mod events;
mod failure;
mod folder;
mod login;
mod node;
mod operation;
mod output;
mod pool;
mod session;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod usage;
mod wait;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use client::Client;
pub(crate) use context::environment;
use context::{Contexts, Environment};
use failure::Failure;
pub(crate) use failure::{SERVER, USAGE};
pub(crate) use output::Format;
use session::{POLL, Session};

/// Flags that every command of the client has: how the server is found and what answers look like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Connection {
    /// Address of the server [default: the saved login's, else http://127.0.0.1:8080]
    #[arg(
        long,
        env = "REEVE_URL",
        global = true,
        value_name = "URL",
        help_heading = "Client options"
    )]
    pub(crate) server: Option<String>,
    /// Name of the saved login to use
    #[arg(
        long,
        env = "REEVE_CONTEXT",
        global = true,
        value_name = "NAME",
        help_heading = "Client options"
    )]
    pub(crate) context: Option<String>,
    /// Believe any certificate; only where nobody can listen in
    #[arg(long, global = true, help_heading = "Client options")]
    pub(crate) insecure: bool,
    /// Believe only the authorities in this PEM file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REEVE_CA_FILE",
        help_heading = "Client options"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// How to print answers
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Client options"
    )]
    pub(crate) output: Format,
}

/// The commands of the client.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Sign in once and keep it for later commands
    Login(login::Login),
    /// Show how the server is
    Status(status::Show),
    /// Work with clusters
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Work with nodes of a cluster
    #[command(subcommand)]
    Node(node::Command),
    /// See what a cluster's nodes are made from
    #[command(subcommand)]
    Pool(pool::Command),
    /// See what became of accepted requests
    #[command(subcommand)]
    Operation(operation::Command),
    /// Show what was used and what it cost
    Usage(usage::Show),
    /// Limit what clusters may cost
    #[command(subcommand)]
    Budget(budget::Command),
    /// Work with folders of clusters
    #[command(subcommand)]
    Folder(folder::Command),
    /// Work with users, applications and API keys
    #[command(subcommand)]
    Credential(credential::Command),
    /// See who asked for what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show what happened, and what happens
    Events(events::Show),
}

/// Runs one command and returns the exit status: 0 done, 1 misunderstood, 2 the server failed, 3 not signed in or not
/// allowed, 4 not found, 5 not in this state, 6 not in time. Failures are told on standard error.
pub(crate) async fn run(connection: Connection, command: Command) -> ExitCode {
    match signed_in(command, &connection).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&mut std::io::stderr());
            ExitCode::from(failure.status())
        }
    }
}

async fn signed_in(command: Command, globals: &Connection) -> Result<(), Failure> {
    let environment = Environment::read();
    if let Command::Login(login) = command {
        return login::run(login, globals, &environment).await;
    }
    let connection = context::resolve(globals, &environment, &Contexts::load(&environment)?)?;
    let mut session = Session {
        client: Client::new(connection)?,
        format: globals.output,
        answers: Box::new(std::io::stdout()),
        notes: Box::new(std::io::stderr()),
        answers_on_terminal: std::io::stdout().is_terminal(),
        notes_on_terminal: std::io::stderr().is_terminal(),
        poll: POLL,
    };
    if session.client.sends_in_the_clear() {
        session.note("reeve: warning: the credential travels unencrypted; use an https:// address");
    }
    dispatch(&mut session, command).await
}

async fn dispatch(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status(show) => status::run(session, &show).await,
        Command::Cluster(command) => cluster::run(session, command).await,
        Command::Node(command) => node::run(session, command).await,
        Command::Pool(command) => pool::run(session, command).await,
        Command::Operation(command) => operation::run(session, command).await,
        Command::Usage(show) => usage::run(session, &show).await,
        Command::Budget(command) => budget::run(session, command).await,
        Command::Folder(command) => folder::run(session, command).await,
        Command::Credential(command) => credential::run(session, command).await,
        Command::Audit(command) => audit::run(session, command).await,
        Command::Events(show) => events::run(session, &show).await,
        // Signing in comes before there is a session.
        Command::Login(_) => Ok(()),
    }
}
