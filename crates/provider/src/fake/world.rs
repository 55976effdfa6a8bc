//! The simulated cloud as a pure state machine: calls and the time go in, answers and events come out.
//!
//! No clock, no files, no locks and no randomness but the seed's: the same calls at the same times give the same
//! answers. Where the state lives and who shares it is the business of the shell around it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dice::Dice;
use super::event::{Event, Line};
use super::record::{Fate, Order, Record, Request, View};
use super::room::Room;
use super::settings::Settings;
use crate::catalogue::Catalogue;
use crate::error::{Error, ErrorKind};
use crate::machines::{Described, Machine, Page, Quota, State, check_token};

/// A world of fewer machines than this forgets none.
const FORGET_FROM: usize = 50_000;

/// A simulated cloud.
#[derive(Debug)]
pub(super) struct World {
    settings: Arc<Settings>,
    catalogue: Catalogue,
    durable: Durable,
    by_token: HashMap<String, u64>,
    addresses: HashSet<Ipv4Addr>,
    /// Calls so far and the call allowance. Kept per process: writing them down would turn every look into a write.
    calls: u64,
    allowance: f64,
    allowance_us: i64,
    /// Machines to hold before [`World::forget_when_large`] looks for gone ones.
    forget_from: usize,
    /// Events of the present call as comma-separated JSON; absent when nobody keeps them.
    outbox: Option<Vec<u8>>,
}

/// The part of a world that a journal keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Durable {
    pub(super) created_us: Option<i64>,
    next: u64,
    machines: BTreeMap<u64, Record>,
}

/// What becomes of one request on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Answered,
    AnswerLost,
    Late(i64),
}

impl World {
    /// An empty world. With `keep_events`, [`World::take_events`] gives what is to be written down.
    pub(super) fn new(settings: Arc<Settings>, catalogue: Catalogue, keep_events: bool) -> Self {
        Self {
            allowance: settings.calls_burst,
            settings,
            catalogue,
            durable: Durable::default(),
            by_token: HashMap::new(),
            addresses: HashSet::new(),
            calls: 0,
            allowance_us: i64::MIN,
            forget_from: FORGET_FROM,
            outbox: keep_events.then(Vec::new),
        }
    }

    /// Begins the world at `now_us` unless it has begun.
    pub(super) fn begin(&mut self, now_us: i64) {
        if self.durable.created_us.is_none() {
            self.commit(Event::Created { at_us: now_us });
        }
    }

    /// Forgets what is long gone, each time the world has doubled in size.
    pub(super) fn forget_when_large(&mut self, now_us: i64) {
        if self.durable.machines.len() >= self.forget_from {
            self.forget(now_us);
            self.forget_from = FORGET_FROM.max(2 * self.durable.machines.len());
        }
    }

    /// Limits in `region`. Others' use is what the settings say; our own machines are not in it.
    pub(super) fn quota(&mut self, region: &str, now_us: i64) -> Result<Quota, Error> {
        self.admit(now_us)?;
        self.answered("quota", now_us)?;
        let limits = self.settings.limits(region);
        let families = self.catalogue.sizes().iter().map(|size| &size.family);
        Ok(Quota {
            regional_cores: limits.regional_cores,
            spot_cores: limits.spot_cores,
            family_cores: families.map(|family| (family.clone(), limits.family(family))).collect(),
            used_by_others: limits.used_by_others.clone(),
        })
    }

    /// Launches a batch; see the trait for the contract.
    pub(super) fn launch(&mut self, requests: Vec<Request>, now_us: i64) -> Vec<Result<Machine, Error>> {
        if let Err(error) = self.admit(now_us) {
            return requests.iter().map(|_| Err(error.clone())).collect();
        }
        let mut room = None;
        requests
            .into_iter()
            .map(|request| self.launch_one(request, &mut room, now_us))
            .collect()
    }

