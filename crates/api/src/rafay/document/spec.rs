//! `spec` and `spec.config`: the settings of a cluster as a whole.

use serde_json::Value;

use super::catalog::Catalog;
use super::node::{self, HostNode};
use super::reader::{Report, Section};
use super::secret::{Secret, Secrets};
use super::validate::{self, quote};
use super::{network, overrides, placement, topology};

/// What `spec` says, as far as the core acts on it.
pub(super) struct Spec {
    pub(super) kubernetes_version: String,
    pub(super) auto_approve_nodes: bool,
    pub(super) installer_ttl_days: u32,
    pub(super) nodes: Vec<HostNode>,
    pub(super) secrets: Secrets,
    pub(super) echo: Value,
}

/// What `spec.config` says.
struct Config {
    kubernetes_version: Option<String>,
    auto_approve_nodes: bool,
    installer_ttl_days: u32,
    nodes: Vec<HostNode>,
    secrets: Secrets,
    echo: Value,
}

/// Reads `spec`.
pub(super) fn read(mut section: Section<'_>, catalog: &Catalog, project: &str, report: &mut Report) -> Option<Spec> {
    if let Some(kind) = section.text(report, "type").filter(|kind| kind != "mks") {
        report.refuse(
            section.at("type"),
            format!("{} is not supported: only \"mks\" is", quote(&kind)),
        );
    }
    section.put("type", "mks");
    let config = section
        .required_section(report, "config")
        .map(|part| read_config(part, catalog, report));
    section.put(
        "config",
        config.as_ref().map_or(Value::Null, |config| config.echo.clone()),
    );
    read_blueprint(&mut section, catalog, report);
    if let Some(name) = section
        .text(report, "cloudCredentials")
        .filter(|name| !validate::is_label(name))
    {
        report.refuse(
            section.at("cloudCredentials"),
            format!("{} is not a lower-case label", quote(&name)),
        );
    }
    let proxy_auth = read_proxy(&mut section, report);
    read_sharing(&mut section, project, report);
    let nodes = config.as_ref().map_or(&[][..], |config| &config.nodes);
    placement::read(&mut section, nodes, report);
    read_drift(&mut section, report);
    let echo = section.finish(report);
    let config = config?;
    Some(Spec {
        kubernetes_version: config.kubernetes_version?,
        auto_approve_nodes: config.auto_approve_nodes,
        installer_ttl_days: config.installer_ttl_days,
        nodes: config.nodes,
        secrets: Secrets {
            proxy_auth,
            ..config.secrets
        },
        echo,
    })
}

