//! The cluster document: from what a client sent to what is stored, echoed and acted on.
//!
//! Pure: values in, values out. [`parse`] normalises and validates, [`diff`] says what a changed document asks for.
//! It does not know what is stored, who asks, or how a cluster is built. What this server offers comes in as a
//! [`Catalog`].

mod catalog;
pub mod diff;
mod metadata;
mod network;
mod node;
#[cfg(test)]
mod odd_values;
mod overrides;
mod placement;
mod reader;
mod secret;
mod spec;
#[cfg(test)]
mod tests;
mod topology;
mod validate;

use serde_json::{Map, Value};

pub use catalog::Catalog;
pub use node::HostNode;
pub use reader::Problem;
pub use secret::{Secret, Secrets};

use reader::{Report, Section};
use validate::quote;

/// The only API version of clusters.
pub const API_VERSION: &str = "infra.k8smgmt.io/v3";
/// The kind of a cluster document.
pub const KIND: &str = "Cluster";

/// A document that passed every rule.
#[derive(Clone, Debug)]
pub struct Document {
    /// Cluster name: a lower-case label, unique in its project.
    pub name: String,
    /// What to call it on screen; the name unless the client chose otherwise.
    pub display_name: String,
    /// Wanted version with its leading `v`, such as `v1.28.9`.
    pub kubernetes_version: String,
    /// Whether discovered nodes that match the document are approved without an operator.
    pub auto_approve_nodes: bool,
    /// Life of the installer credential in days, 1 to 3650; 365 unless sent.
    pub installer_ttl_days: u32,
    /// The declared machines, in the order sent.
    pub nodes: Vec<HostNode>,
    /// The write-only values, which `details` does not hold.
    pub secrets: Secrets,
    /// The normalised document to store and echo: `apiVersion`, `kind`, `metadata` without `modifiedAt`, `spec`.
    pub details: Value,
    /// JSON paths of unknown keys inside `spec`, which were dropped.
    pub ignored: Vec<String>,
    /// Further remarks for the caller that do not stop the document.
    pub warnings: Vec<String>,
}

/// Reads a document for a project, against what a server offers by default.
///
/// # Errors
///
/// Every problem of the document, each with its JSON path.
pub fn parse(project: &str, value: Value) -> Result<Document, Vec<Problem>> {
    parse_with(&Catalog::default(), project, value)
}

/// Reads a document for a project, against what this server offers.
///
/// # Errors
///
/// Every problem of the document, each with its JSON path.
pub fn parse_with(catalog: &Catalog, project: &str, value: Value) -> Result<Document, Vec<Problem>> {
    let mut report = Report::default();
    let Value::Object(fields) = &value else {
        report.refuse("document", "must be an object");
        return Err(report.problems);
    };
    let document = read(catalog, project, fields, &mut report);
    match document {
        Some(document) if report.problems.is_empty() => Ok(Document {
            ignored: report.ignored,
            warnings: report.warnings,
            ..document
        }),
        _ => Err(report.problems),
    }
}

/// Rebuilds the document from stored `details`, for comparing it with a new one.
///
/// What was accepted once stays readable when the server's lists shrink, so rules are not checked again. `None` means
/// that the value was never the `details` of a document. Secrets are empty: the caller puts the stored ones back.
pub fn restore(project: &str, details: &Value) -> Option<Document> {
    read(
        &Catalog::default(),
        project,
        details.as_object()?,
        &mut Report::default(),
    )
}

/// Every part is read even when an earlier one is broken, so that the caller hears of all problems at once.
fn read(catalog: &Catalog, project: &str, fields: &Map<String, Value>, report: &mut Report) -> Option<Document> {
    let mut top = Section::new("", fields);
    constant(&mut top, report, "apiVersion", API_VERSION);
    constant(&mut top, report, "kind", KIND);
    let metadata = top
        .required_section(report, "metadata")
        .and_then(|section| metadata::read(section, project, report));
    let spec = top
        .required_section(report, "spec")
        .and_then(|section| spec::read(section, catalog, project, report));
    let (metadata, spec) = (metadata?, spec?);
    top.put("metadata", metadata.echo);
    top.put("spec", spec.echo);
    Some(Document {
        name: metadata.name,
        display_name: metadata.display_name,
        kubernetes_version: spec.kubernetes_version,
        auto_approve_nodes: spec.auto_approve_nodes,
        installer_ttl_days: spec.installer_ttl_days,
        nodes: spec.nodes,
        secrets: spec.secrets,
        details: top.finish_silently(),
        ignored: Vec::new(),
        warnings: Vec::new(),
    })
}

/// A field with one legal value, written back even when the client left it out.
fn constant(section: &mut Section<'_>, report: &mut Report, key: &'static str, only: &str) {
    if let Some(sent) = section.text(report, key).filter(|sent| sent != only) {
        report.refuse(section.at(key), format!("{} is not {only:?}", quote(&sent)));
    }
    section.put(key, only);
}
