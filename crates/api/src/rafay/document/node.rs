//! `spec.config.nodes[]`, and the SSH block that nodes and the cluster share.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::catalog::Catalog;
use super::placement::check_effect;
use super::reader::{Report, Section};
use super::secret::Secret;
use super::validate::{self, quote};

const ROLES: [&str; 3] = ["ControlPlane", "Worker", "Storage"];

/// One declared machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNode {
    /// Host name: the key of the node and its name in Kubernetes.
    pub hostname: String,
    /// IPv4 address on the cluster network.
    pub private_ip: String,
    /// `amd64` or `arm64`.
    pub arch: String,
    /// Operating system token as the client wrote it, such as `Ubuntu22.04`.
    pub operating_system: String,
    /// Whether it runs the control plane.
    pub control_plane: bool,
    /// Whether it has the role of a worker.
    pub worker: bool,
    /// Whether it carries the storage marker.
    pub storage: bool,
    /// Interface that holds the private address, if the client named one.
    pub interface: Option<String>,
    /// Labels of the Kubernetes node.
    pub labels: Vec<(String, String)>,
}

/// A node as read: what the core needs, what is echoed, and the secret.
pub(super) struct ReadNode {
    pub(super) node: HostNode,
    pub(super) echo: Value,
    pub(super) passphrase: Option<Secret>,
}

/// Reads one node. Fields with a problem are empty in the result, which the report keeps from being used.
pub(super) fn read(mut section: Section<'_>, catalog: &Catalog, report: &mut Report) -> ReadNode {
    let hostname = section.required_text(report, "hostname").unwrap_or_default();
    if !hostname.is_empty() && !validate::is_subdomain(&hostname) {
        report.refuse(
            section.at("hostname"),
            format!("{} is not a lower-case host name", quote(&hostname)),
        );
    }
    let operating_system = section.required_text(report, "operatingSystem").unwrap_or_default();
    if !operating_system.is_empty() && !catalog.has_operating_system(&operating_system) {
        let allowed = catalog.operating_systems.join(", ");
        report.refuse(
            section.at("operatingSystem"),
            format!("{} is not one of {allowed}", quote(&operating_system)),
        );
    }
    let arch = section.required_text(report, "arch").unwrap_or_default();
    if !["", "amd64", "arm64"].contains(&arch.as_str()) {
        report.refuse(
            section.at("arch"),
            format!("{} is not one of amd64, arm64", quote(&arch)),
        );
    }
    let private_ip = read_address(&mut section, report);
    let interface = section.text(report, "interface");
    if let Some(name) = interface.as_deref().filter(|name| !validate::is_interface(name)) {
        report.refuse(
            section.at("interface"),
            format!("{} is not an interface name of up to 15 characters", quote(name)),
        );
    }
    let roles = read_roles(&mut section, report);
    let labels = section.map(report, "labels");
    validate::labels(report, &section.at("labels"), &labels);
    let annotations = section.map(report, "annotations");
    validate::annotations(report, &section.at("annotations"), &annotations);
    read_taints(&mut section, report);
    let arguments = section.map(report, "kubeletExtraArgs");
    validate::arguments(report, &section.at("kubeletExtraArgs"), &arguments);
    if let Some(text) = section.text(report, "kubeletConfigurationOverrides") {
        validate::yaml_mapping(report, section.at("kubeletConfigurationOverrides"), &text);
    }
    let passphrase = read_ssh(&mut section, true, report);
    let has = |role: &str| roles.iter().any(|sent| sent == role);
    let node = HostNode {
        control_plane: has("ControlPlane"),
        worker: has("Worker"),
        storage: has("Storage"),
        hostname,
        private_ip,
        arch,
        operating_system,
        interface,
        labels,
    };
    ReadNode {
        node,
        echo: section.finish(report),
        passphrase,
    }
}

/// Reads `privateIP`, which older documents spell in lower case.
fn read_address(section: &mut Section<'_>, report: &mut Report) -> String {
    let path = section.at("privateIP");
    match section.aliased(report, "privateIP", "privateip") {
        Some(Value::String(text)) => {
            section.put("privateIP", text.clone());
            if text.parse::<Ipv4Addr>().is_err() {
                report.refuse(path, format!("{} is not an IPv4 address", quote(text)));
            }
            text.clone()
        }
        Some(_) => {
            report.refuse(path, "must be a string");
            String::new()
        }
        None => {
            report.refuse(path, "is required");
            String::new()
        }
    }
}

fn read_roles(section: &mut Section<'_>, report: &mut Report) -> Vec<String> {
    let before = report.problems.len();
    let mut roles: Vec<String> = Vec::new();
    for (path, role) in section.texts(report, "roles") {
        if role == "Master" {
            report.refuse(path, "\"Master\" is an older name: use ControlPlane");
        } else if !ROLES.contains(&role.as_str()) {
            report.refuse(path, format!("{} is not one of {}", quote(&role), ROLES.join(", ")));
        } else if roles.contains(&role) {
            report.refuse(path, format!("{role:?} is there twice"));
        } else {
            roles.push(role);
        }
    }
    if roles.is_empty() && report.problems.len() == before {
        report.refuse(section.at("roles"), "needs at least one entry");
    }
    roles
}

fn read_taints(section: &mut Section<'_>, report: &mut Report) {
    let parts = section.sections(report, "taints");
    let (mut echoes, mut seen) = (Vec::new(), Vec::new());
    for mut part in parts {
        let key = part.required_text(report, "key").unwrap_or_default();
        if !key.is_empty() && !validate::is_qualified_name(&key) {
            report.refuse(part.at("key"), format!("{} is not a qualified name", quote(&key)));
        }
        let effect = part.required_text(report, "effect");
        check_effect(&part, effect.as_deref(), report);
        if let Some(value) = part
            .text(report, "value")
            .filter(|value| !validate::is_label_value(value))
        {
            report.refuse(part.at("value"), format!("{} is not a label value", quote(&value)));
        }
        let pair = (key, effect);
        if seen.contains(&pair) {
            report.refuse(part.path.clone(), "repeats the key and effect of an earlier taint");
        }
        seen.push(pair);
        echoes.push(part.finish(report));
    }
    section.put("taints", echoes);
}

/// Reads the `ssh` block of a node or of the cluster and hands out its passphrase.
///
/// The data is for the client that runs the installer over SSH: nothing here opens a file or a connection.
pub(super) fn read_ssh(section: &mut Section<'_>, of_node: bool, report: &mut Report) -> Option<Secret> {
    let mut part = section.section(report, "ssh")?;
    if of_node {
        part.text(report, "ipAddress");
    }
    part.text(report, "username");
    if let Some(port) = part.text_or_integer(report, "port") {
        let valid = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if !valid {
            report.refuse(
                part.at("port"),
                format!("{} is not a port from 1 to 65535", quote(&port)),
            );
        }
    }
    part.text(report, "privateKeyPath");
    let passphrase = part.hidden_text(report, "passphrase").map(Secret::new);
    let echo = part.finish(report);
    section.put("ssh", echo);
    passphrase
}
