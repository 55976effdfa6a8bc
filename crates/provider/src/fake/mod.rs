//! A simulated cloud that ships: it serves the demo, scale runs and chaos tests.
//!
//! [`Settings`] say how it behaves; its machines are marked simulated by [`Capabilities::simulated`]. This file is the
//! shell: it brings clock, lock and storage to the pure state machine in `world`, which is where to start reading.
//! It knows nothing of what the machines are for.

mod dice;
mod event;
mod facts;
mod journal;
mod record;
mod room;
mod settings;
#[cfg(test)]
mod tests;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use self::journal::Journal;
use self::record::{Order, Request};
pub use self::settings::{Limits, Settings, Span, Stock};
use self::world::World;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::machines::{Capabilities, Described, Launch, Machine, Machines, Page, Quota, State, Token};

/// The simulated cloud.
pub struct Fake {
    capabilities: Capabilities,
    catalogue: Catalogue,
    clock: Arc<dyn Clock>,
    backing: Backing,
}

enum Backing {
    Memory(Box<Mutex<World>>),
    Journal(Arc<Mutex<Journal>>),
}

impl Fake {
    /// A cloud that lives as long as this value.
    ///
    /// # Errors
    /// `Invalid` for settings that make no sense.
    pub fn in_memory(settings: Settings, catalogue: Catalogue, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        settings.check()?;
        let world = World::new(Arc::new(settings.clone()), catalogue.clone(), false);
        Ok(Self::new(
            &settings,
            catalogue,
            clock,
            Backing::Memory(Box::new(Mutex::new(world))),
        ))
    }

    /// The cloud kept in `directory`, shared with every process that opens it there, and outliving them all.
    /// They should agree on the settings; each applies its own to the calls it makes.
    ///
    /// # Errors
    /// `Invalid` for settings that make no sense, `Failed` when the folder cannot be made or locked.
    pub fn open(
        directory: &Path,
        settings: Settings,
        catalogue: Catalogue,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        settings.check()?;
        let journal = Journal::open(directory, Arc::new(settings.clone()), catalogue.clone())?;
        Ok(Self::new(
            &settings,
            catalogue,
            clock,
            Backing::Journal(Arc::new(Mutex::new(journal))),
        ))
    }

    fn new(settings: &Settings, catalogue: Catalogue, clock: Arc<dyn Clock>, backing: Backing) -> Self {
        let capabilities = Capabilities {
            simulated: true,
            guest_reports: true,
            stop_keeps_disk: true,
            restart: true,
            spot: true,
            placement_groups: true,
            quotas: true,
            settle: settings.settle(),
        };
        Self {
            capabilities,
            catalogue,
            clock,
            backing,
        }
    }

    /// Runs `work` on the world. Waiting for another process's lock happens on a blocking thread.
    async fn with<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&mut World, i64) -> T + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        match &self.backing {
            Backing::Memory(world) => {
                let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
                let now_us = clock.now_us();
                world.begin(now_us);
                let result = work(&mut world, now_us);
                world.forget_when_large(now_us);
                Ok(result)
            }
            Backing::Journal(journal) => {
                let journal = Arc::clone(journal);
                let call = move || {
                    let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                    journal.with(clock.as_ref(), work)
                };
                let joined = tokio::task::spawn_blocking(call).await;
                joined.map_err(|error| Error::failed("call the simulated cloud", &error))?
            }
        }
    }

    fn order<'a>(&'a self, order: Order, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        async move {
            if tokens.is_empty() {
                return Vec::new();
            }
            let owned = tokens.to_vec();
            let answers = self.with(move |world, now_us| world.order(order, &owned, now_us)).await;
            answers.unwrap_or_else(|error| refuse_all(tokens.len(), &error))
        }
        .boxed()
    }
}

fn refuse_all<T>(count: usize, error: &Error) -> Vec<Result<T, Error>> {
    (0..count).map(|_| Err(error.clone())).collect()
}

impl Machines for Fake {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn quota<'a>(&'a self, region: &'a str) -> BoxFuture<'a, Result<Quota, Error>> {
        let region = region.to_owned();
        async move { self.with(move |world, now_us| world.quota(&region, now_us)).await? }.boxed()
    }

    fn launch<'a>(&'a self, requests: &'a [Launch]) -> BoxFuture<'a, Vec<Result<Machine, Error>>> {
        async move {
            if requests.is_empty() {
                return Vec::new();
            }
            let owned: Vec<Request> = requests.iter().map(Request::from).collect();
            let answers = self.with(move |world, now_us| world.launch(owned, now_us)).await;
            answers.unwrap_or_else(|error| refuse_all(requests.len(), &error))
        }
        .boxed()
    }

    fn describe<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Result<Described, Error>> {
        async move {
            if tokens.is_empty() {
                return Ok(Vec::new());
            }
            let owned = tokens.to_vec();
            self.with(move |world, now_us| world.describe(owned, now_us)).await?
        }
        .boxed()
    }

    fn list(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Page, Error>> {
        async move {
            let after = match cursor {
                None => 0,
                Some(text) => text
                    .parse()
                    .map_err(|_| Error::new(ErrorKind::Invalid, "the cursor is not from this simulated cloud"))?,
            };
            self.with(move |world, now_us| world.list(after, limit, now_us)).await?
        }
        .boxed()
    }

    fn stop<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        self.order(Order::Stop, tokens)
    }

    fn start<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        self.order(Order::Start, tokens)
    }

    fn release<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        self.order(Order::Release, tokens)
    }
}
