//! Between the words of the wire and those of `control`.

use reeve_control::agent;
use reeve_model::{Error, Timestamp, node::Init as Phase};
use reeve_wire::agent::{Beat, Facts, Goals, InitState, Precheck, Sample, Script, ScriptResult, Wish};
use serde::Serialize;

use crate::App;

/// A measurement is never older than this when it arrives: an agent takes it for the beat that carries it.
const AGE_MAX_US: i64 = 3_600_000_000;
/// Longest piece of a script's output that stands in a message, characters.
const LINE_MAX: usize = 300;

/// Facts, samples and results are kept as the agent wrote them, but for moments, which are told by our clock.
pub(super) fn text<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Every address of a machine, without prefix length.
pub(super) fn addresses(facts: &Facts) -> Vec<String> {
    let plain = |address: &String| address.split('/').next().unwrap_or(address).to_owned();
    facts.nics.iter().flat_map(|nic| &nic.addresses).map(plain).collect()
}

/// The first hard precheck that failed, in words.
pub(super) fn failed_precheck(prechecks: &[Precheck]) -> Option<String> {
    let failed = prechecks.iter().find(|check| check.hard && !check.passed)?;
    Some(format!(
        "precheck {} failed: {}: {}",
        failed.id, failed.name, failed.detail
    ))
}

/// Dates a measurement by our clock. How long ago it was is all that the agent's clock is asked for, so that one that
/// is years off dates nothing wrong.
fn sample_by_our_clock(sample: &mut Sample, agent_us: i64, now: Timestamp) {
    let age = agent_us.saturating_sub(sample.at_us).clamp(0, AGE_MAX_US);
    sample.at_us = now.0.saturating_sub(age);
}

/// Dates a boot by our clock, when the agent's is off by more than the time that a call takes.
pub(super) fn boot_by_our_clock(facts: &mut Facts, agent_us: i64, now: Timestamp) {
    let skew = agent::skew_us(now, agent_us);
    if skew.unsigned_abs() > u64::try_from(agent::SKEW_MAX.as_micros()).unwrap_or(u64::MAX)
        && let Some(booted_us) = &mut facts.booted_us
    {
        *booted_us = booted_us.saturating_sub(skew);
    }
}

pub(super) fn beat(mut said: Beat, now: Timestamp) -> Result<agent::Beat, Error> {
    if let Some(sample) = &mut said.sample {
        sample_by_our_clock(sample, said.clock_us, now);
    }
    if let Some(facts) = &mut said.facts {
        boot_by_our_clock(facts, said.clock_us, now);
    }
    let init = match said.init.state {
        InitState::Pending => Phase::Pending,
        InitState::Running => Phase::Running,
        InitState::Done => Phase::Done,
        InitState::Failed => Phase::Failed,
    };
    let scripts = &said.init.scripts;
    Ok(agent::Beat {
        epoch_seen: said.epoch_seen,
        message: message(said.init.state, scripts),
        scripts: if scripts.is_empty() { None } else { Some(text(scripts)?) },
        run: said.init.run,
        init,
        drained: said.drained_epoch,
        facts: said
            .facts
            .map(|facts| text(&facts).map(|text| (text, facts.hostname)))
            .transpose()?,
        sample: said.sample.as_ref().map(text).transpose()?,
    })
}

/// What runs, or what failed and with which last words. Nothing that changes from beat to beat, since every change of
/// it is written down.
fn message(state: InitState, scripts: &[ScriptResult]) -> String {
    let last = match state {
        InitState::Pending | InitState::Done => None,
        InitState::Running => scripts
            .last()
            .map(|script| format!("running script \"{}\"", script.name)),
        InitState::Failed => scripts
            .iter()
            .rev()
            .find(|script| script.exit_code != Some(0))
            .map(failure),
    };
    last.unwrap_or_default()
}

fn failure(script: &ScriptResult) -> String {
    let how = match script.exit_code {
        _ if script.timed_out => format!("ran too long and was ended after {} s", script.duration_ms / 1000),
        Some(code) => format!("exited with {code}"),
        None => "was killed".to_owned(),
    };
    let line = script
        .output_tail
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    let line: String = line.unwrap_or("no output").chars().take(LINE_MAX).collect();
    format!("script \"{}\" {how}: {line}", script.name)
}

