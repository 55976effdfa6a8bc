//! Launching: one `RunInstances` per machine, many at a time.
//!
//! One call per machine and not one for all, since the cloud's key of idempotency covers a whole call: a batch that
//! is repeated after a crash would have other members, and machines would come twice. With the machine's token as
//! the key, a repeated call is answered with the first one's machine for ever, whoever repeats it.
//! `docs/decisions/0008-a-small-client-for-ec2.md` has the long version.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use futures::{FutureExt, StreamExt, stream};

use super::client::Parameters;
use super::instance::{NAME, OWNER, TOKEN};
use super::{Ec2, boot, group, instance};
use crate::error::{Error, ErrorKind};
use crate::machines::{Launch, Machine, Token, check_token, tags_of};

/// Calls under way at once.
const PARALLEL: usize = 8;
/// No call begins later than this after the batch did; the rest is told to come again, with nothing done.
const BEGIN_MAX: Duration = Duration::from_secs(7);
/// Every call has ended by then: the core waits ten seconds and takes what comes later for silence.
const END_MAX: Duration = Duration::from_secs(9);
/// Longest client token that the cloud takes.
const KEY_MAX: usize = 64;

impl Ec2 {
    /// Makes machines; see [`Machines::launch`](crate::Machines::launch).
    pub(super) async fn launch_all(&self, requests: &[Launch]) -> Vec<Result<Machine, Error>> {
        let begun = Instant::now();
        let checked: Vec<Result<(), Error>> = requests.iter().map(|launch| self.check(launch)).collect();
        let good = requests.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let mut wanted: Vec<&Launch> = good.map(|(launch, _)| launch).collect();
        wanted.sort_by(|one, other| one.token.cmp(&other.token));
        wanted.dedup_by(|one, other| one.token == other.token);
        // One of the core's nodes is asked for again after any doubt; so the cloud is always looked at first. What the
        // look does not show yet, the client token does.
        let tokens: Vec<Token> = wanted.iter().map(|launch| launch.token.clone()).collect();
        let mut made: HashMap<Token, Result<Machine, Error>> = match self.find(&tokens).await {
            Ok(found) => found
                .into_iter()
                .map(|(token, found)| (token, Ok(found.machine)))
                .collect(),
            Err(error) => tokens.into_iter().map(|token| (token, Err(error.clone()))).collect(),
        };
        wanted.retain(|launch| !made.contains_key(&launch.token));
        let runs: Vec<_> = wanted
            .into_iter()
            .map(|launch| self.run_in_time(launch, begun).boxed())
            .collect();
        made.extend(stream::iter(runs).buffer_unordered(PARALLEL).collect::<Vec<_>>().await);
        let answer = |(launch, checked): (&Launch, Result<(), Error>)| {
            checked?;
            let made = made.get(&launch.token).cloned();
            made.unwrap_or_else(|| Err(Error::new(ErrorKind::Unanswered, "the launch was not carried out")))
        };
        requests.iter().zip(checked).map(answer).collect()
    }

    fn check(&self, launch: &Launch) -> Result<(), Error> {
        check_token(&launch.token)?;
        let invalid = |message| Err(Error::new(ErrorKind::Invalid, message));
        if launch.token.len() > KEY_MAX {
            return invalid(format!("a token has at most {KEY_MAX} characters here"));
        }
        if self.catalogue.get(&launch.size).is_none() {
            return invalid(format!("there is no machine size {} in this cloud", launch.size));
        }
        if !launch.region.is_empty() && launch.region != self.settings.region {
            return invalid(format!(
                "this account is in region {}, the machine is wanted in {}",
                self.settings.region, launch.region
            ));
        }
        Ok(())
    }

    async fn run_in_time(&self, launch: &Launch, begun: Instant) -> (Token, Result<Machine, Error>) {
        if begun.elapsed() > BEGIN_MAX {
            return (launch.token.clone(), Err(next_time()));
        }
        (
            launch.token.clone(),
            self.run(launch, END_MAX.saturating_sub(begun.elapsed())).await,
        )
    }

