//! `spec.config.controlPlaneOverrides`: extra flags and volumes of the three control-plane processes.

use super::reader::{Report, Section};
use super::validate;

/// Reads the overrides of `spec.config` and writes them back into it.
pub(super) fn read(config: &mut Section<'_>, report: &mut Report) {
    let Some(mut section) = config.section(report, "controlPlaneOverrides") else {
        return;
    };
    for process in ["kubeApiserver", "kubeControllerManager", "kubeScheduler"] {
        let Some(mut part) = section.section(report, process) else {
            continue;
        };
        let arguments = part.map(report, "extraArgs");
        validate::arguments(report, &part.at("extraArgs"), &arguments);
        for key in ["extraVolumes", "extraVolumeMounts"] {
            if let Some(text) = part.text(report, key) {
                validate::yaml_named_list(report, part.at(key), &text);
            }
        }
        let echo = part.finish(report);
        section.put(process, echo);
    }
    let echo = section.finish(report);
    config.put("controlPlaneOverrides", echo);
}
