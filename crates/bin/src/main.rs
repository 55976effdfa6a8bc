//! `reeve`: one program that is the server, the node agent and the command line.
//!
//! This room is the outermost one: it reads arguments, environment and configuration, puts the other rooms together
//! and turns outcomes into process statuses. It decides nothing about clusters and nodes.

mod agent;
mod cli;
mod config;
mod demo;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// A cluster of ten thousand nodes is read by one thread and rendered by another: the system's allocator spends more
/// time on memory that crosses threads than the database does on the query, and keeps what was once needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line.
#[derive(Parser)]
#[command(
    name = "reeve",
    version,
    about = "One control plane for GPU, HPC and Kubernetes fleets",
    max_term_width = 110
)]
struct Arguments {
    #[command(flatten)]
    connection: cli::Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Flags>),
    /// Run an agent on a machine of the fleet
    #[command(subcommand)]
    Agent(agent::Command),
    /// Work with the server's configuration file
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not mistakes. Output that nobody reads is no failure of ours.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(cli::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    start_log();
    // Only the first call counts, and this is it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(arguments)
}

fn run(arguments: Arguments) -> ExitCode {
    let mut runtime = match arguments.command {
        // Hundreds of agents share a host; each has one thread.
        Command::Agent(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("reeve: the system gives no resources to start with: {error}");
            return ExitCode::from(cli::SERVER);
        }
    };
    match arguments.command {
        Command::Serve(flags) => match runtime.block_on(serve::run(*flags)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("reeve: {error:#}");
                ExitCode::FAILURE
            }
        },
        Command::Agent(command) => runtime.block_on(agent::run(command)),
        Command::Config(command) => config::run(&command),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "reeve", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Client(command) => runtime.block_on(cli::run(arguments.connection, command)),
    }
}

/// Sends the log to standard error; `REEVE_LOG` sets its level (`info`, `reeve_control=debug`, …).
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("REEVE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,reeve=info"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
}
