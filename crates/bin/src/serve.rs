//! `reeve serve`: reads what it is told, puts the server together, answers until it is told to stop.
//!
//! The order matters: the port is taken before anything is written, the database is open before a credential is
//! printed, and the one line on standard output comes when the server answers.

mod accounts;
mod data;
#[cfg(feature = "ec2")]
mod ec2;
mod issuers;
mod paths;
mod tls;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum_server::Handle;
use clap::Args;
use reeve_control::{Core, Settings, identity, secret::Secret, supervisor::Supervisor};
use reeve_model::id::TenantId;
use reeve_provider::{Clock, SystemClock};
use reeve_store::engine::Store;
use tokio::signal::unix::{SignalKind, signal};

use crate::{cli::environment, config::Config, demo};

/// How long requests in progress may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long a new connection may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(60);

/// Flags of `reeve serve`.
#[derive(Args)]
pub(crate) struct Flags {
    /// Folder for everything the server keeps
    #[arg(long, value_name = "DIR", default_value = "./reeve-data")]
    data_dir: PathBuf,
    /// Address and port; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// auto, self-signed, off, or CERT.pem,KEY.pem [default: auto]
    #[arg(long)]
    tls: Option<String>,
    /// Allow plain HTTP on other addresses than loopback
    #[arg(long)]
    allow_plaintext: bool,
    /// sqlite, or postgres://user:password@host/database [default: sqlite]
    #[arg(long, env = "REEVE_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fill an example: a cluster on this host and a simulated GPU cluster
    #[arg(long)]
    demo: bool,
}

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// Whatever keeps it from starting, in words for the person at the terminal.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    let config = Config::load(flags.config.as_deref())?;
    let listen = flags
        .listen
        .as_deref()
        .or(config.listen.as_deref())
        .unwrap_or("127.0.0.1:8080");
    let listener = bind(listen)?;
    let address = listener.local_addr()?;
    data::make(&flags.data_dir)?;
    let store = data::open(
        &flags.data_dir,
        flags.database.as_deref().or(config.database.as_deref()),
    )
    .await?;
    let tls = tls::Choice::parse(flags.tls.as_deref().or(config.tls.as_deref()).unwrap_or("auto"))?
        .settle(address, flags.allow_plaintext || config.allow_plaintext)?;
    let own = own_url(address, tls.is_on());
    let url = config
        .public_url
        .as_deref()
        .map_or(own.as_str(), |url| url.trim_end_matches('/'))
        .to_owned();
    let trust = tls.prepare(&flags.data_dir, address, &url).await?;
    let settings = settings(&config, url, trust.as_ref().and_then(|trust| trust.sha256.clone()));

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let accounts = accounts::open(&flags.data_dir, &config, &clock).await?;
    let (key, signing) = identity::prepare(&store, clock.as_ref()).await.map_err(told)?;
    let issuers = issuers::trust(&config.identity)?;
    let core = Core::new(
        store.clone(),
        clock,
        settings,
        accounts,
        reeve_api::roles(),
        key,
        signing,
    )
    .trusting(issuers);
    let core = Arc::new(core);
    let (tenant, admin) = first_admin(&core).await?;

    let running = Running {
        core: Arc::clone(&core),
        store,
        supervisor: Supervisor::start(&core),
        handle: Handle::new(),
    };
    let serving = answer(listener, &core, trust, running.handle.clone());
    running
        .until_stopped(serving, &own, demo_of(flags.demo, tenant, admin))
        .await
}

/// What the demo needs, when it was asked for.
fn demo_of(wanted: bool, tenant: TenantId, admin: Option<Secret>) -> Option<demo::Wanted> {
    wanted.then_some(demo::Wanted {
        tenant,
        password: admin,
    })
}

/// Takes the port.
fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = listen
        .to_socket_addrs()
        .with_context(|| format!("\"{listen}\" is no address to listen on; give ADDRESS:PORT, like 127.0.0.1:8080"))?
        .collect();
    TcpListener::bind(addresses.as_slice()).with_context(|| {
        format!("can not listen on {listen}; another program may have the port: choose another with --listen")
    })
}

