//! One simulated machine: what was decided about it and, from that, what it looks like at any moment.
//!
//! Nothing ticks. A machine's whole future is rolled when it is launched; looking at it later only compares times.
//! This is what lets several processes, or one after a restart, see the same machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dice::{Dice, to_us};
use super::facts::Recipe;
use super::settings::Settings;
use crate::catalogue::Catalogue;
use crate::machines::{Facts, Guest, Init, Launch, Machine, State, hostname_of, tags_of};

/// A machine of the simulated cloud. All times are microseconds since 1970 UTC, all delays microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) asked: Request,
    pub(super) address: Ipv4Addr,
    /// When the launch takes effect; in the future for a request that arrives late.
    pub(super) launched_us: i64,
    pub(super) fate: Fate,
    pub(super) power: Power,
    /// Commands that take effect later, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) later: Vec<(i64, Order)>,
    /// Facts and the boot they speak of, made when first asked for.
    #[serde(skip)]
    facts: OnceLock<(i64, Facts)>,
}

/// What of a launch the simulated cloud keeps: everything but the secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) token: String,
    pub(super) size: String,
    pub(super) region: String,
    pub(super) zone: Option<String>,
    pub(super) spot: bool,
    pub(super) max_price: Option<f64>,
    pub(super) placement_group: Option<String>,
    pub(super) hostname: Option<String>,
    #[serde(serialize_with = "write_shared", deserialize_with = "read_shared")]
    pub(super) tags: Arc<BTreeMap<String, String>>,
}

fn write_shared<S: Serializer>(tags: &Arc<BTreeMap<String, String>>, serializer: S) -> Result<S::Ok, S::Error> {
    tags.as_ref().serialize(serializer)
}

fn read_shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<BTreeMap<String, String>>, D::Error> {
    BTreeMap::deserialize(deserializer).map(Arc::new)
}

impl From<&Launch> for Request {
    fn from(launch: &Launch) -> Self {
        Self {
            token: launch.token.clone(),
            size: launch.size.clone(),
            region: launch.region.clone(),
            zone: launch.zone.clone(),
            spot: launch.spot,
            max_price: launch.max_price,
            placement_group: launch.placement_group.clone(),
            hostname: launch.boot.hostname.clone(),
            tags: Arc::new(tags_of(launch)),
        }
    }
}

/// What was rolled for a machine at its launch; delays count from the launch or from the step before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fate {
    launch_us: i64,
    boot_us: i64,
    init_us: i64,
    stop_us: i64,
    release_us: i64,
    never_runs: bool,
    init_fails: bool,
    evicted_after_us: Option<i64>,
    vanishes_after_us: Option<i64>,
}

/// The last command that took effect, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Power {
    /// Launched.
    New(i64),
    /// Started again.
    On(i64),
    /// Stopped.
    Off(i64),
    /// Released.
    Released(i64),
}

/// What a caller can ask of a machine that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    Stop,
    Start,
    Release,
}

/// A machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: State,
    /// Since when, where it matters (gone).
    pub(super) since_us: i64,
    /// When the next thing happens by itself.
    pub(super) next_us: Option<i64>,
    pub(super) reason: Option<&'static str>,
    /// When the guest came up and when its initialisation ends; only while it is up.
    guest_us: Option<(i64, i64)>,
}

impl Fate {
    pub(super) fn roll(settings: &Settings, token: &str, spot: bool) -> Self {
        let dice = Dice {
            seed: settings.seed,
            subject: token,
            turn: 0,
        };
        let slow = if dice.hits("slow", settings.slow_share) {
            settings.slow_factor
        } else {
            1.0
        };
        let slowly = |delay_us: i64| (delay_us as f64 * slow) as i64;
        Self {
            launch_us: slowly(dice.span_us("launch", settings.launch_delay_ms)),
            boot_us: slowly(dice.span_us("boot", settings.boot_delay_ms)),
            init_us: dice.span_us("init", settings.init_delay_ms),
            stop_us: dice.span_us("stop", settings.stop_delay_ms),
            release_us: dice.span_us("release", settings.release_delay_ms),
            never_runs: dice.hits("never runs", settings.launch_failures),
            init_fails: dice.hits("init fails", settings.init_failures),
            evicted_after_us: dice.first_us("evicted", settings.evictions_per_hour).filter(|_| spot),
            vanishes_after_us: dice.first_us("vanishes", settings.vanishings_per_hour),
        }
    }
}

