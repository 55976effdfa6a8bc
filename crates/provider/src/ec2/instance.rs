//! One instance in an answer, as a machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::xml::Element;
use crate::catalogue::Catalogue;
use crate::machines::{Machine, State, hostname_of};

/// Tag that carries the machine's token.
pub(super) const TOKEN: &str = "reeve-token";
/// Tag that says whose it is: one per deployment, so that two of them can share an account.
pub(super) const OWNER: &str = "reeve-owner";
/// The tag that people see first.
pub(super) const NAME: &str = "Name";

/// When to look again at what is on its way. No instance boots or goes in less, and every look at hundreds of them
/// takes from the calls that the cloud allows.
const SOON: Duration = Duration::from_secs(10);

/// An instance, with what only we need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    /// As the core sees it.
    pub(super) machine: Machine,
    /// Placement group it is in.
    pub(super) group: Option<String>,
}

/// All instances of an answer whose tags name a token: of `DescribeInstances` or of `RunInstances`.
pub(super) fn all(answer: &Element, catalogue: &Catalogue) -> Vec<Instance> {
    let reservations = answer.items(&["reservationSet"]).chain(std::iter::once(answer));
    let read = |reservation: &Element| {
        let request = reservation
            .text(&["requestId"])
            .or(reservation.text(&["reservationId"]));
        let request = request.unwrap_or_default().to_owned();
        let items = reservation.items(&["instancesSet"]);
        items
            .filter_map(|item| parse(item, &request, catalogue))
            .collect::<Vec<_>>()
    };
    reservations.flat_map(read).collect()
}

fn parse(item: &Element, request_id: &str, catalogue: &Catalogue) -> Option<Instance> {
    let mut tags: BTreeMap<String, String> = item
        .items(&["tagSet"])
        .filter_map(|tag| {
            let value = tag.text(&["value"]).unwrap_or_default();
            Some((tag.text(&["key"])?.to_owned(), value.to_owned()))
        })
        .collect();
    let token = tags.remove(TOKEN)?;
    tags.remove(OWNER);
    tags.remove(NAME);
    let state = state(item);
    let given = item.text(&["privateIpAddress"]).and_then(|text| text.parse().ok());
    let address = given.filter(|_| state != State::Gone);
    let size = item.text(&["instanceType"]).unwrap_or_default();
    let on_its_way = matches!(state, State::Pending | State::Stopping | State::Releasing);
    let machine = Machine {
        token,
        id: item.text(&["instanceId"])?.to_owned(),
        size: catalogue.get(size).map_or(size, |size| &size.name).to_owned(),
        state,
        reason: reason(item),
        address,
        hostname: address.map(hostname_of),
        launched_at_us: item.text(&["launchTime"]).and_then(time_us).unwrap_or_default(),
        check_after: on_its_way.then_some(SOON),
        guest: None,
        request_id: request_id.to_owned(),
        tags: Arc::new(tags),
    };
    let group = item.text(&["placement", "groupName"]).map(str::to_owned);
    Some(Instance { machine, group })
}

/// The code of the reason, where the cloud itself is the cause and not somebody's call.
fn own_doing(item: &Element) -> Option<&str> {
    item.text(&["stateReason", "code"])
        .filter(|code| code.starts_with("Server."))
}

fn reason(item: &Element) -> Option<String> {
    let code = own_doing(item)?;
    let message = item.text(&["stateReason", "message"]).unwrap_or(code);
    Some(message.to_owned())
}

fn state(item: &Element) -> State {
    let taken_back = own_doing(item).is_some_and(|code| code.starts_with("Server.SpotInstance"));
    match item.text(&["instanceState", "name"]).unwrap_or_default() {
        "pending" => State::Pending,
        "running" => State::Running,
        "shutting-down" | "stopping" | "stopped" | "terminated" if taken_back => State::Evicted,
        "shutting-down" => State::Releasing,
        "stopping" => State::Stopping,
        "stopped" => State::Stopped,
        "terminated" => State::Gone,
        // A state that is new to us holds something until it says that it does not.
        _ => State::Pending,
    }
}

fn time_us(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1000).ok()
}

/// Of two instances with one token the one that is there counts, and of those the older.
pub(super) fn prefer(one: &Machine, other: &Machine) -> bool {
    let rank = |machine: &Machine| {
        let over = matches!(machine.state, State::Gone | State::Releasing);
        (over, machine.launched_at_us, machine.id.clone())
    };
    rank(one) <= rank(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &str, reason: &str) -> Machine {
        let text = format!(
            "<r><requestId>q</requestId><instancesSet><item><instanceId>i-1</instanceId><instanceType>M5.LARGE</instanceType>\
             <instanceState><name>{state}</name></instanceState><privateIpAddress>10.0.0.9</privateIpAddress>\
             <stateReason><code>{reason}</code><message>why</message></stateReason>\
             <launchTime>2026-03-01T10:00:00.000Z</launchTime><tagSet><item><key>reeve-token</key><value>t</value></item>\
             <item><key>team</key><value>blue</value></item></tagSet></item></instancesSet></r>"
        );
        let answer = Element::parse(&text).expect("well formed");
        let mut found = all(&answer, &Catalogue::builtin());
        assert_eq!(found.len(), 1);
        found.remove(0).machine
    }

    #[test]
    fn an_instance_becomes_a_machine() {
        let machine = seen("running", "");
        assert_eq!((machine.token.as_str(), machine.id.as_str()), ("t", "i-1"));
        assert_eq!(
            (machine.size.as_str(), machine.state, machine.request_id.as_str()),
            ("m5.large", State::Running, "q")
        );
        assert_eq!(machine.hostname.as_deref(), Some("ip-0A000009"));
        assert_eq!(machine.launched_at_us, 1_772_359_200_000_000);
        assert_eq!(machine.tags.as_ref(), &BTreeMap::from([("team".into(), "blue".into())]));
        assert_eq!(machine.reason, None);
    }

    #[test]
    fn a_spot_machine_that_the_cloud_takes_back_is_evicted_and_one_that_we_gave_back_is_gone() {
        let evicted = seen("terminated", "Server.SpotInstanceTermination");
        assert_eq!(
            (evicted.state, evicted.reason.as_deref()),
            (State::Evicted, Some("why"))
        );
        let gone = seen("terminated", "Client.UserInitiatedShutdown");
        assert_eq!((gone.state, gone.reason, gone.address), (State::Gone, None, None));
        assert_eq!(
            seen("shutting-down", "Client.UserInitiatedShutdown").state,
            State::Releasing
        );
    }
}