fn read_config(mut section: Section<'_>, catalog: &Catalog, report: &mut Report) -> Config {
    if section
        .text(report, "location")
        .is_some_and(|text| text.chars().count() > 63)
    {
        report.refuse(section.at("location"), "is longer than 63 characters");
    }
    let auto_approve_nodes = section.boolean(report, "autoApproveNodes", false).unwrap_or(false);
    let dedicated = section.boolean(report, "dedicatedControlPlane", false).unwrap_or(false);
    let highly_available = section.boolean(report, "highAvailability", false).unwrap_or(false);
    let kubernetes_version = read_version(&mut section, catalog, report);
    // Read where its problems belong, written at the place where the reference samples show it: behind the nodes.
    let upgrade = read_upgrade(&mut section, report);
    if let Some(version) = section
        .text(report, "platformVersion")
        .filter(|text| validate::tagged_version(text).is_none())
    {
        report.refuse(
            section.at("platformVersion"),
            format!("{} must look like v1.0.0", quote(&version)),
        );
    }
    let ttl = section.integer(report, "installerTtl", true).unwrap_or(365);
    let installer_ttl_days = u32::try_from(ttl).ok().filter(|days| (1..=3650).contains(days));
    if installer_ttl_days.is_none() {
        report.refuse(
            section.at("installerTtl"),
            format!("{ttl} is not between 1 and 3650 days"),
        );
    }
    let arguments = section.map(report, "kubeletExtraArgs");
    validate::arguments(report, &section.at("kubeletExtraArgs"), &arguments);
    if let Some(text) = section.text(report, "kubeletConfigurationOverrides") {
        validate::yaml_mapping(report, section.at("kubeletConfigurationOverrides"), &text);
    }
    overrides::read(&mut section, report);
    let network = section
        .required_section(report, "network")
        .map(|part| network::read(part, catalog, report));
    section.put(
        "network",
        network.as_ref().map_or(Value::Null, |network| network.echo.clone()),
    );
    let (nodes, secrets) = read_nodes(&mut section, catalog, report);
    section.put("kubernetesUpgrade", upgrade);
    let cluster_passphrase = node::read_ssh(&mut section, false, report);
    topology::check(
        &section.path,
        &nodes,
        topology::Shape {
            highly_available,
            dedicated,
        },
        report,
    );
    if let Some(network) = &network {
        network::check_nodes(&section.path, network, &nodes, report);
    }
    Config {
        kubernetes_version,
        auto_approve_nodes,
        installer_ttl_days: installer_ttl_days.unwrap_or(365),
        nodes,
        secrets: Secrets {
            cluster_passphrase,
            node_passphrases: secrets,
            proxy_auth: None,
        },
        echo: section.finish(report),
    }
}

fn read_nodes(
    section: &mut Section<'_>,
    catalog: &Catalog,
    report: &mut Report,
) -> (Vec<HostNode>, Vec<(String, Secret)>) {
    let before = report.problems.len();
    let parts = section.sections(report, "nodes");
    if parts.is_empty() && report.problems.len() == before {
        report.refuse(section.at("nodes"), "needs at least one entry");
    }
    let (mut nodes, mut secrets, mut echoes) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let read = node::read(part, catalog, report);
        echoes.push(read.echo);
        secrets.extend(read.passphrase.map(|secret| (read.node.hostname.clone(), secret)));
        nodes.push(read.node);
    }
    section.put("nodes", echoes);
    (nodes, secrets)
}

fn read_version(section: &mut Section<'_>, catalog: &Catalog, report: &mut Report) -> Option<String> {
    let version = section.required_text(report, "kubernetesVersion")?;
    if validate::tagged_version(&version).is_none() {
        report.refuse(
            section.at("kubernetesVersion"),
            format!("{} must look like v1.28.9", quote(&version)),
        );
    } else if !catalog.has_version(&version) {
        let offered = catalog.kubernetes_versions.join(", ");
        report.refuse(
            section.at("kubernetesVersion"),
            format!("{} is not one of {offered}", quote(&version)),
        );
    }
    Some(version)
}

fn read_upgrade(section: &mut Section<'_>, report: &mut Report) -> Value {
    let Some(mut part) = section.section(report, "kubernetesUpgrade") else {
        return Value::Null;
    };
    let strategy = part.required_text(report, "strategy").unwrap_or_default();
    if !strategy.is_empty() && !["sequential", "concurrent"].contains(&strategy.as_str()) {
        report.refuse(
            part.at("strategy"),
            format!("{} is not one of sequential, concurrent", quote(&strategy)),
        );
    }
    let mut concurrency = None;
    if let Some(mut params) = part.section(report, "params") {
        concurrency = params.text_or_integer(report, "workerConcurrency");
        let path = params.at("workerConcurrency");
        if let Some(text) = concurrency.as_deref().filter(|text| !is_concurrency(text)) {
            report.refuse(
                path,
                format!("{} is neither a positive integer nor 1% to 100%", quote(text)),
            );
        }
        let echo = params.finish(report);
        part.put("params", echo);
    }
    if strategy == "concurrent" && concurrency.is_none() {
        report.refuse(
            part.at("params.workerConcurrency"),
            "is required for the concurrent strategy",
        );
    }
    part.finish(report)
}

