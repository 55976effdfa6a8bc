//! How the simulated cloud behaves. Everything is a wish about what a user of it would see; the default is a friendly
//! cloud where a machine is up and initialised two to four seconds after its launch and nothing goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::machines::Cores;

/// Settings of a simulated cloud, as they stand in the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// All chance comes from here: same seed, same calls at the same times, same answers.
    pub seed: u64,
    /// From launch (or start) to running.
    pub launch_delay_ms: Span,
    /// From running to the guest's first sign of life.
    pub boot_delay_ms: Span,
    /// From the guest's first sign of life to the end of initialisation.
    pub init_delay_ms: Span,
    /// From stop to stopped.
    pub stop_delay_ms: Span,
    /// From release to gone.
    pub release_delay_ms: Span,
    /// Share of machines whose launch and boot take `slow_factor` times as long, 0 to 1.
    pub slow_share: f64,
    /// How much longer those take.
    pub slow_factor: f64,
    /// Share of machines that are taken on but never run, 0 to 1.
    pub launch_failures: f64,
    /// Share of machines whose initialisation fails, 0 to 1.
    pub init_failures: f64,
    /// What there is too little of. The first entry that fits a size and zone counts.
    pub stock: Vec<Stock>,
    /// Calls a process may make per second; absent for any number. Counted in each process on its own, a batch as one.
    pub calls_per_second: Option<f64>,
    /// Calls it may make at once before that rate applies.
    pub calls_burst: f64,
    /// Share of calls that are throttled for no reason the caller can see, 0 to 1.
    pub throttled: f64,
    /// Share of requests that take effect but whose answer is lost, 0 to 1.
    pub lost_replies: f64,
    /// Share of requests that time out and take effect `late_by_ms` later, 0 to 1.
    pub late_replies: f64,
    /// How much later.
    pub late_by_ms: Span,
    /// Share of stops and starts that are delivered a second time, `duplicate_after_ms` after the first, 0 to 1.
    /// Launches and releases may be delivered twice as well; being idempotent, they show no trace of it.
    pub duplicates: f64,
    /// When the second delivery comes.
    pub duplicate_after_ms: Span,
    /// How long `list` lacks a new machine and still shows a gone one.
    pub list_lag_ms: u64,
    /// How long `describe` lacks a new machine.
    pub describe_lag_ms: u64,
    /// Evictions of each spot machine per hour of its life, on average.
    pub evictions_per_hour: f64,
    /// How often each machine vanishes without a trace per hour of its life, on average.
    pub vanishings_per_hour: f64,
    /// How long a machine that is gone is still described, and its token remembered.
    pub remember_gone_ms: u64,
    /// Limits in every region that `regions` does not name.
    pub quota: Limits,
    /// Limits by region.
    pub regions: BTreeMap<String, Limits>,
}

/// A time between two bounds, milliseconds, `[shortest, longest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span(pub u64, pub u64);

/// A limit on how many machines of a size there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Size by its catalogue name, in any case.
    pub size: String,
    /// Zone it speaks of; absent for all zones together.
    #[serde(default)]
    pub zone: Option<String>,
    /// Machines that can exist at once; 0 for a stock-out.
    pub machines: u64,
    /// How long after the world's beginning the limit holds; absent for ever.
    #[serde(default)]
    pub for_ms: Option<u64>,
}

/// Limits of the account in a region, quota vCPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Regular machines together.
    pub regional_cores: u64,
    /// Spot machines together.
    pub spot_cores: u64,
    /// Regular machines of each family that `families` does not name.
    pub family_cores: u64,
    /// Regular machines by family.
    pub families: BTreeMap<String, u64>,
    /// What others use.
    pub used_by_others: Cores,
}

