//! The syntax rules for names, labels, versions and embedded YAML.
//!
//! Predicates over text, and the few helpers that report on whole maps. Rules between fields live with the fields.

use serde_json::Value;

use super::reader::Report;
use crate::rafay::media;

/// Words by which clients decide that a resource is gone; no other error may contain them.
const RESERVED_WORDS: [&str; 3] = ["not found", "does not exist", "code 404"];

/// The caller's text, quoted for a message: cut when long, withheld when it holds the reserved words.
pub(super) fn quote(text: &str) -> String {
    let folded = text.to_lowercase();
    if RESERVED_WORDS.iter().any(|words| folded.contains(words)) {
        return "the value sent".to_owned();
    }
    let short: String = text.chars().take(100).collect();
    if short.len() < text.len() {
        format!("{:?}", format!("{short}..."))
    } else {
        format!("{short:?}")
    }
}

/// A lower-case RFC 1123 label of 1 to 63 characters.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// A lower-case RFC 1123 subdomain of up to 253 characters.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A Kubernetes qualified name: an optional subdomain and `/`, then a name of up to 63 characters.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_short_name(name),
        None => is_short_name(text),
    }
}

/// A Kubernetes label value, which may be empty.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_short_name(text)
}

fn is_short_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Three dotted numbers, as in `1.28.9`.
pub(super) fn version_numbers(text: &str) -> Option<[u32; 3]> {
    let mut parts = text
        .split('.')
        .map(|part| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().ok(),
            false => None,
        });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// As [`version_numbers`], with the leading `v` that Kubernetes versions carry.
pub(super) fn tagged_version(text: &str) -> Option<[u32; 3]> {
    version_numbers(text.strip_prefix('v')?)
}

/// A Linux interface name of up to 15 characters.
pub(super) fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
        && text != "."
        && text != ".."
}

/// A URL with scheme, host and port.
pub(super) fn is_proxy_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let Some((host, port)) = host_and_port.rsplit_once(':') else {
        return false;
    };
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && !text.contains(char::is_whitespace)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Checks Kubernetes labels.
pub(super) fn labels(report: &mut Report, path: &str, entries: &[(String, String)]) {
    for (key, value) in entries {
        if !is_qualified_name(key) {
            report.refuse(path, format!("{} is not a label key", quote(key)));
        }
        if !is_label_value(value) {
            report.refuse(
                format!("{path}[{}]", quote(key)),
                format!("{} is not a label value", quote(value)),
            );
        }
    }
}

/// Checks Kubernetes annotations: key syntax, and 256 KiB in total.
pub(super) fn annotations(report: &mut Report, path: &str, entries: &[(String, String)]) {
    for (key, _) in entries {
        if !is_qualified_name(&key.to_lowercase()) {
            report.refuse(path, format!("{} is not an annotation key", quote(key)));
        }
    }
    if entries
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum::<usize>()
        > 256 * 1024
    {
        report.refuse(path, "is larger than 256 KiB");
    }
}

/// Checks flags given as a map: names without leading dashes.
pub(super) fn arguments(report: &mut Report, path: &str, entries: &[(String, String)]) {
    for (key, value) in entries {
        let named = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if key.is_empty() || !named || key.starts_with('-') {
            report.refuse(
                path,
                format!("{} is not a flag name without leading dashes", quote(key)),
            );
        }
        if value.contains(['\n', '\r', '\0']) {
            report.refuse(format!("{path}[{}]", quote(key)), "must be one line");
        }
    }
}

/// Checks text that must be a YAML mapping.
pub(super) fn yaml_mapping(report: &mut Report, path: String, text: &str) {
    if !matches!(media::yaml(text), Ok(Value::Object(_))) {
        report.refuse(path, "must be the text of a YAML mapping");
    }
}

/// Checks text that must be a YAML list of mappings that have a `name`.
pub(super) fn yaml_named_list(report: &mut Report, path: String, text: &str) {
    let named = |item: &Value| {
        item.get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty())
    };
    if !matches!(media::yaml(text), Ok(Value::Array(items)) if items.iter().all(named)) {
        report.refuse(path, "must be the text of a YAML list of mappings with a name");
    }
}
