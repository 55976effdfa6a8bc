//! The node agent: enrolls a machine, reports what it is and how it does, and carries out the server's goals.
//!
//! One task does everything: [`run`] races the stop signal and the watch on the state directory against enrolling
//! and then against the beat loop in [`beat`]. There is no thread and no spawned task per anything, because
//! hundreds of agents share one host in demonstrations and tests. A running script is a future held by the
//! loop ([`work`]), so dropping the agent kills the script.
//!
//! What survives a restart is in [`state`]: the instance id, the credential, and which scripts have ended.
//! A script that ended is never run again for the same `init_run`; **a script that was interrupted by the death of
//! the agent or by a stop is run again from its beginning**, so scripts must be safe to repeat. Whatever an
//! interrupted run left behind in its process group is killed first.
//!
//! The agent does not decide anything about the cluster, does not know what the scripts do, and does not restart
//! itself: the service manager or the provider does.

mod backoff;
mod beat;
mod client;
mod clock;
mod enroll;
mod facts;
mod failure;
mod processes;
mod sample;
mod script;
mod state;
mod tls;
mod work;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use reeve_wire::agent::{Facts, Precheck};

use crate::Secret;

pub use failure::Failure;

use client::Client;
use clock::Clock;
use state::{Access, StateDir};

/// Port on `source_address` that an agent listens on, only to claim the address: a second agent for the same
/// address fails at once instead of mixing up two nodes. Nothing is ever answered there.
pub const CLAIM_PORT: u16 = 7373;

/// Everything the node agent is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the server, `http://` or `https://`, with an optional port and path prefix.
    pub server: String,
    /// Token that allows to enroll; may be empty when the state directory holds a credential.
    pub join_token: Secret,
    /// SHA-256 of the server's end certificate (DER), hexadecimal, colons allowed. When given, that certificate
    /// is trusted, whatever its name and issuer, and no other.
    pub ca_sha256: Option<String>,
    /// File with the certificate authorities (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Folder for what must survive a restart; made (mode 0700) when missing.
    pub state_dir: PathBuf,
    /// Address to call from and to claim, see [`CLAIM_PORT`].
    pub source_address: Option<Ipv4Addr>,
    /// Name to report instead of the machine's own.
    pub hostname: Option<String>,
    /// Id to report instead of `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// Check and enroll, then return instead of beating.
    pub once: bool,
    /// Outcome of prechecks made by the caller; a failed hard one forbids enrolling.
    pub prechecks: Vec<Precheck>,
}

/// Why the agent came to a good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It enrolled as this node, and that was all it was asked for (`once`).
    Enrolled {
        /// Name of the node.
        node_name: String,
        /// Name of its cluster.
        cluster: String,
    },
    /// This machine had enrolled before; nothing was changed (`once`).
    AlreadyEnrolled {
        /// Name of the node.
        node_name: String,
        /// Name of its cluster.
        cluster: String,
    },
    /// Its state directory was removed: the machine it stood for is gone.
    StateRemoved,
}

/// Runs the node agent until `stop` resolves, the state directory disappears, or something final happens.
///
/// Network errors and a server that is away are not final: the agent tries again for ever, with pauses of 0.2 to
/// 15 s (with `once` it gives up after a few tries). Cancel-safe: dropping the future kills a running script.
///
/// # Errors
/// See [`Failure`]; [`crate::exit::code`] gives the process status for each.
pub async fn run(config: Config, stop: impl Future) -> Result<Ended, Failure> {
    tls::install_provider();
    let access = if config.once { Access::Shared } else { Access::Exclusive };
    let state = StateDir::open(&config.state_dir, access)?;
    let client = Client::new(&config)?;
    let _claim = config.source_address.map(claim).transpose()?;
    let mut watch = state.watch();
    let mut stop = std::pin::pin!(stop);
    let machine = Machine::look(&config, &state).await;
    let agent = Agent {
        config,
        state,
        client,
        machine,
        clock: Clock::default(),
    };

    let enrolled = tokio::select! {
        biased;
        _ = &mut stop => return Ok(Ended::Stopped),
        () = watch.gone() => return Ok(Ended::StateRemoved),
        enrolled = enroll::ensure(&agent) => enrolled?,
    };
    if agent.config.once {
        return Ok(enrolled.into_ended());
    }
    let ended = beat::Session::new(&agent, enrolled)?.run(stop, watch).await?;
    if ended == Ended::StateRemoved {
        // The machine is gone, so nothing that its scripts started may stay behind either.
        tracing::info!("the state directory was removed");
        processes::end_marked(agent.state.instance()).await;
    }
    Ok(ended)
}

/// What the parts of one running agent share.
struct Agent {
    config: Config,
    state: StateDir,
    client: Client,
    machine: Machine,
    clock: Clock,
}

/// The machine as the agent found it at its start.
struct Machine {
    id: String,
    facts: Facts,
    probe: facts::Probe,
}

impl Machine {
    async fn look(config: &Config, state: &StateDir) -> Self {
        let probe = facts::Probe::new(config.hostname.clone(), config.source_address).await;
        let id = config
            .machine_id
            .clone()
            .or_else(facts::machine_id)
            .unwrap_or_else(|| state.instance().to_owned());
        Self {
            id,
            facts: probe.facts(),
            probe,
        }
    }
}

/// Takes the address for this agent alone.
fn claim(address: Ipv4Addr) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((address, CLAIM_PORT));
    TcpListener::bind(address).map_err(|source| Failure::Address { address, source })
}