fn is_concurrency(text: &str) -> bool {
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u32>().ok())
            .flatten()
    };
    match text.strip_suffix('%') {
        Some(percent) => digits(percent).is_some_and(|percent| (1..=100).contains(&percent)),
        None => digits(text).is_some_and(|count| count > 0),
    }
}

fn read_blueprint(section: &mut Section<'_>, catalog: &Catalog, report: &mut Report) {
    let path = section.at("blueprint");
    let before = report.problems.len();
    let Some(value) = section.aliased(report, "blueprint", "blueprintConfig") else {
        report.refuse(path, "is required");
        return;
    };
    let Some(mut part) = super::reader::as_section(report, path, value) else {
        return;
    };
    if let Some(name) = part
        .required_text(report, "name")
        .filter(|name| !catalog.blueprints.contains(name))
    {
        report.refuse(part.at("name"), format!("unknown blueprint {}", quote(&name)));
    }
    let version = part.text(report, "version");
    if version.is_some_and(|text| text.chars().count() > 253) && report.problems.len() == before {
        report.refuse(part.at("version"), "is longer than 253 characters");
    }
    let echo = part.finish(report);
    section.put("blueprint", echo);
}

/// Reads `proxy` and hands out its credential, which is never echoed.
fn read_proxy(section: &mut Section<'_>, report: &mut Report) -> Option<Secret> {
    let path = section.at("proxy");
    let value = section.aliased(report, "proxy", "proxyConfig")?;
    let mut part = super::reader::as_section(report, path, value)?;
    let enabled = part.required_boolean(report, "enabled").unwrap_or(false);
    for key in ["httpProxy", "httpsProxy"] {
        // The address may carry a password, so the message does not repeat it.
        match part.text(report, key) {
            Some(url) if !validate::is_proxy_url(&url) => {
                report.refuse(part.at(key), "must be a URL with scheme, host and port");
            }
            None if enabled && key == "httpProxy" => {
                report.refuse(part.at(key), "is required while the proxy is enabled")
            }
            _ => {}
        }
    }
    part.text(report, "noProxy");
    let authority = part.text(report, "bootstrapCA");
    if authority.is_some_and(|text| !text.contains("-----BEGIN CERTIFICATE-----")) {
        report.refuse(part.at("bootstrapCA"), "must be a certificate in PEM form");
    }
    part.boolean(report, "allowInsecureBootstrap", false);
    let credential = part.hidden_text(report, "proxyAuth").map(Secret::new);
    let echo = part.finish(report);
    section.put("proxy", echo);
    credential
}

fn read_sharing(section: &mut Section<'_>, owner: &str, report: &mut Report) {
    let Some(mut part) = section.section(report, "sharing") else {
        return;
    };
    part.required_boolean(report, "enabled");
    let before = report.problems.len();
    let mut echoes = Vec::new();
    for mut project in part.sections(report, "projects") {
        if project.required_text(report, "name").is_some_and(|name| name == owner) {
            report.refuse(project.at("name"), "is the project that owns the cluster");
        }
        echoes.push(project.finish(report));
    }
    if echoes.is_empty() && report.problems.len() == before {
        report.refuse(part.at("projects"), "is required");
    }
    part.put("projects", echoes);
    let echo = part.finish(report);
    section.put("sharing", echo);
}

fn read_drift(section: &mut Section<'_>, report: &mut Report) {
    let Some(mut part) = section.section(report, "drift") else {
        return;
    };
    part.boolean(report, "enabled", false);
    if let Some(action) = part
        .text(report, "action")
        .filter(|action| !["Notify", "Deny"].contains(&action.as_str()))
    {
        report.refuse(
            part.at("action"),
            format!("{} is not one of Notify, Deny", quote(&action)),
        );
    }
    let echo = part.finish(report);
    section.put("drift", echo);
}
