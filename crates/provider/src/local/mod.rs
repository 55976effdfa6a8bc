//! Machines that are processes on this host: each one a `reeve agent node` with an address of its own in 127.0.0.0/8,
//! a folder and a process group.
//!
//! Nothing is held in memory. A machine is its folder; a server that starts anew, or a second one beside it, finds
//! them all by reading. `machine` is one machine and the place to start reading; `folder` is what is on disk,
//! `process` what runs, `address` who has which address.
//!
//! A process that ends by itself leaves a machine that is `Gone` with a reason; its folder, with the log, and its
//! address stay until it is released.

mod address;
mod folder;
mod host;
mod machine;
mod process;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use self::folder::Root;
use crate::catalogue::{Catalogue, Size};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::machines::{
    Capabilities, Cores, Described, Launch, Machine, Machines, Page, Quota, State, Token, check_token,
};

/// Settings of the local provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSettings {
    /// Program that is started as `BINARY agent node …`.
    pub binary: PathBuf,
    /// Folder of all machines; made when it is not there. Servers that share it share the machines.
    pub state_dir: PathBuf,
    /// Most machines at once.
    #[serde(default = "machines_max")]
    pub machines_max: u64,
    /// Accept every size of the built-in catalogue, not only `local`: the machine claims those figures and really has
    /// this host's.
    #[serde(default)]
    pub any_size: bool,
    /// How long a stopped process may take to end before it is killed, milliseconds.
    #[serde(default = "stop_grace_ms")]
    pub stop_grace_ms: u64,
}

fn machines_max() -> u64 {
    1000
}

fn stop_grace_ms() -> u64 {
    5000
}

impl LocalSettings {
    /// The defaults, for this program and folder.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            state_dir: state_dir.into(),
            machines_max: machines_max(),
            any_size: false,
            stop_grace_ms: stop_grace_ms(),
        }
    }
}

/// Machines on this host.
pub struct Local {
    capabilities: Capabilities,
    catalogue: Catalogue,
    inner: Arc<Inner>,
}

/// What the blocking half of every call needs.
struct Inner {
    settings: LocalSettings,
    root: Root,
    catalogue: Catalogue,
    clock: Arc<dyn Clock>,
    /// Processes this server started and has to reap. Only for that: losing them loses nothing.
    children: Mutex<Vec<Child>>,
}

impl Local {
    /// Machines in the settings' folder.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be made or this host's figures cannot be read.
    pub fn open(settings: LocalSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let root = Root::open(&settings.state_dir)?;
        let mut sizes = vec![host::size()?];
        if settings.any_size {
            sizes.extend_from_slice(Catalogue::builtin().sizes());
        }
        let catalogue = Catalogue::of(sizes);
        let capabilities = Capabilities {
            simulated: false,
            guest_reports: false,
            stop_keeps_disk: true,
            restart: true,
            spot: false,
            placement_groups: false,
            quotas: false,
            settle: Duration::ZERO,
        };
        let inner = Inner {
            settings,
            root,
            catalogue: catalogue.clone(),
            clock,
            children: Mutex::new(Vec::new()),
        };
        Ok(Self {
            capabilities,
            catalogue,
            inner: Arc::new(inner),
        })
    }

    /// Where a machine keeps its files (`log`, `state/`), whether or not it exists.
    #[must_use]
    pub fn folder(&self, token: &str) -> PathBuf {
        self.inner.root.machine(token)
    }

    /// Runs file and process work on a blocking thread, and reaps what has ended first.
    async fn blocking<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> T + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let call = move || {
            inner.reap();
            work(&inner)
        };
        tokio::task::spawn_blocking(call)
            .await
            .map_err(|error| Error::failed("call the local provider", &error))
    }

    fn each<'a, W>(&'a self, tokens: &'a [Token], work: W) -> BoxFuture<'a, Vec<Result<State, Error>>>
    where
        W: Fn(&Inner, &str) -> Result<State, Error> + Send + 'static,
    {
        async move {
            let owned = tokens.to_vec();
            let answers = self
                .blocking(move |inner| owned.iter().map(|token| work(inner, token)).collect())
                .await;
            answers.unwrap_or_else(|error| tokens.iter().map(|_| Err(error.clone())).collect())
        }
        .boxed()
    }
}