impl View {
    fn still(state: State, since_us: i64) -> Self {
        Self {
            state,
            since_us,
            next_us: None,
            reason: None,
            guest_us: None,
        }
    }

    /// How a launch shows a machine that is not to be seen any more.
    pub(super) fn vanished() -> Self {
        Self::still(State::Gone, i64::MIN).because("vanished without a trace")
    }

    fn until(state: State, since_us: i64, next_us: i64) -> Self {
        Self {
            next_us: Some(next_us),
            ..Self::still(state, since_us)
        }
    }

    fn because(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }
}

impl Record {
    pub(super) fn new(number: u64, asked: Request, address: Ipv4Addr, launched_us: i64, fate: Fate) -> Self {
        let power = Power::New(launched_us);
        Self {
            number,
            asked,
            address,
            launched_us,
            fate,
            power,
            later: Vec::new(),
            facts: OnceLock::new(),
        }
    }

    /// Takes an order that takes effect at `at_us`. Orders whose time has come by `now_us` become the machine's power
    /// state, so that the list of later ones stays short.
    pub(super) fn order(&mut self, order: Order, at_us: i64, now_us: i64) {
        let place = self.later.partition_point(|(time, _)| *time <= at_us);
        self.later.insert(place, (at_us, order));
        let due = self.later.partition_point(|(time, _)| *time <= now_us);
        for (time, order) in self.later.drain(..due).collect::<Vec<_>>() {
            self.power = self.after(self.power, order, time);
        }
    }

    /// Makes a launch that is still on its way arrive now.
    pub(super) fn arrive(&mut self, now_us: i64) {
        if self.launched_us > now_us {
            self.launched_us = now_us;
            self.power = Power::New(now_us);
        }
    }

    fn after(&self, power: Power, order: Order, at_us: i64) -> Power {
        // A machine that ended by itself before the order came can only be released.
        let ended = self
            .seen(power, at_us)
            .is_none_or(|view| matches!(view.state, State::Gone | State::Evicted));
        match (power, order) {
            (Power::Released(_), _) => power,
            (_, Order::Release) if ended => Power::Released(at_us.saturating_sub(self.fate.release_us)),
            (_, Order::Release) => Power::Released(at_us),
            (Power::New(_) | Power::On(_), Order::Stop) if !ended => Power::Off(at_us),
            (Power::Off(_), Order::Start) if !ended => Power::On(at_us),
            _ => power,
        }
    }

    /// What is to be seen at `now_us`; `None` before it exists and after it vanished.
    pub(super) fn view(&self, now_us: i64) -> Option<View> {
        let due = self.later.iter().take_while(|(time, _)| *time <= now_us);
        let power = due.fold(self.power, |power, (time, order)| self.after(power, *order, *time));
        let mut view = self.seen(power, now_us)?;
        if let Some((time, _)) = self.later.iter().find(|(time, _)| *time > now_us) {
            view.next_us = Some(view.next_us.map_or(*time, |next| next.min(*time)));
        }
        Some(view)
    }

    fn seen(&self, power: Power, now_us: i64) -> Option<View> {
        if now_us < self.launched_us {
            return None;
        }
        if let Power::Released(at_us) = power {
            let gone_us = at_us.saturating_add(self.fate.release_us);
            let view = if now_us < gone_us {
                View::until(State::Releasing, at_us, gone_us)
            } else {
                View::still(State::Gone, gone_us)
            };
            return Some(view);
        }
        let passed = |delay_us: Option<i64>| {
            delay_us
                .map(|delay_us| self.launched_us.saturating_add(delay_us))
                .filter(|at_us| *at_us <= now_us)
        };
        if passed(self.fate.vanishes_after_us).is_some() {
            return None;
        }
        if let Some(at_us) = passed(self.fate.evicted_after_us) {
            return Some(View::still(State::Evicted, at_us).because("evicted: the simulated cloud took it back"));
        }
        Some(self.powered(power, now_us))
    }