impl Default for Limits {
    fn default() -> Self {
        // "No limit" for clients that keep such figures in 32 bits.
        const PLENTY: u64 = 10_000_000;
        Self {
            regional_cores: PLENTY,
            spot_cores: PLENTY,
            family_cores: PLENTY,
            families: BTreeMap::new(),
            used_by_others: Cores::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            launch_delay_ms: Span(1000, 2000),
            boot_delay_ms: Span(700, 1400),
            init_delay_ms: Span(300, 600),
            stop_delay_ms: Span(500, 1500),
            release_delay_ms: Span(500, 1500),
            slow_share: 0.0,
            slow_factor: 5.0,
            launch_failures: 0.0,
            init_failures: 0.0,
            stock: Vec::new(),
            calls_per_second: None,
            calls_burst: 100.0,
            throttled: 0.0,
            lost_replies: 0.0,
            late_replies: 0.0,
            late_by_ms: Span(1000, 5000),
            duplicates: 0.0,
            duplicate_after_ms: Span(500, 5000),
            list_lag_ms: 0,
            describe_lag_ms: 0,
            evictions_per_hour: 0.0,
            vanishings_per_hour: 0.0,
            remember_gone_ms: 24 * 3_600_000,
            quota: Limits::default(),
            regions: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Checks that shares are shares, spans run forward and rates are positive.
    ///
    /// # Errors
    /// `Invalid`, naming the setting.
    pub fn check(&self) -> Result<(), Error> {
        let shares = [
            ("slow_share", self.slow_share),
            ("launch_failures", self.launch_failures),
            ("init_failures", self.init_failures),
            ("throttled", self.throttled),
            ("lost_replies", self.lost_replies),
            ("late_replies", self.late_replies),
            ("duplicates", self.duplicates),
        ];
        let spans = [
            ("launch_delay_ms", self.launch_delay_ms),
            ("boot_delay_ms", self.boot_delay_ms),
            ("init_delay_ms", self.init_delay_ms),
            ("stop_delay_ms", self.stop_delay_ms),
            ("release_delay_ms", self.release_delay_ms),
            ("late_by_ms", self.late_by_ms),
            ("duplicate_after_ms", self.duplicate_after_ms),
        ];
        let rates = [
            ("evictions_per_hour", self.evictions_per_hour),
            ("vanishings_per_hour", self.vanishings_per_hour),
            ("slow_factor", self.slow_factor),
        ];
        let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
        if let Some((name, _)) = shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return invalid(format!("{name} is a share from 0 to 1"));
        }
        if let Some((name, _)) = spans.iter().find(|(_, span)| span.0 > span.1) {
            return invalid(format!("{name} is [shortest, longest]"));
        }
        if let Some((name, _)) = rates.iter().find(|(_, rate)| !rate.is_finite() || *rate < 0.0) {
            return invalid(format!("{name} is a number from 0"));
        }
        if self
            .calls_per_second
            .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
        {
            return invalid("calls_per_second is a number above 0".into());
        }
        if !self.calls_burst.is_finite() || self.calls_burst < 1.0 {
            return invalid("calls_burst is a number from 1".into());
        }
        Ok(())
    }

    /// Longest time that an effect or a sighting lags behind its call.
    pub(super) fn settle(&self) -> Duration {
        let late = if self.late_replies > 0.0 { self.late_by_ms.1 } else { 0 };
        Duration::from_millis(late.saturating_add(self.list_lag_ms.max(self.describe_lag_ms)))
    }

    pub(super) fn limits(&self, region: &str) -> &Limits {
        self.regions.get(region).unwrap_or(&self.quota)
    }
}

impl Limits {
    pub(super) fn family(&self, family: &str) -> u64 {
        self.families.get(family).copied().unwrap_or(self.family_cores)
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, Span, Stock};

    #[test]
    fn settings_are_read_from_a_configuration_file() {
        let text = r#"
            seed = 7
            launch_delay_ms = [10, 20]
            lost_replies = 0.1
            stock = [{ size = "Standard_HC44rs", machines = 3 }]
            [quota]
            regional_cores = 700
            families = { standardFSv2Family = 300 }
            used_by_others = { regional_cores = 64 }
            [regions.westeurope]
            spot_cores = 100
        "#;
        let settings: Settings = toml::from_str(text).expect("understood");
        settings.check().expect("makes sense");
        assert_eq!(settings.launch_delay_ms, Span(10, 20));
        let hc = Stock {
            size: "Standard_HC44rs".into(),
            zone: None,
            machines: 3,
            for_ms: None,
        };
        assert_eq!(settings.stock, [hc]);
        assert_eq!(settings.limits("eastus").family("standardFSv2Family"), 300);
        assert_eq!(settings.limits("eastus").used_by_others.regional_cores, 64);
        assert_eq!(settings.limits("westeurope").spot_cores, 100);
        assert!(toml::from_str::<Settings>("sede = 7").is_err());
    }
}