pub(super) fn goals(app: &App, goals: agent::Goals) -> Goals {
    let script = |script: reeve_model::pool::Script| Script {
        name: script.name,
        body: script.body,
        timeout_ms: u64::try_from(script.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    Goals {
        epoch: goals.epoch,
        wish: match goals.wish {
            agent::Wish::Run => Wish::Run,
            agent::Wish::Drain => Wish::Drain,
            agent::Wish::Stand => Wish::Stand,
        },
        scripts: goals.scripts.into_iter().map(script).collect(),
        init_run: goals.run,
        beat_interval_ms: u32::try_from(app.settings.beat_interval.as_millis()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use reeve_wire::agent::Nic;

    use super::*;

    fn result(exit_code: Option<i32>, timed_out: bool, output: &str) -> ScriptResult {
        let output_tail = output.to_owned();
        ScriptResult {
            name: "mount".into(),
            exit_code,
            timed_out,
            duration_ms: 61_000,
            output_tail,
        }
    }

    #[test]
    fn a_failed_script_is_told_by_name_with_its_status_and_last_line() {
        let told = message(
            InitState::Failed,
            &[result(Some(32), false, "trying\nno such device\n\n")],
        );
        assert_eq!(told, "script \"mount\" exited with 32: no such device");
        let told = message(InitState::Failed, &[result(None, true, "")]);
        assert_eq!(
            told,
            "script \"mount\" ran too long and was ended after 61 s: no output"
        );
        assert_eq!(message(InitState::Done, &[result(Some(0), false, "fine")]), "");
    }

    #[test]
    fn addresses_lose_their_prefix_length() {
        let nic = Nic {
            name: "eth0".into(),
            mac: String::new(),
            addresses: vec!["10.1.0.5/24".into(), "fe80::1/64".into()],
            speed_mbps: None,
        };
        let facts = Facts {
            nics: vec![nic],
            ..Facts::default()
        };
        assert_eq!(addresses(&facts), ["10.1.0.5", "fe80::1"]);
    }

    #[test]
    fn a_measurement_is_as_old_as_the_agent_says_and_never_from_the_future() {
        let dated = |agent_us, at_us| {
            let mut sample = Sample {
                at_us,
                ..Sample::default()
            };
            sample_by_our_clock(&mut sample, agent_us, Timestamp(1_000_000_000_000));
            sample.at_us
        };
        assert_eq!(dated(7_000_000, 5_000_000), 999_998_000_000);
        assert_eq!(dated(5_000_000, 7_000_000), 1_000_000_000_000);
        assert_eq!(dated(i64::MAX, i64::MIN), 1_000_000_000_000 - AGE_MAX_US);
        assert_eq!(dated(i64::MIN, i64::MAX), 1_000_000_000_000);
    }

    #[test]
    fn a_boot_is_moved_only_by_a_clock_that_is_wrong() {
        let booted = |agent_us| {
            let mut facts = Facts {
                booted_us: Some(agent_us - 60_000_000),
                ..Facts::default()
            };
            boot_by_our_clock(&mut facts, agent_us, Timestamp(1_000_000_000_000));
            facts.booted_us
        };
        assert_eq!(booted(1_000_001_000_000), Some(999_941_000_000));
        assert_eq!(booted(0), Some(999_940_000_000));
        assert_eq!(booted(9_000_000_000_000), Some(999_940_000_000));
    }

    #[test]
    fn a_soft_precheck_stops_nobody() {
        let check = |id: &str, hard| Precheck {
            id: id.into(),
            name: "port 53 is free".into(),
            passed: false,
            hard,
            detail: "in use".into(),
        };
        assert_eq!(failed_precheck(&[check("P1", false)]), None);
        let hard = failed_precheck(&[check("P1", false), check("P2", true)]);
        assert_eq!(hard.as_deref(), Some("precheck P2 failed: port 53 is free: in use"));
    }
}
