//! `spec.systemComponentsPlacement`: where the platform's own pods may run.

use super::node::HostNode;
use super::reader::{Report, Section};
use super::validate::{self, quote};

/// Reads the placement of `spec` and writes it back into it.
pub(super) fn read(spec: &mut Section<'_>, nodes: &[HostNode], report: &mut Report) {
    let Some(mut section) = spec.section(report, "systemComponentsPlacement") else {
        return;
    };
    let selector = section.map(report, "nodeSelector");
    let path = section.at("nodeSelector");
    validate::labels(report, &path, &selector);
    if !nodes.is_empty() && !nodes.iter().any(|node| matches(node, &selector)) {
        report.refuse(path, "matches no node of this document");
    }
    read_tolerations(&mut section, report);
    if let Some(mut part) = section.section(report, "daemonSetOverride") {
        part.boolean(report, "nodeSelectionEnabled", false);
        read_tolerations(&mut part, report);
        let echo = part.finish(report);
        section.put("daemonSetOverride", echo);
    }
    let echo = section.finish(report);
    spec.put("systemComponentsPlacement", echo);
}

/// Kubernetes adds three labels of its own to every node, so a selector may name those too.
fn matches(node: &HostNode, selector: &[(String, String)]) -> bool {
    selector.iter().all(|(key, value)| match key.as_str() {
        "kubernetes.io/hostname" => *value == node.hostname,
        "kubernetes.io/arch" => *value == node.arch,
        "kubernetes.io/os" => value == "linux",
        _ => node.labels.iter().any(|(name, text)| name == key && text == value),
    })
}

fn read_tolerations(section: &mut Section<'_>, report: &mut Report) {
    let parts = section.sections(report, "tolerations");
    let mut echoes = Vec::new();
    for mut part in parts {
        let key = part.text(report, "key");
        let operator = part.text(report, "operator");
        let value = part.text(report, "value");
        let effect = part.text(report, "effect");
        let seconds = part.integer(report, "tolerationSeconds", false);
        let exists = operator.as_deref() == Some("Exists");
        if let Some(operator) = operator.filter(|operator| !["Equal", "Exists"].contains(&operator.as_str())) {
            report.refuse(
                part.at("operator"),
                format!("{} is not one of Equal, Exists", quote(&operator)),
            );
        }
        match &key {
            Some(key) if !validate::is_qualified_name(key) => {
                report.refuse(part.at("key"), format!("{} is not a qualified name", quote(key)));
            }
            None if !exists => report.refuse(part.at("key"), "may be empty only with operator Exists"),
            _ => {}
        }
        if exists && value.is_some() {
            report.refuse(part.at("value"), "must be empty with operator Exists");
        }
        check_effect(&part, effect.as_deref(), report);
        if seconds.is_some() && effect.as_deref() != Some("NoExecute") {
            report.refuse(part.at("tolerationSeconds"), "is only for effect NoExecute");
        }
        echoes.push(part.finish(report));
    }
    section.put("tolerations", echoes);
}

/// Checks the effect of a taint or toleration, if there is one.
pub(super) fn check_effect(section: &Section<'_>, effect: Option<&str>, report: &mut Report) {
    if let Some(effect) = effect.filter(|effect| !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect)) {
        let message = format!(
            "{} is not one of NoSchedule, PreferNoSchedule, NoExecute",
            quote(effect)
        );
        report.refuse(section.at("effect"), message);
    }
}
