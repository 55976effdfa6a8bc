//! `metadata`: the name, its project and the free-form notes on a cluster.

use serde_json::Value;

use super::reader::{Report, Section};
use super::validate::{self, quote};

/// What `metadata` says.
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) echo: Value,
}

/// Reads `metadata`; unknown keys and what the server itself sets are passed over in silence.
pub(super) fn read(mut section: Section<'_>, project: &str, report: &mut Report) -> Option<Metadata> {
    let name = section.required_text(report, "name");
    if let Some(name) = name.as_deref().filter(|name| !validate::is_label(name)) {
        report.refuse(
            section.at("name"),
            format!("{} is not a lower-case label of 1 to 63 characters", quote(name)),
        );
    }
    if section.text(report, "project").is_some_and(|sent| sent != project) {
        report.refuse(section.at("project"), "differs from the project in the path");
    }
    section.put("project", project);
    if section
        .text(report, "description")
        .is_some_and(|text| text.chars().count() > 1024)
    {
        report.refuse(section.at("description"), "is longer than 1024 characters");
    }
    let labels = section.map(report, "labels");
    validate::labels(report, &section.at("labels"), &labels);
    let annotations = section.map(report, "annotations");
    validate::annotations(report, &section.at("annotations"), &annotations);
    let display_name = section.text(report, "displayName");
    let name = name?;
    Some(Metadata {
        display_name: display_name.unwrap_or_else(|| name.clone()),
        name,
        echo: section.finish_silently(),
    })
}
