//! The rules that look at all nodes of a document at once.

use super::node::HostNode;
use super::reader::Report;
use super::validate::quote;

/// The two switches that decide what a set of nodes must look like.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) highly_available: bool,
    pub(super) dedicated: bool,
}

/// Checks the nodes against each other; `path` is that of `spec.config`.
pub(super) fn check(path: &str, nodes: &[HostNode], shape: Shape, report: &mut Report) {
    let roles_are_known = nodes
        .iter()
        .all(|node| node.control_plane || node.worker || node.storage);
    check_unique(path, nodes, report);
    // Counting roles that could not be read would only repeat the first problem in other words.
    if !nodes.is_empty() && roles_are_known {
        check_control_planes(path, nodes, shape, report);
        check_dedicated(path, nodes, shape, report);
    }
}

fn check_unique(path: &str, nodes: &[HostNode], report: &mut Report) {
    for (index, node) in nodes.iter().enumerate() {
        let earlier = &nodes[..index];
        let same_name = |other: &HostNode| other.hostname.eq_ignore_ascii_case(&node.hostname);
        if let Some(first) = earlier.iter().position(same_name).filter(|_| !node.hostname.is_empty()) {
            let message = format!("{} is already used by nodes[{first}]", quote(&node.hostname));
            report.refuse(format!("{path}.nodes[{index}].hostname"), message);
        }
        let same_address = |other: &HostNode| other.private_ip == node.private_ip;
        if let Some(first) = earlier
            .iter()
            .position(same_address)
            .filter(|_| !node.private_ip.is_empty())
        {
            let message = format!("{} is already used by nodes[{first}]", quote(&node.private_ip));
            report.refuse(format!("{path}.nodes[{index}].privateIP"), message);
        }
    }
}

fn check_control_planes(path: &str, nodes: &[HostNode], shape: Shape, report: &mut Report) {
    let count = nodes.iter().filter(|node| node.control_plane).count();
    let nodes_path = format!("{path}.nodes");
    match (shape.highly_available, count) {
        (_, 0) => report.refuse(nodes_path, "needs at least one node with role ControlPlane"),
        (true, 1 | 2) => {
            report.refuse(
                nodes_path,
                format!("highAvailability needs at least 3 ControlPlane nodes, there are {count}"),
            );
        }
        (true, count) if count % 2 == 0 => {
            report.refuse(
                nodes_path,
                format!("highAvailability needs an odd number of ControlPlane nodes, there are {count}"),
            );
        }
        (false, count) if count > 1 => {
            report.refuse(
                nodes_path,
                format!("without highAvailability there is exactly 1 ControlPlane node, not {count}"),
            );
        }
        _ => {}
    }
}

fn check_dedicated(path: &str, nodes: &[HostNode], shape: Shape, report: &mut Report) {
    if !shape.dedicated {
        return;
    }
    for (index, node) in nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.control_plane && node.worker)
    {
        let message = format!(
            "{} cannot be both ControlPlane and Worker with dedicatedControlPlane",
            quote(&node.hostname)
        );
        report.refuse(format!("{path}.nodes[{index}].roles"), message);
    }
    if !nodes.iter().any(|node| node.worker && !node.control_plane) {
        report.refuse(
            format!("{path}.nodes"),
            "dedicatedControlPlane needs at least one node that is only a Worker",
        );
    }
}
