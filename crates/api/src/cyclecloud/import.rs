//! A resolved template as the declaration of an elastic cluster.
//!
//! Puts in the server's defaults, also into the attributes that are kept and shown. Whether machine sizes and provider
//! accounts exist is checked by `control`.

use std::time::Duration;

use reeve_control::{
    Core,
    cluster::{PoolSpec, Spec},
};
use reeve_model::{
    Error, Result,
    id::{ClusterId, PoolId},
    pool::{
        GROUP_SIZE_DEFAULT, Pool, PoolKind, SCRIPT_TIMEOUT_DEFAULT, START_TIMEOUT_DEFAULT, Script, THROTTLE_DEFAULT,
    },
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    expression::find_ignoring_case,
    record::Record,
    selection::{flag, policy},
    template::{self, NodeKind, NodeTemplate},
};

/// Provider account of nodes that name none.
const ACCOUNT_DEFAULT: &str = "local";
/// Subnet of nodes that name none: clients insist on one.
const SUBNET_DEFAULT: &str = "default";

/// Reads a template: `name` is the name the cluster gets, `section` the `[cluster]` section to use when there are
/// several, `parameters` the given values. Answers the declaration, and warnings with line numbers.
///
/// # Errors
/// `Invalid` with one line per problem.
pub fn spec(
    text: &str,
    name: &str,
    section: Option<&str>,
    parameters: &Record,
    core: &Core,
) -> Result<(Spec, Vec<String>)> {
    spec_in(text, name, section, parameters, &core.settings.region_default)
}

fn spec_in(
    text: &str,
    name: &str,
    section: Option<&str>,
    parameters: &Record,
    region: &str,
) -> Result<(Spec, Vec<String>)> {
    let document = template::parse(text).map_err(invalid)?;
    let resolved = template::resolve(&document, section, name, parameters).map_err(invalid)?;
    let spec = Spec {
        name: resolved.name,
        max_count: resolved.max_count,
        max_cores: resolved.max_core_count,
        pools: resolved.nodes.into_iter().map(|node| pool(node, region)).collect(),
    };
    Ok((spec, resolved.warnings))
}

fn invalid(problems: Vec<template::Problem>) -> Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::invalid("template", lines.join("\n"))
}

/// Reads attributes whatever the case of their names.
struct Attributes<'a>(&'a Record);

impl Attributes<'_> {
    fn value(&self, name: &str) -> Option<&Json> {
        find_ignoring_case(self.0, name)
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Json::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Json::Number(number) => Some(number.to_string()),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(flag)
    }

    /// A count; booleans count as 1 and 0.
    fn count(&self, name: &str) -> Option<u32> {
        let value = self.value(name)?;
        if let Json::Bool(flag) = value {
            return Some(u32::from(*flag));
        }
        let number = value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))?;
        u32::try_from(number).ok()
    }

    fn number(&self, name: &str) -> Option<f64> {
        let value = self.value(name)?;
        value
            .as_f64()
            .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
    }

    fn span(&self, name: &str) -> Option<Duration> {
        self.text(name).as_deref().and_then(span)
    }
}

/// `30s`, `10m`, `1h`, `2d`, or plain seconds.
fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (digits, unit) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1),
        'm' => (&text[..text.len() - 1], 60),
        'h' => (&text[..text.len() - 1], 3600),
        'd' => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    digits
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .map(Duration::from_secs)
}

/// The value of an attribute, which is put in when it is missing.
fn settled(attributes: &mut Record, name: &str, default: &str) -> String {
    if let Some(given) = Attributes(attributes).text(name) {
        return given;
    }
    let spelled = attributes.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    attributes.insert(spelled.unwrap_or_else(|| name.to_owned()), json!(default));
    default.to_owned()
}

fn pool(node: NodeTemplate, region: &str) -> PoolSpec {
    let NodeTemplate {
        name,
        kind,
        machine_types,
        machine_type_line,
        mut attributes,
        scripts,
        ..
    } = node;
    let account = settled(&mut attributes, "Credentials", ACCOUNT_DEFAULT);
    let region = settled(&mut attributes, "Region", region);
    settled(&mut attributes, "SubnetId", SUBNET_DEFAULT);
    let read = Attributes(&attributes);
    let azure = read
        .value("Azure")
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    let throttle = match read.flag("ThrottleCapacity") {
        Some(false) => Duration::ZERO,
        Some(true) | None => read.span("ThrottleCapacityTime").unwrap_or(THROTTLE_DEFAULT),
    };
    let script = |(name, body)| Script {
        name,
        body,
        timeout: SCRIPT_TIMEOUT_DEFAULT,
    };
    let pool = Pool {
        id: PoolId(Uuid::nil()),
        cluster: ClusterId(Uuid::nil()),
        name,
        kind: match kind {
            NodeKind::Standalone => PoolKind::Single,
            NodeKind::Array => PoolKind::Many,
        },
        position: 0,
        revision: 0,
        account,
        region,
        zone: read.text("Zone"),
        sizes: machine_types,
        max_count: read.count("MaxCount"),
        max_cores: read.count("MaxCoreCount"),
        core_count: read.count("CoreCount").filter(|cores| *cores > 0),
        interruptible: read.flag("Interruptible").unwrap_or(false),
        max_price: read.number("MaxPrice").filter(|price| *price >= 0.0),
        placement_group: read.text("PlacementGroupId"),
        group_size_max: Attributes(&azure)
            .count("MaxScalesetSize")
            .unwrap_or(GROUP_SIZE_DEFAULT),
        initial_count: read.count("InitialCount").unwrap_or(0),
        initial_cores: read.count("InitialCoreCount").unwrap_or(0),
        keep_alive: read.flag("KeepAlive").unwrap_or(false),
        fixed: read.flag("Fixed").unwrap_or(false),
        shutdown_policy: read.value("ShutdownPolicy").map(policy).unwrap_or_default(),
        start_automatically: read.flag("StartAutomatically").unwrap_or(true),
        name_format: read.text("NameFormat"),
        name_offset: read.count("NameOffset").unwrap_or(1),
        start_timeout: read.span("Timeout").unwrap_or(START_TIMEOUT_DEFAULT),
        throttle,
        scripts: scripts.into_iter().map(script).collect(),
        removed: false,
    };
    PoolSpec {
        pool,
        attributes: Json::Object(attributes).to_string(),
        size_line: machine_type_line,
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
