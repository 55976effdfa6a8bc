//! What a running server holds: the store, the clock, the id source, the provider accounts, the caches.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reeve_model::{Error, Kind, Result, Timestamp, capacity::Totals, id::NodeId, permission::Role, size::MachineSize};
use reeve_provider::{Clock, Machines, Quota, Size};
use reeve_store::engine::Store;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    identity::Known,
    secret::{ServerKey, issuer::Issuers, jwt::SigningKey, remember::Remembered},
};

/// How the server is to behave; made in `bin` and handed down.
#[derive(Debug, Clone)]
pub struct Settings {
    /// URL at which agents reach this server.
    pub server_url: String,
    /// SHA-256 of the server's certificate for agents to pin, when it is self-signed.
    pub ca_sha256: Option<String>,
    /// Time between an agent's beats.
    pub beat_interval: Duration,
    /// Life of access tokens.
    pub token_life: Duration,
    /// Region of pools that name none, by provider account kind.
    pub region_default: String,
    /// Most nodes one request may make.
    pub create_max: u32,
}

/// A provider account.
#[derive(Clone)]
pub struct Account {
    /// Its name, as templates use it.
    pub name: String,
    /// What gives machines.
    pub machines: Arc<dyn Machines>,
}

/// Places at which a test may stop the server between two steps, as a crash would.
pub type CrashPoint = dyn Fn(&str) -> bool + Send + Sync;

/// The running server's state; shared by everything.
pub struct Core {
    /// The database.
    pub store: Store,
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// How to behave.
    pub settings: Settings,
    /// Provider accounts by name.
    pub accounts: BTreeMap<String, Account>,
    /// Roles by lower-case name: the three core ones and those that dialects bring.
    pub roles: BTreeMap<String, Arc<Role>>,
    /// Key of keyed hashes and derived secrets.
    pub key: ServerKey,
    /// Keys that sign access tokens, newest first.
    pub signing: Mutex<Vec<SigningKey>>,
    /// Turns at hashing a password: each takes tens of megabytes, and anybody may knock.
    pub hashing: Semaphore,
    /// Credentials verified within the last minute.
    pub remembered: Mutex<Remembered<Known>>,
    /// Outside issuers whose tokens are accepted, if there are any.
    pub issuers: Option<Issuers>,
    /// Rings when nodes may be due.
    pub nodes_due: Notify,
    /// Rings when clusters may have moved.
    pub clusters_due: Notify,
    /// Says to answers that take their time, such as streams, that the server stops.
    pub closing: CancellationToken,
    /// Agents waiting for new goals.
    pub waiting: Mutex<HashMap<NodeId, Arc<Notify>>>,
    /// Beats heard and not written yet.
    pub beats: Mutex<HashMap<NodeId, (Timestamp, Option<String>)>>,
    /// What the reconcilers did, for the console, the command line and metrics.
    pub activity: Mutex<BTreeMap<&'static str, Activity>>,
    quotas: Mutex<Quotas>,
    seeded: Option<AtomicU64>,
    crash: Option<Box<CrashPoint>>,
}

/// Status of one background activity.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// Activations so far.
    pub runs: u64,
    /// When the last one ended.
    pub last: Option<Timestamp>,
    /// What it did, in words.
    pub did: String,
    /// What went wrong in the last one, if anything.
    pub error: Option<String>,
}

/// Passwords hashed at the same time; others wait their turn.
const HASHING_AT_ONCE: usize = 2;

/// How often a quota never heard before is asked for.
const QUOTA_TRIES: usize = 8;

/// Quotas by (account, region), with when they were read.
type Quotas = HashMap<(String, String), (Timestamp, Arc<Quota>)>;

