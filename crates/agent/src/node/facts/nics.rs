//! Network interfaces.
//!
//! Hardware interfaces are listed always, virtual ones only when they have an address (a container host has
//! hundreds that have none). Loopback is left out, except for the one address that the agent was told to claim:
//! there it is the address of the node.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use reeve_wire::agent::Nic;

use super::addresses::{self, Address};
use super::{names, number, text};

const NET: &str = "/sys/class/net";

/// The interfaces, sorted by name.
pub(super) fn look(source_address: Option<Ipv4Addr>) -> Vec<Nic> {
    let addresses = addresses::list().unwrap_or_default();
    names(Path::new(NET))
        .into_iter()
        .filter_map(|name| describe(name, &addresses, source_address))
        .collect()
}

fn describe(name: String, addresses: &[Address], source_address: Option<Ipv4Addr>) -> Option<Nic> {
    let folder = Path::new(NET).join(&name);
    if name == "lo" {
        let own = source_address.filter(Ipv4Addr::is_loopback)?;
        return Some(Nic {
            name,
            mac: String::new(),
            addresses: vec![format!("{own}/8")],
            speed_mbps: None,
        });
    }
    let index: u32 = number(&folder.join("ifindex"))?;
    let own: Vec<_> = addresses
        .iter()
        .filter(|address| address.interface == index && !is_link_local(address))
        .collect();
    if own.is_empty() && !folder.join("device").exists() {
        return None;
    }
    Some(Nic {
        mac: text(&folder.join("address"))
            .filter(|mac| !is_zero(mac))
            .unwrap_or_default()
            .to_lowercase(),
        addresses: own
            .iter()
            .map(|address| format!("{}/{}", address.ip, address.prefix))
            .collect(),
        speed_mbps: number::<i64>(&folder.join("speed"))
            .and_then(|speed| u32::try_from(speed).ok())
            .filter(|speed| *speed > 0),
        name,
    })
}

/// Addresses that every interface gives itself say nothing about where the machine can be reached.
fn is_link_local(address: &Address) -> bool {
    matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn is_zero(mac: &str) -> bool {
    mac.bytes().all(|byte| matches!(byte, b'0' | b':'))
}