    async fn run(&self, launch: &Launch, patience: Duration) -> Result<Machine, Error> {
        let group = group::name(&self.settings.owner, launch);
        if let Some(group) = &group {
            self.groups.ensure(&self.client, &self.settings.owner, group).await?;
        }
        let parameters = self.parameters(launch, group.as_deref())?;
        let answer = match self.client.call_within(patience, "RunInstances", parameters).await {
            Ok(answer) => answer,
            Err(fault) => return self.not_run(launch, group.as_deref(), fault.error, &fault.code).await,
        };
        let seen = instance::all(&answer, &self.catalogue);
        let ours = seen.into_iter().find(|seen| seen.machine.token == launch.token);
        ours.map(|seen| seen.machine).ok_or_else(|| {
            let message = "the cloud took the launch on and named no machine of that token";
            Error::new(ErrorKind::Unanswered, message)
        })
    }

    /// Two refusals mean something else than they say.
    async fn not_run(&self, launch: &Launch, group: Option<&str>, error: Error, code: &str) -> Result<Machine, Error> {
        match code {
            // The token was used before, for a machine of a pool that has been edited since: that one is ours.
            "IdempotentParameterMismatch" => {
                let mut found = self.find(std::slice::from_ref(&launch.token)).await?;
                let unseen = Error {
                    kind: ErrorKind::Unanswered,
                    ..error
                };
                found.remove(&launch.token).map(|found| found.machine).ok_or(unseen)
            }
            // The group was removed, empty, between our making it and the launch.
            "InvalidPlacementGroup.Unknown" => {
                group.into_iter().for_each(|group| self.groups.forget(group));
                Err(Error {
                    kind: ErrorKind::Failed,
                    ..error
                })
            }
            _ => Err(error),
        }
    }

    fn parameters(&self, launch: &Launch, group: Option<&str>) -> Result<Parameters, Error> {
        let settings = &self.settings;
        let size = self.catalogue.get(&launch.size).map_or(&launch.size, |size| &size.name);
        let script = boot::script(&launch.boot, &settings.program)?;
        let mut parameters = Parameters::default();
        parameters
            .set("ClientToken", &launch.token)
            .set("MinCount", "1")
            .set("MaxCount", "1")
            .set("ImageId", &settings.image)
            .set("InstanceType", size)
            .set("InstanceInitiatedShutdownBehavior", "stop")
            .set("MetadataOptions.HttpTokens", "required")
            .set("UserData", base64::engine::general_purpose::STANDARD.encode(script));
        for (name, value) in [
            ("SubnetId", settings.subnet.as_deref()),
            ("KeyName", settings.key_name.as_deref()),
            ("IamInstanceProfile.Name", settings.instance_profile.as_deref()),
            ("Placement.AvailabilityZone", launch.zone.as_deref()),
            ("Placement.GroupName", group),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                parameters.set(name, value);
            }
        }
        parameters.list("SecurityGroupId", &settings.security_groups);
        if launch.spot {
            parameters.set("InstanceMarketOptions.MarketType", "spot");
            parameters.set("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
            parameters.set(
                "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
                "terminate",
            );
            if let Some(price) = launch.max_price {
                parameters.set("InstanceMarketOptions.SpotOptions.MaxPrice", price.to_string());
            }
        }
        self.tag(&mut parameters, launch);
        Ok(parameters)
    }

    /// Tags for the machine and its disks, set by the cloud in the same act.
    fn tag(&self, parameters: &mut Parameters, launch: &Launch) {
        let mut tags = tags_of(launch);
        tags.insert(TOKEN.to_owned(), launch.token.clone());
        tags.insert(OWNER.to_owned(), self.settings.owner.clone());
        tags.insert(NAME.to_owned(), format!("{}/{}", launch.cluster_name, launch.node_name));
        for (at, kind) in ["instance", "volume"].into_iter().enumerate() {
            let specification = format!("TagSpecification.{}", at + 1);
            parameters.set(format!("{specification}.ResourceType"), kind);
            for (index, (key, value)) in tags.iter().enumerate() {
                parameters.set(format!("{specification}.Tag.{}.Key", index + 1), key);
                parameters.set(format!("{specification}.Tag.{}.Value", index + 1), value);
            }
        }
    }
}

fn next_time() -> Error {
    let kind = ErrorKind::Throttled {
        retry_after: Duration::from_millis(100),
    };
    Error::new(kind, "the batch was too large for one call, the rest follows")
}