    fn launch_one(&mut self, mut asked: Request, room: &mut Option<Room>, now_us: i64) -> Result<Machine, Error> {
        check_token(&asked.token)?;
        let delivery = self.delivery("launch", &asked.token, now_us);
        if let Some(number) = self.by_token.get(&asked.token).copied() {
            return self.launch_again(number, delivery, now_us);
        }
        let Some(size) = self.catalogue.get(&asked.size).cloned() else {
            return Err(self.error(ErrorKind::Invalid, format!("there is no machine size {}", asked.size)));
        };
        if asked.spot && asked.max_price.is_some_and(|most| most < size.spot_price_hour_usd) {
            let message = format!("the spot price of {} is above the most to be paid", size.name);
            return Err(self.error(ErrorKind::OutOfCapacity, message));
        }
        asked.size.clone_from(&size.name);
        let room = room.get_or_insert_with(|| self.room(now_us));
        room.take(&self.settings, &size, &asked)
            .map_err(|(kind, message)| self.error(kind, message))?;
        let number = self.durable.next + 1;
        let launched_us = now_us.saturating_add(delivery.late_us());
        let fate = Fate::roll(&self.settings, &asked.token, asked.spot);
        let record = Record::new(number, asked, self.free_address(number), launched_us, fate);
        self.commit(Event::Launched(Box::new(record)));
        self.answer(delivery)?;
        Ok(self.shown(number, now_us))
    }

    /// The token is known: whatever became of its machine, there will be no other.
    fn launch_again(&mut self, number: u64, delivery: Delivery, now_us: i64) -> Result<Machine, Error> {
        if self.durable.machines[&number].launched_us > now_us && !matches!(delivery, Delivery::Late(_)) {
            self.commit(Event::Arrived { number, at_us: now_us });
        }
        self.answer(delivery)?;
        Ok(self.shown(number, now_us))
    }

    /// What is known of each token.
    pub(super) fn describe(&mut self, tokens: Vec<String>, now_us: i64) -> Result<Described, Error> {
        self.admit(now_us)?;
        self.answered("describe", now_us)?;
        let lag_us = super::dice::to_us(self.settings.describe_lag_ms);
        let seen = tokens.into_iter().map(|token| {
            let record = self.by_token.get(&token).map(|number| &self.durable.machines[number]);
            let record = record.filter(|record| record.launched_us.saturating_add(lag_us) <= now_us);
            let machine = record.and_then(|record| Some(self.machine(record, &record.view(now_us)?, now_us)));
            (token, machine)
        });
        Ok(seen.collect())
    }

    /// The machines after number `after`, at most `limit`.
    pub(super) fn list(&mut self, after: u64, limit: usize, now_us: i64) -> Result<Page, Error> {
        self.admit(now_us)?;
        self.answered("list", now_us)?;
        let mut page = Page::default();
        let mut last = after;
        for (number, record) in self.durable.machines.range((Bound::Excluded(after), Bound::Unbounded)) {
            let Some(view) = record.view(now_us).filter(|view| self.listed(record, view, now_us)) else {
                continue;
            };
            if page.machines.len() == limit.max(1) {
                page.next = Some(last.to_string());
                break;
            }
            page.machines.push(self.machine(record, &view, now_us));
            last = *number;
        }
        Ok(page)
    }

    fn listed(&self, record: &Record, view: &View, now_us: i64) -> bool {
        let lag_us = super::dice::to_us(self.settings.list_lag_ms);
        let there = view.state != State::Gone || view.since_us.saturating_add(lag_us) > now_us;
        there && record.launched_us.saturating_add(lag_us) <= now_us
    }

    /// Gives an order to a batch of machines.
    pub(super) fn order(&mut self, order: Order, tokens: &[String], now_us: i64) -> Vec<Result<State, Error>> {
        if let Err(error) = self.admit(now_us) {
            return tokens.iter().map(|_| Err(error.clone())).collect();
        }
        let mut room = None;
        tokens
            .iter()
            .map(|token| self.order_one(order, token, &mut room, now_us))
            .collect()
    }

    fn order_one(&mut self, order: Order, token: &str, room: &mut Option<Room>, now_us: i64) -> Result<State, Error> {
        let delivery = self.delivery("order", token, now_us);
        let number = self.by_token.get(token).copied();
        let view = number.and_then(|number| self.durable.machines[&number].view(now_us));
        let state = view.map_or(State::Gone, |view| view.state);
        let wanted = match (order, state) {
            (Order::Stop | Order::Start, State::Releasing | State::Gone | State::Evicted) => {
                return Err(self.error(ErrorKind::NotFound, format!("there is no machine for token {token}")));
            }
            (Order::Stop, State::Pending | State::Running)
            | (Order::Start, State::Stopping | State::Stopped)
            | (Order::Release, State::Pending | State::Running | State::Stopping | State::Stopped | State::Evicted) => {
                true
            }
            // One that ended by itself is noted as released, so that it can be forgotten. A launch that is still on
            // its way is not held up by a release that was here first: it will arrive, as in real clouds.
            (Order::Release, State::Gone) => view.is_some() && !number.is_some_and(|number| self.released(number)),
            (Order::Stop, State::Stopping | State::Stopped)
            | (Order::Start, State::Pending | State::Running)
            | (Order::Release, State::Releasing) => false,
        };
        if let (true, Some(number)) = (wanted, number) {
            if order == Order::Start {
                self.take_room_again(number, room, now_us)?;
            }
            self.deliver(order, number, delivery, now_us);
        }
        self.answer(delivery)?;
        let after = number.and_then(|number| self.durable.machines[&number].view(now_us));
        Ok(after.map_or(State::Gone, |view| view.state))
    }

