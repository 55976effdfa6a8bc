//! Placement groups: made when a machine first asks for one, removed when they have stood empty for a while.
//!
//! The cloud itself refuses to remove a group in use, so removing is safe at any time; a machine that loses the race
//! is told that its group is unknown and asks again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::{Client, Fault, Parameters};
use super::instance::OWNER;
use crate::error::{Error, ErrorKind};
use crate::machines::Launch;

/// Longest name that the cloud takes.
const NAME_MAX: usize = 255;

/// What is known of our groups; losing it costs a call each.
#[derive(Default)]
pub(super) struct Groups {
    /// When each group was last seen to have, or to get, a machine.
    used: Mutex<HashMap<String, Instant>>,
    since: Mutex<Option<Instant>>,
}

/// The cloud's name of the group: groups of other owners and clusters may have the same one.
pub(super) fn name(owner: &str, launch: &Launch) -> Option<String> {
    let group = launch.placement_group.as_ref()?;
    let mut name = format!("{owner}-{}-{group}", launch.cluster_name);
    name.retain(|letter| !letter.is_control());
    let end = name.char_indices().nth(NAME_MAX).map_or(name.len(), |(end, _)| end);
    name.truncate(end);
    Some(name)
}

impl Groups {
    /// Notes that the group has a machine.
    pub(super) fn seen(&self, name: &str) {
        self.used().insert(name.to_owned(), Instant::now());
    }

    /// Forgets a group that the cloud does not know.
    pub(super) fn forget(&self, name: &str) {
        self.used().remove(name);
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the group unless it is there.
    ///
    /// # Errors
    /// Those of the call; a group that is there already is none.
    pub(super) async fn ensure(&self, client: &Client, owner: &str, name: &str) -> Result<(), Error> {
        if self.used().contains_key(name) {
            self.seen(name);
            return Ok(());
        }
        let mut parameters = Parameters::default();
        parameters.set("GroupName", name).set("Strategy", "cluster");
        parameters.set("TagSpecification.1.ResourceType", "placement-group");
        parameters.set("TagSpecification.1.Tag.1.Key", OWNER);
        parameters.set("TagSpecification.1.Tag.1.Value", owner);
        match client.call("CreatePlacementGroup", parameters).await {
            Ok(_) => {}
            Err(Fault { code, .. }) if code == "InvalidPlacementGroup.Duplicate" => {}
            Err(Fault { error, .. }) => return Err(error),
        }
        self.seen(name);
        Ok(())
    }

    /// Removes those of our groups that no machine was seen in for `idle`. Whatever goes wrong is tried again the next
    /// time: an empty group costs nothing.
    pub(super) async fn tidy(&self, client: &Client, owner: &str, idle: Duration) {
        let since = *self
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(Instant::now);
        if since.elapsed() < idle {
            return;
        }
        let mut parameters = Parameters::default();
        parameters.filter(1, &format!("tag:{OWNER}"), &[owner]);
        let answer = match client.call("DescribePlacementGroups", parameters).await {
            Ok(answer) => answer,
            Err(fault) => {
                tracing::debug!(error = fault.error.message, "placement groups are not listed");
                return;
            }
        };
        for group in answer.items(&["placementGroupSet"]) {
            let Some(name) = group.text(&["groupName"]) else {
                continue;
            };
            let fresh = self.used().get(name).is_some_and(|used| used.elapsed() < idle);
            if fresh {
                continue;
            }
            let mut parameters = Parameters::default();
            parameters.set("GroupName", name);
            match client.call("DeletePlacementGroup", parameters).await {
                Ok(_) => self.forget(name),
                Err(fault) if fault.code == "InvalidPlacementGroup.InUse" => self.seen(name),
                Err(fault) => {
                    tracing::debug!(group = name, error = fault.error.message, "a placement group stays");
                    if matches!(fault.error.kind, ErrorKind::Throttled { .. }) {
                        return;
                    }
                }
            }
        }
    }
}