/// The URL under which programs on this host reach us.
fn own_url(address: SocketAddr, tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

fn settings(config: &Config, server_url: String, ca_sha256: Option<String>) -> Settings {
    let seconds = |given: Option<u32>, otherwise: u32| Duration::from_secs(given.unwrap_or(otherwise).into());
    Settings {
        server_url,
        ca_sha256,
        beat_interval: seconds(config.beat_interval_s, 5),
        token_life: seconds(config.token_life_s, 3600),
        region_default: config.region_default.clone().unwrap_or_else(|| "local".to_owned()),
        create_max: config.create_max.unwrap_or(50_000),
    }
}

/// Makes the first user; answers its password if this process knows it.
async fn first_admin(core: &Core) -> anyhow::Result<(TenantId, Option<Secret>)> {
    let chosen = environment("REEVE_ADMIN_PASSWORD").map(Secret::new);
    let (tenant, made) = identity::bootstrap(core, chosen.clone()).await.map_err(told)?;
    if let Some(made) = &made {
        println!("reeve: user {}, password {}", identity::ADMIN, made.expose());
    }
    Ok((tenant, made.or(chosen)))
}

/// An error of the inner rooms with the chain that only the operator of the server may see.
fn told(error: reeve_model::Error) -> anyhow::Error {
    match error.context.is_empty() {
        true => anyhow::anyhow!("{}", error.message),
        false => anyhow::anyhow!("{} ({})", error.message, error.context.join(": ")),
    }
}

/// Answers requests until the handle says stop.
async fn answer(
    listener: TcpListener,
    core: &Arc<Core>,
    trust: Option<tls::Ready>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let service =
        paths::normalizing(reeve_api::router(Arc::clone(core))).into_make_service_with_connect_info::<SocketAddr>();
    match trust {
        None => {
            let server = axum_server::from_tcp(listener)?.first_request_timeout(FIRST_REQUEST);
            server.handle(handle).serve(service).await
        }
        Some(trust) => {
            let server = axum_server::from_tcp_rustls(listener, trust.config)?.first_request_timeout(FIRST_REQUEST);
            server.handle(handle).serve(service).await
        }
    }
}

/// A server that runs.
struct Running {
    core: Arc<Core>,
    store: Store,
    supervisor: Supervisor,
    handle: Handle<SocketAddr>,
}

impl Running {
    /// Announces the server, waits for a signal, and ends everything in an order that loses nothing.
    async fn until_stopped(
        self,
        serving: impl Future<Output = std::io::Result<()>>,
        url: &str,
        demo: Option<demo::Wanted>,
    ) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let announced = async {
            if self.handle.listening().await.is_some() {
                println!("reeve: listening on {url}");
                if let Some(wanted) = demo
                    && let Err(error) = demo::fill(&self.core, wanted, url).await
                {
                    tracing::error!(error = %format_args!("{:#}", told(error)), "the demo could not be filled");
                }
            }
            std::future::pending::<()>().await;
        };
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = announced => None,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                tracing::info!("stopping");
                // Streams and agents that wait would keep their connections open for the whole of the grace.
                self.core.closing.cancel();
                self.handle.graceful_shutdown(Some(GRACE));
                serving.await
            }
        };
        self.supervisor.stop().await;
        self.store.close().await;
        ended.context("the server can not go on answering")
    }
}

#[cfg(test)]
mod tests {
    use super::own_url;

    #[test]
    fn a_server_on_every_address_is_reached_on_loopback() {
        assert_eq!(
            own_url("0.0.0.0:80".parse().expect("address"), false),
            "http://127.0.0.1:80"
        );
        assert_eq!(own_url("[::]:443".parse().expect("address"), true), "https://[::1]:443");
        assert_eq!(
            own_url("10.1.2.3:8080".parse().expect("address"), true),
            "https://10.1.2.3:8080"
        );
    }
}