    fn deliver(&mut self, order: Order, number: u64, delivery: Delivery, now_us: i64) {
        let at_us = now_us.saturating_add(delivery.late_us());
        self.commit(Event::Ordered {
            number,
            order,
            at_us,
            now_us,
        });
        let token = self.durable.machines[&number].asked.token.clone();
        let dice = self.dice(&token, now_us);
        if order != Order::Release && dice.hits("duplicate", self.settings.duplicates) {
            let again_us = at_us.saturating_add(dice.span_us("duplicate after", self.settings.duplicate_after_ms));
            self.commit(Event::Ordered {
                number,
                order,
                at_us: again_us,
                now_us,
            });
        }
    }

    fn take_room_again(&mut self, number: u64, room: &mut Option<Room>, now_us: i64) -> Result<(), Error> {
        let asked = self.durable.machines[&number].asked.clone();
        let Some(size) = self.catalogue.get(&asked.size).cloned() else {
            return Ok(());
        };
        let room = room.get_or_insert_with(|| self.room(now_us));
        room.take(&self.settings, &size, &asked)
            .map_err(|(kind, message)| self.error(kind, message))
    }

    fn room(&self, now_us: i64) -> Room {
        let age_us = now_us.saturating_sub(self.durable.created_us.unwrap_or(now_us));
        let mut room = Room::new(&self.settings, age_us);
        for record in self.durable.machines.values() {
            // A launch on its way has its place already, or it could arrive to find none.
            let holds = record.launched_us > now_us || record.view(now_us).is_some_and(|view| view.state.holds_quota());
            if let (true, Some(size)) = (holds, self.catalogue.get(&record.asked.size)) {
                room.occupy(&self.settings, size, &record.asked);
            }
        }
        room
    }

    fn released(&self, number: u64) -> bool {
        self.durable.machines[&number].released()
    }

    fn machine(&self, record: &Record, view: &View, now_us: i64) -> Machine {
        record.machine(view, &self.catalogue, now_us)
    }

    /// A machine as `launch` answers it, also when it has vanished.
    fn shown(&self, number: u64, now_us: i64) -> Machine {
        let record = &self.durable.machines[&number];
        let view = record.view(now_us).unwrap_or_else(View::vanished);
        self.machine(record, &view, now_us)
    }

    /// Addresses are given in order through 10.0.0.0/8, without the first and last of each 256.
    fn free_address(&self, number: u64) -> Ipv4Addr {
        let at = |number: u64| {
            let (block, host) = (number / 254 % 65_536, number % 254 + 1);
            Ipv4Addr::new(10, (block >> 8) as u8, (block & 0xff) as u8, host as u8)
        };
        // Sixteen million machines at once do not fit in memory, so a free one is always found.
        (number..)
            .map(at)
            .find(|address| !self.addresses.contains(address))
            .expect("10.0.0.0/8 is never full")
    }

    // Calls and their delivery.

    /// Counts the call and turns it away when there are too many.
    fn admit(&mut self, now_us: i64) -> Result<(), Error> {
        self.calls += 1;
        let mut retry_after = None;
        if let Some(rate) = self.settings.calls_per_second {
            let passed_us = now_us.saturating_sub(self.allowance_us).max(0) as f64;
            self.allowance = (self.allowance + passed_us / 1e6 * rate).min(self.settings.calls_burst);
            self.allowance_us = now_us;
            if self.allowance < 1.0 {
                retry_after = Some(Duration::from_secs_f64((1.0 - self.allowance) / rate));
            } else {
                self.allowance -= 1.0;
            }
        }
        if self.dice("call", now_us).hits("throttled", self.settings.throttled) {
            retry_after = retry_after.or(Some(Duration::from_millis(200)));
        }
        retry_after.map_or(Ok(()), |retry_after| {
            Err(self.error(
                ErrorKind::Throttled { retry_after },
                "too many calls to the simulated cloud".into(),
            ))
        })
    }