    fn powered(&self, power: Power, now_us: i64) -> View {
        match power {
            Power::Off(at_us) if now_us < at_us + self.fate.stop_us => {
                View::until(State::Stopping, at_us, at_us + self.fate.stop_us)
            }
            Power::Off(at_us) | Power::Released(at_us) => View::still(State::Stopped, at_us + self.fate.stop_us),
            Power::New(at_us) | Power::On(at_us) => self.switched_on(power, at_us, now_us),
        }
    }

    fn switched_on(&self, power: Power, at_us: i64, now_us: i64) -> View {
        let running_us = at_us + self.fate.launch_us;
        let booted_us = running_us + self.fate.boot_us;
        // Initialisation runs once in a machine's life; its disk is kept while it is stopped.
        let done_us = if matches!(power, Power::New(_)) {
            booted_us + self.fate.init_us
        } else {
            booted_us
        };
        if now_us < running_us {
            return View::until(State::Pending, at_us, running_us);
        }
        if self.fate.never_runs {
            return View::still(State::Gone, running_us).because("launch failed: simulated host fault");
        }
        let next_us = [booted_us, done_us].into_iter().find(|time| *time > now_us);
        let guest_us = (now_us >= booted_us).then_some((booted_us, done_us));
        View {
            next_us,
            guest_us,
            ..View::still(State::Running, running_us)
        }
    }

    /// The machine as its owner sees it.
    pub(super) fn machine(&self, view: &View, catalogue: &Catalogue, now_us: i64) -> Machine {
        let hostname = self.asked.hostname.clone().unwrap_or_else(|| hostname_of(self.address));
        let guest = view.guest_us.map(|(booted_us, done_us)| Guest {
            facts: self.facts(&hostname, catalogue, booted_us),
            hostname: hostname.clone(),
            init: self.init(done_us, now_us),
        });
        Machine {
            token: self.asked.token.clone(),
            id: format!("fake-{:08x}", self.number),
            size: self.asked.size.clone(),
            state: view.state,
            reason: view.reason.map(str::to_owned),
            address: (view.state != State::Gone).then_some(self.address),
            hostname: Some(hostname),
            launched_at_us: self.launched_us,
            check_after: view.next_us.map(|next_us| micros(next_us.saturating_sub(now_us))),
            guest,
            request_id: format!("fake-request-{:08x}", self.number),
            tags: Arc::clone(&self.asked.tags),
        }
    }

    fn facts(&self, hostname: &str, catalogue: &Catalogue, booted_us: i64) -> Facts {
        let make = || {
            let recipe = Recipe {
                number: self.number,
                token: self.asked.token.clone(),
                address: self.address,
                hostname: hostname.to_owned(),
                size: self.asked.size.clone(),
                booted_us,
            };
            let catalogue = catalogue.clone();
            Facts::lazy(move || recipe.make(&catalogue))
        };
        let (made_for_us, facts) = self.facts.get_or_init(|| (booted_us, make()));
        // The cached facts speak of an earlier boot after a stop and start; those are rare enough to make anew.
        if *made_for_us == booted_us {
            facts.clone()
        } else {
            make()
        }
    }

    fn init(&self, done_us: i64, now_us: i64) -> Init {
        if now_us < done_us {
            Init::Pending
        } else if self.fate.init_fails {
            Init::Failed("simulated script ended with status 1".into())
        } else {
            Init::Done
        }
    }

    /// Whether nothing will ever be seen of it again, so that it may be forgotten.
    pub(super) fn forgettable(&self, now_us: i64, remember_gone_ms: u64) -> bool {
        let past = |since_us: i64| since_us.saturating_add(to_us(remember_gone_ms)) < now_us;
        match self.view(now_us) {
            Some(view) => view.state == State::Gone && past(view.since_us) && self.later.is_empty(),
            None => now_us >= self.launched_us && past(self.vanished_us()),
        }
    }

    fn vanished_us(&self) -> i64 {
        self.launched_us
            .saturating_add(self.fate.vanishes_after_us.unwrap_or_default())
    }

    /// Whether somebody asked for its end.
    pub(super) fn released(&self) -> bool {
        matches!(self.power, Power::Released(_))
    }
}

fn micros(delay_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(delay_us).unwrap_or_default())
}
