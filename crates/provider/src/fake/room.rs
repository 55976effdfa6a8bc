//! How much of the simulated cloud is taken: cores against quota, machines against stock.
//!
//! Counted once per batch from the machines that exist, then kept up through the batch. Knows nothing of time but the
//! world's age.

use std::collections::HashMap;

use super::dice::to_us;
use super::record::Request;
use super::settings::{Settings, Stock};
use crate::catalogue::Size;
use crate::error::ErrorKind;

/// What is taken, by region and by stock entry.
#[derive(Debug)]
pub(super) struct Room {
    regions: HashMap<String, Taken>,
    /// One count per entry of the settings' stock list; absent where the entry no longer holds.
    stock: Vec<Option<u64>>,
}

#[derive(Debug, Default)]
struct Taken {
    regional_cores: u64,
    spot_cores: u64,
    family_cores: HashMap<String, u64>,
}

impl Room {
    /// An empty cloud of this age.
    pub(super) fn new(settings: &Settings, age_us: i64) -> Self {
        let holds = |stock: &Stock| stock.for_ms.is_none_or(|for_ms| age_us < to_us(for_ms));
        Self {
            regions: HashMap::new(),
            stock: settings.stock.iter().map(|stock| holds(stock).then_some(0)).collect(),
        }
    }

    /// Counts a machine that is there.
    pub(super) fn occupy(&mut self, settings: &Settings, size: &Size, asked: &Request) {
        if let Some(entry) = self.stock_entry(settings, size, asked) {
            self.stock[entry] = self.stock[entry].map(|count| count + 1);
        }
        let cores = u64::from(size.quota_vcpus);
        let taken = self.taken(&asked.region);
        if asked.spot {
            taken.spot_cores += cores;
            return;
        }
        taken.regional_cores += cores;
        match taken.family_cores.get_mut(&size.family) {
            Some(count) => *count += cores,
            None => _ = taken.family_cores.insert(size.family.clone(), cores),
        }
    }

    /// Finds room for one more and counts it, or says what there is too little of.
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        size: &Size,
        asked: &Request,
    ) -> Result<(), (ErrorKind, String)> {
        self.within_quota(settings, size, asked)
            .map_err(|message| (ErrorKind::QuotaExceeded, message))?;
        if let Some(entry) = self.stock_entry(settings, size, asked)
            && self.stock[entry].is_some_and(|count| count >= settings.stock[entry].machines)
        {
            let place = asked
                .zone
                .as_deref()
                .map_or_else(|| asked.region.clone(), |zone| format!("zone {zone}"));
            return Err((ErrorKind::OutOfCapacity, format!("no {} left in {place}", size.name)));
        }
        self.occupy(settings, size, asked);
        Ok(())
    }

    fn within_quota(&mut self, settings: &Settings, size: &Size, asked: &Request) -> Result<(), String> {
        let limits = settings.limits(&asked.region);
        let others = &limits.used_by_others;
        let cores = u64::from(size.quota_vcpus);
        let taken = self.taken(&asked.region);
        let fits = |what: &str, limit: u64, ours: u64, theirs: u64| {
            let used = ours.saturating_add(theirs);
            if used.saturating_add(cores) <= limit {
                return Ok(());
            }
            Err(format!(
                "{} needs {cores} cores, {used} of {limit} {what} cores are in use",
                size.name
            ))
        };
        if asked.spot {
            return fits("spot", limits.spot_cores, taken.spot_cores, others.spot_cores);
        }
        fits(
            "regional",
            limits.regional_cores,
            taken.regional_cores,
            others.regional_cores,
        )?;
        let ours = taken.family_cores.get(&size.family).copied().unwrap_or(0);
        let theirs = others.family_cores.get(&size.family).copied().unwrap_or(0);
        fits(&size.family, limits.family(&size.family), ours, theirs)
    }

    fn taken(&mut self, region: &str) -> &mut Taken {
        if !self.regions.contains_key(region) {
            self.regions.insert(region.to_owned(), Taken::default());
        }
        self.regions.get_mut(region).expect("it was just put there")
    }

    /// The first entry that speaks of this size and zone and still holds.
    fn stock_entry(&self, settings: &Settings, size: &Size, asked: &Request) -> Option<usize> {
        settings.stock.iter().enumerate().position(|(index, stock)| {
            self.stock[index].is_some()
                && stock.size.eq_ignore_ascii_case(&size.name)
                && stock.zone.as_ref().is_none_or(|zone| asked.zone.as_ref() == Some(zone))
        })
    }
}
