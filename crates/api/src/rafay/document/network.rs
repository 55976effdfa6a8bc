//! `spec.config.network`: the plug-in, the subnets and the name servers.

use std::net::IpAddr;

use serde_json::Value;

use super::catalog::Catalog;
use super::node::HostNode;
use super::reader::{Report, Section};
use super::validate::{self, quote};

/// An address range: the value of its first address and how many leading bits are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    prefix: u32,
    /// Bits of an address of this family: 32 or 128.
    width: u32,
}

/// What `network` says, as far as other parts of the document depend on it.
pub(super) struct Network {
    pods: Option<Range>,
    services: Option<Range>,
    pub(super) echo: Value,
}

/// Which subnet is read: its family and the prefix lengths Kubernetes can work with.
struct Rule {
    key: &'static str,
    width: u32,
    shortest: u32,
    longest: u32,
}

/// Reads `network`.
pub(super) fn read(mut section: Section<'_>, catalog: &Catalog, report: &mut Report) -> Network {
    read_plugin(&mut section, catalog, report);
    let pods = read_subnet(
        &mut section,
        Rule {
            key: "podSubnet",
            width: 32,
            shortest: 8,
            longest: 23,
        },
        report,
    );
    let services = read_subnet(
        &mut section,
        Rule {
            key: "serviceSubnet",
            width: 32,
            shortest: 12,
            longest: 24,
        },
        report,
    );
    if let (Some(pods), Some(services)) = (pods, services)
        && pods.overlaps(services)
    {
        report.refuse(section.at("serviceSubnet"), "overlaps podSubnet");
    }
    if let Some(mut part) = section.section(report, "ipv6") {
        let pods = read_subnet(
            &mut part,
            Rule {
                key: "podSubnet",
                width: 128,
                shortest: 48,
                longest: 63,
            },
            report,
        );
        let services = read_subnet(
            &mut part,
            Rule {
                key: "serviceSubnet",
                width: 128,
                shortest: 108,
                longest: 120,
            },
            report,
        );
        if let (Some(pods), Some(services)) = (pods, services)
            && pods.overlaps(services)
        {
            report
                .warnings
                .push(format!("{}: overlaps podSubnet", part.at("serviceSubnet")));
        }
        let echo = part.finish(report);
        section.put("ipv6", echo);
    }
    read_name_servers(&mut section, report);
    Network {
        pods,
        services,
        echo: section.finish(report),
    }
}

/// Checks the subnets against the nodes that will live beside them; `path` is that of `spec.config`.
pub(super) fn check_nodes(path: &str, network: &Network, nodes: &[HostNode], report: &mut Report) {
    if let Some(pods) = network.pods.filter(|pods| (8..=23).contains(&pods.prefix)) {
        let blocks = 1_usize << (24 - pods.prefix);
        if blocks < nodes.len() {
            let message = format!("has room for {blocks} nodes of /24 each, there are {}", nodes.len());
            report.refuse(format!("{path}.network.podSubnet"), message);
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        let Ok(address) = node.private_ip.parse::<IpAddr>() else {
            continue;
        };
        for (name, range) in [("podSubnet", network.pods), ("serviceSubnet", network.services)] {
            if range.is_some_and(|range| range.holds(address)) {
                let message = format!("{} lies inside network.{name}", quote(&node.private_ip));
                report.refuse(format!("{path}.nodes[{index}].privateIP"), message);
            }
        }
    }
}

fn read_plugin(section: &mut Section<'_>, catalog: &Catalog, report: &mut Report) {
    let Some(mut part) = section.required_section(report, "cni") else {
        return;
    };
    if let Some(name) = part
        .required_text(report, "name")
        .filter(|name| !catalog.has_network(name))
    {
        report.refuse(
            part.at("name"),
            format!("{} is not one of {}", quote(&name), catalog.networks.join(", ")),
        );
    }
    if let Some(version) = part
        .text(report, "version")
        .filter(|text| validate::version_numbers(text).is_none())
    {
        report.refuse(part.at("version"), format!("{} must look like 3.26.1", quote(&version)));
    }
    let echo = part.finish(report);
    section.put("cni", echo);
}

fn read_subnet(section: &mut Section<'_>, rule: Rule, report: &mut Report) -> Option<Range> {
    let text = section.required_text(report, rule.key)?;
    let path = section.at(rule.key);
    let family = if rule.width == 32 { "IPv4" } else { "IPv6" };
    let Some(range) = Range::parse(&text).filter(|range| range.width == rule.width) else {
        report.refuse(path, format!("{} is not an {family} CIDR", quote(&text)));
        return None;
    };
    if range.first & range.host_mask() != 0 {
        report.refuse(path, format!("{} has host bits set", quote(&text)));
        return None;
    }
    if !(rule.shortest..=rule.longest).contains(&range.prefix) {
        let message = format!(
            "{} is not between /{} and /{}",
            quote(&text),
            rule.shortest,
            rule.longest
        );
        report.refuse(path.clone(), message);
    }
    if range.is_special() {
        report.refuse(
            path,
            format!(
                "{} is a loopback, link-local, multicast or unspecified range",
                quote(&text)
            ),
        );
    }
    Some(range)
}

fn read_name_servers(section: &mut Section<'_>, report: &mut Report) {
    let mut seen = Vec::new();
    for (path, text) in section.texts(report, "nameservers") {
        match text.parse::<IpAddr>() {
            Err(_) => report.refuse(path, format!("{} is not an IP address", quote(&text))),
            Ok(address) if seen.contains(&address) => report.refuse(path, format!("{} is there twice", quote(&text))),
            Ok(address) => seen.push(address),
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let (first, width) = number(address.parse().ok()?);
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= width)?;
        Some(Self { first, prefix, width })
    }

    fn host_mask(self) -> u128 {
        // A shift by all 128 bits is not defined, and such a range has every bit free.
        1_u128
            .checked_shl(self.width - self.prefix)
            .map_or(u128::MAX, |bit| bit - 1)
    }

    fn overlaps(self, other: Self) -> bool {
        let mask = self.host_mask() | other.host_mask();
        self.width == other.width && self.first | mask == other.first | mask
    }

    fn holds(self, address: IpAddr) -> bool {
        let (value, width) = number(address);
        self.overlaps(Self {
            first: value,
            prefix: width,
            width,
        })
    }

    fn is_special(self) -> bool {
        let ranges = [
            "127.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/4",
            "0.0.0.0/8",
            "::/127",
            "fe80::/10",
            "ff00::/8",
        ];
        ranges
            .iter()
            .filter_map(|text| Self::parse(text))
            .any(|special| self.overlaps(special))
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}