    fn dice<'a>(&self, subject: &'a str, now_us: i64) -> Dice<'a> {
        // The time is in it so that a process that starts again does not repeat the luck of the last one.
        let turn = self.calls.wrapping_add((now_us as u64).rotate_left(24));
        Dice {
            seed: self.settings.seed,
            subject,
            turn,
        }
    }

    fn delivery(&self, purpose: &str, token: &str, now_us: i64) -> Delivery {
        if self.settings.late_replies <= 0.0 && self.settings.lost_replies <= 0.0 {
            return Delivery::Answered;
        }
        let dice = self.dice(token, now_us);
        let roll = dice.unit(purpose);
        if roll < self.settings.late_replies {
            Delivery::Late(dice.span_us("late by", self.settings.late_by_ms))
        } else if roll < self.settings.late_replies + self.settings.lost_replies {
            Delivery::AnswerLost
        } else {
            Delivery::Answered
        }
    }

    fn answer(&self, delivery: Delivery) -> Result<(), Error> {
        match delivery {
            Delivery::Answered => Ok(()),
            Delivery::AnswerLost | Delivery::Late(_) => {
                Err(Error::new(ErrorKind::Unanswered, "the simulated cloud did not answer"))
            }
        }
    }

    /// For calls without an effect: late and lost are the same.
    fn answered(&self, call: &str, now_us: i64) -> Result<(), Error> {
        self.answer(self.delivery("look", call, now_us))
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_request_id(format!("fake-call-{:x}", self.calls))
    }

    // Events.

    fn commit(&mut self, event: Event) {
        if let Some(outbox) = &mut self.outbox {
            if !outbox.is_empty() {
                outbox.push(b',');
            }
            serde_json::to_writer(&mut *outbox, &event).expect("events are plain data and a buffer takes all of it");
        }
        self.apply(event);
    }

    /// Takes an event in, from this call or from a journal. Events about unknown machines change nothing.
    fn apply(&mut self, event: Event) {
        match event {
            Event::Created { at_us } => self.durable.created_us = Some(at_us),
            Event::Launched(record) => self.insert(*record),
            Event::Arrived { number, at_us } => {
                if let Some(record) = self.durable.machines.get_mut(&number) {
                    record.arrive(at_us);
                }
            }
            Event::Ordered {
                number,
                order,
                at_us,
                now_us,
            } => {
                if let Some(record) = self.durable.machines.get_mut(&number) {
                    record.order(order, at_us, now_us);
                }
            }
        }
    }

    fn insert(&mut self, record: Record) {
        self.durable.next = self.durable.next.max(record.number);
        self.by_token.insert(record.asked.token.clone(), record.number);
        self.addresses.insert(record.address);
        self.durable.machines.insert(record.number, record);
    }

    /// Takes in one line of a journal.
    pub(super) fn replay(&mut self, line: &[u8]) -> Result<(), serde_json::Error> {
        match serde_json::from_slice(line)? {
            Line::Events(events) => events.into_iter().for_each(|event| self.apply(event)),
            Line::Snapshot(durable) => {
                let Durable {
                    created_us,
                    next,
                    machines,
                } = durable.into_owned();
                self.durable = Durable {
                    created_us,
                    next,
                    machines: BTreeMap::new(),
                };
                self.by_token.clear();
                self.addresses.clear();
                machines.into_values().for_each(|record| self.insert(record));
            }
        }
        Ok(())
    }

    /// The events since the last call of this function as one line of a journal; empty when there were none.
    pub(super) fn take_events(&mut self) -> Vec<u8> {
        let events = self.outbox.as_mut().map(std::mem::take).unwrap_or_default();
        if events.is_empty() {
            events
        } else {
            [b"{\"events\":[".as_slice(), &events, b"]}\n"].concat()
        }
    }

    /// The whole world as the first line of a journal.
    pub(super) fn snapshot(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(&Line::Snapshot(Cow::Borrowed(&self.durable)))?;
        line.push(b'\n');
        Ok(line)
    }

    /// Forgets machines that have been gone for long, with their tokens.
    pub(super) fn forget(&mut self, now_us: i64) {
        let remember_ms = self.settings.remember_gone_ms;
        let (by_token, addresses) = (&mut self.by_token, &mut self.addresses);
        self.durable.machines.retain(|_, record| {
            let keep = !record.forgettable(now_us, remember_ms);
            if !keep {
                by_token.remove(&record.asked.token);
                addresses.remove(&record.address);
            }
            keep
        });
    }
}

impl Delivery {
    fn late_us(self) -> i64 {
        match self {
            Self::Late(by_us) => by_us,
            Self::Answered | Self::AnswerLost => 0,
        }
    }
}