impl Inner {
    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        // A child that cannot be asked about is not ours any more, so there is nothing left to reap.
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn adopt(&self, child: Child) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }

    fn size(&self, launch: &Launch) -> Result<&Size, Error> {
        self.catalogue.get(&launch.size).ok_or_else(|| {
            let message = format!(
                "there is no machine size {} on this host; its size is `local`",
                launch.size
            );
            Error::new(ErrorKind::Invalid, message)
        })
    }

    /// Makes the folders of new machines under the lock of the whole, then starts each under its own.
    fn launch(&self, launches: &[Launch]) -> Vec<Result<Machine, Error>> {
        let prepared = self.prepare(launches);
        let started = launches.iter().zip(prepared);
        started
            .map(|(launch, prepared)| prepared.and_then(|()| machine::run(self, launch)))
            .collect()
    }

    fn prepare(&self, launches: &[Launch]) -> Vec<Result<(), Error>> {
        let checked = |launch: &Launch| {
            check_token(&launch.token)?;
            self.size(launch)?;
            if launch.spot {
                return Err(Error::new(ErrorKind::Invalid, "this host has no spot machines"));
            }
            Ok(())
        };
        let mut room: Option<(File, address::Addresses)> = None;
        let mut prepare = |launch: &Launch| {
            checked(launch)?;
            if self.root.known(&launch.token) {
                return Ok(());
            }
            let (_, addresses) = match &mut room {
                Some(room) => room,
                None => {
                    let lock = self.root.lock()?;
                    room.insert((lock, address::Addresses::read(&self.root)?))
                }
            };
            // Another server may have made it while we waited for the lock.
            if self.root.known(&launch.token) {
                return Ok(());
            }
            if addresses.taken() >= self.settings.machines_max {
                let message = format!("this host has {} machines already", self.settings.machines_max);
                return Err(Error::new(ErrorKind::QuotaExceeded, message));
            }
            let size = self.size(launch)?.name.clone();
            let record = folder::Record::new(launch, size, addresses.lowest_free()?, self.clock.now_us());
            self.root.make(&record)
        };
        launches.iter().map(&mut prepare).collect()
    }

    fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        let mut tokens = self.root.tokens()?;
        tokens.retain(|token| cursor.is_none_or(|cursor| token.as_str() > cursor));
        tokens.sort_unstable();
        let mut page = Page::default();
        for token in tokens {
            let Some(machine) = machine::look(self, &token)? else {
                continue;
            };
            if page.machines.len() == limit.max(1) {
                page.next = page.machines.last().map(|machine| machine.token.clone());
                break;
            }
            page.machines.push(machine);
        }
        Ok(page)
    }
}

impl Machines for Local {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The size of the pool: as many cores as the most machines would claim.
    fn quota<'a>(&'a self, _region: &'a str) -> BoxFuture<'a, Result<Quota, Error>> {
        let widest = self
            .catalogue
            .sizes()
            .iter()
            .map(|size| u64::from(size.quota_vcpus))
            .max()
            .unwrap_or(1);
        let cores = widest
            .saturating_mul(self.inner.settings.machines_max)
            .min(i32::MAX as u64);
        let families = self.catalogue.sizes().iter().map(|size| (size.family.clone(), cores));
        let quota = Quota {
            regional_cores: cores,
            spot_cores: 0,
            family_cores: families.collect(),
            used_by_others: Cores::default(),
        };
        async move { Ok(quota) }.boxed()
    }

    fn launch<'a>(&'a self, requests: &'a [Launch]) -> BoxFuture<'a, Vec<Result<Machine, Error>>> {
        async move {
            let owned = requests.to_vec();
            let answers = self.blocking(move |inner| inner.launch(&owned)).await;
            answers.unwrap_or_else(|error| requests.iter().map(|_| Err(error.clone())).collect())
        }
        .boxed()
    }

    fn describe<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Result<Described, Error>> {
        async move {
            let owned = tokens.to_vec();
            let look = |inner: &Inner, token: String| Ok((machine::look(inner, &token)?, token));
            self.blocking(move |inner| {
                let seen = owned.into_iter().map(|token| look(inner, token));
                seen.map(|seen| seen.map(|(machine, token)| (token, machine))).collect()
            })
            .await?
        }
        .boxed()
    }

    /// The cursor is the last token of the page before, so any text is a valid one.
    fn list(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Page, Error>> {
        async move { self.blocking(move |inner| inner.list(cursor.as_deref(), limit)).await? }.boxed()
    }

    fn stop<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        self.each(tokens, machine::stop)
    }

    fn start<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        self.each(tokens, machine::start)
    }

    fn release<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        async move {
            let owned = tokens.to_vec();
            let answers = self.blocking(move |inner| machine::release(inner, &owned)).await;
            answers.unwrap_or_else(|error| tokens.iter().map(|_| Err(error.clone())).collect())
        }
        .boxed()
    }
}

fn failed(doing: &str, path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::failed(&format!("{doing} {}", path.display()), cause)
}