/// Locks a mutex; a panic elsewhere does not make plain data unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Puts a server together; `key` and `signing` come from [`crate::identity::prepare`].
    #[must_use]
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        settings: Settings,
        accounts: Vec<Account>,
        dialect_roles: Vec<Role>,
        key: ServerKey,
        signing: Vec<SigningKey>,
    ) -> Self {
        let roles = reeve_model::permission::core_roles()
            .into_iter()
            .chain(dialect_roles)
            .map(|role| (role.name.to_lowercase(), Arc::new(role)))
            .collect();
        Self {
            store,
            clock,
            settings,
            accounts: accounts
                .into_iter()
                .map(|account| (account.name.clone(), account))
                .collect(),
            roles,
            key,
            signing: Mutex::new(signing),
            hashing: Semaphore::new(HASHING_AT_ONCE),
            remembered: Mutex::new(Remembered::new(10_000)),
            issuers: None,
            nodes_due: Notify::new(),
            clusters_due: Notify::new(),
            closing: CancellationToken::new(),
            waiting: Mutex::default(),
            beats: Mutex::default(),
            activity: Mutex::default(),
            quotas: Mutex::default(),
            seeded: None,
            crash: None,
        }
    }

    /// Accepts tokens of outside issuers.
    #[must_use]
    pub fn trusting(mut self, issuers: Issuers) -> Self {
        self.issuers = Some(issuers);
        self
    }

    /// Makes ids from a seed and stops at `crash` points: for tests and simulations.
    #[must_use]
    pub fn simulated(mut self, seed: u64, crash: Box<CrashPoint>) -> Self {
        self.seeded = Some(AtomicU64::new(seed << 32));
        self.crash = Some(crash);
        self
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_us())
    }

    /// A new id.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the id source the others are told to use"
    )]
    pub fn id(&self) -> Uuid {
        match &self.seeded {
            None => Uuid::new_v4(),
            Some(next) => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
            }
        }
    }

    /// A place where a crash must do no harm; errs when a test planned one here.
    ///
    /// # Errors
    /// `Internal`, only in simulations.
    pub fn crash_point(&self, name: &str) -> Result<()> {
        match &self.crash {
            Some(crash) if crash(name) => Err(Error::internal(format!("planned crash at {name}"))),
            _ => Ok(()),
        }
    }

    /// The account called `name`.
    ///
    /// # Errors
    /// `Invalid`, listing the accounts there are.
    pub fn account(&self, name: &str) -> Result<&Account> {
        self.accounts.get(name).ok_or_else(|| {
            let known = self.accounts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::invalid(
                "account",
                format!("there is no provider account \"{name}\"; configured are: {known}"),
            )
        })
    }

    /// The quota of an account's region: at most a minute old, or older while the provider does not answer.
    ///
    /// # Errors
    /// `Unavailable` when the provider has not answered yet at all.
    pub async fn quota(&self, account: &Account, region: &str) -> Result<Arc<Quota>> {
        let place = (account.name.clone(), region.to_owned());
        let now = self.now();
        let known = lock(&self.quotas).get(&place).cloned();
        if let Some((at, quota)) = &known
            && now.since(*at) < Duration::from_secs(60)
        {
            return Ok(Arc::clone(quota));
        }
        // Nothing can be decided without a first answer, so a lost one is asked for again at once.
        let tries = if known.is_some() { 1 } else { QUOTA_TRIES };
        let mut silence = String::new();
        for _ in 0..tries {
            match account.machines.quota(region).await {
                Ok(quota) => {
                    let quota = Arc::new(quota);
                    lock(&self.quotas).insert(place, (now, Arc::clone(&quota)));
                    return Ok(quota);
                }
                Err(error) => silence = error.message,
            }
        }
        known.map(|(_, quota)| quota).ok_or_else(|| {
            Error::new(
                Kind::Unavailable {
                    retry_after: Duration::from_secs(5),
                },
                format!(
                    "provider account \"{}\" did not tell its quota: {silence}",
                    account.name
                ),
            )
        })
    }

    /// A machine size of an account.
    #[must_use]
    pub fn size(account: &Account, name: &str) -> Option<MachineSize> {
        account.machines.catalogue().get(name).map(machine_size)
    }

    /// Notes what a background activity did.
    pub fn note(&self, name: &'static str, did: String, error: Option<&Error>) {
        let now = self.now();
        let mut activities = lock(&self.activity);
        let activity = activities.entry(name).or_default();
        activity.runs += 1;
        activity.last = Some(now);
        activity.did = did;
        activity.error = error.map(ToString::to_string);
    }

    /// Wakes the agent of a node, if it waits here.
    pub fn ring_agent(&self, node: NodeId) {
        if let Some(bell) = lock(&self.waiting).get(&node) {
            bell.notify_waiters();
        }
    }
}

fn machine_size(size: &Size) -> MachineSize {
    MachineSize {
        name: size.name.clone(),
        family: size.family.clone(),
        vcpus: size.vcpus,
        cores: size.pcpus,
        quota_vcpus: size.quota_vcpus,
        memory_bytes: size.memory_bytes,
        gpus: size.gpus,
        gpu_model: size.gpu_model.clone().unwrap_or_default(),
        infiniband: size.infiniband,
        price_hour: Some(size.price_hour_usd),
        price_hour_spot: Some(size.spot_price_hour_usd),
    }
}

/// Cores of a total, never negative.
#[must_use]
pub fn cores(total: Totals) -> u64 {
    u64::try_from(total.cores).unwrap_or(0)
}

/// Turns a store's error into the one that crosses rooms.
pub(crate) fn stored(what: &'static str) -> impl Fn(reeve_store::engine::Error) -> Error {
    use reeve_store::engine::Error as Stored;
    move |error| {
        let text = error.to_string();
        match error {
            Stored::Unique { .. } => Error::new(Kind::AlreadyExists, "a thing with this name already exists")
                .context(text)
                .context(what),
            Stored::Busy(_) | Stored::Lost(_) => Error::new(
                Kind::Unavailable {
                    retry_after: Duration::from_secs(1),
                },
                "the database did not answer in time; nothing was changed, try again",
            )
            .context(text)
            .context(what),
            Stored::Full(_) => Error::new(
                Kind::Unavailable {
                    retry_after: Duration::from_secs(30),
                },
                "the disk under the database is full; nothing was changed",
            )
            .context(text)
            .context(what),
            Stored::Newer { .. } | Stored::InUse(_) | Stored::Corrupt(_) | Stored::Other(_) => {
                Error::internal(text).context(what)
            }
        }
    }
}
