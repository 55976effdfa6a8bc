//! Types of attributes: plain text and loosely typed parameters to what records must hold.
//!
//! Attributes this table does not know keep the type their value has.

use serde_json::{Number, Value as Json};

use super::values::Resolved;
use crate::cyclecloud::expression::equal_ignoring_case;

/// Key of the merged software configuration in a record.
pub(super) const CONFIGURATION: &str = "Configuration";

const TAGS: &str = "Tags";

/// What the server needs an attribute to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// Whole number from 0, 32 bits.
    Count,
    /// A count, or a boolean that means one or none.
    CountOrFlag,
    Number,
    Boolean,
    Text,
    /// `Terminate` or `Deallocate`.
    ShutdownPolicy,
    /// A name or several.
    Names,
}

/// Attributes with a type, by dotted name in the spelling that records have.
const TYPES: [(&str, Type); 34] = [
    ("MaxCount", Type::Count),
    ("MaxCoreCount", Type::Count),
    ("InitialCount", Type::CountOrFlag),
    ("InitialCoreCount", Type::Count),
    ("CoreCount", Type::Count),
    ("NameOffset", Type::Count),
    ("Azure.MaxScalesetSize", Type::Count),
    ("MaxPrice", Type::Number),
    ("Priority", Type::Number),
    ("Memory", Type::Number),
    ("Abstract", Type::Boolean),
    ("Autoscale", Type::Boolean),
    ("Fixed", Type::Boolean),
    ("Interruptible", Type::Boolean),
    ("KeepAlive", Type::Boolean),
    ("StartAutomatically", Type::Boolean),
    ("ThrottleCapacity", Type::Boolean),
    ("ComputerName", Type::Text),
    ("ComputerNamePrefix", Type::Text),
    ("Credentials", Type::Text),
    ("ImageId", Type::Text),
    ("ImageName", Type::Text),
    ("NameFormat", Type::Text),
    ("PlacementGroupId", Type::Text),
    ("ProximityPlacementGroupId", Type::Text),
    ("Region", Type::Text),
    ("SubnetId", Type::Text),
    ("ThrottleCapacityTime", Type::Text),
    ("Timeout", Type::Text),
    ("Zone", Type::Text),
    ("Script", Type::Text),
    ("ShutdownPolicy", Type::ShutdownPolicy),
    ("MachineType", Type::Names),
    ("Extends", Type::Names),
];

/// The value of an attribute, given its full dotted name; `None` is undefined.
///
/// Fails with a phrase if the value cannot be what the attribute must be.
pub(super) fn typed(path: &[String], value: Resolved) -> Result<Option<Json>, String> {
    let value = match value {
        Resolved::Undefined => return Ok(None),
        other => other,
    };
    let Some(wanted) = type_of(path) else {
        return Ok(without_null(untyped(value)));
    };
    let given = match &value {
        Resolved::Plain(text) | Resolved::Value(Json::String(text)) => text.clone(),
        Resolved::Value(json) => json.to_string(),
        Resolved::Undefined => String::new(),
    };
    // Forms send an empty text for a field that was left empty.
    if wanted != Type::Text && given.trim().is_empty() {
        return Ok(None);
    }
    let converted = convert(wanted, value, given.trim());
    let Some(converted) = converted else {
        return Err(format!(
            "{} must be {}, not {given:?}",
            path.join("."),
            describe(wanted)
        ));
    };
    Ok(without_null(converted))
}

/// What plain text becomes where no type is asked for.
pub(super) fn plain(text: &str) -> Json {
    if let Some(flag) = boolean(text) {
        return Json::Bool(flag);
    }
    integer(text)
        .or_else(|| real(text))
        .map_or_else(|| Json::from(text), Json::Number)
}

fn untyped(value: Resolved) -> Json {
    match value {
        Resolved::Undefined => Json::Null,
        Resolved::Value(json) => json,
        Resolved::Plain(text) => plain(&text),
    }
}

/// The path of an attribute as records have it: known names in their usual spelling, because clients look for
/// that one, and the name of a tag in one piece, because tags are not nested.
pub(super) fn canonical(path: &[String]) -> Vec<String> {
    if let Some((known, _)) = entry(path) {
        return known.split('.').map(str::to_owned).collect();
    }
    let Some((first, rest)) = path.split_first() else {
        return Vec::new();
    };
    let known = [CONFIGURATION, TAGS, "Azure"]
        .into_iter()
        .find(|known| equal_ignoring_case(known, first));
    let first = known.unwrap_or(first).to_owned();
    if first == TAGS && !rest.is_empty() {
        return vec![first, rest.join(".")];
    }
    std::iter::once(first).chain(rest.iter().cloned()).collect()
}

fn entry(path: &[String]) -> Option<&'static (&'static str, Type)> {
    let name = path.join(".");
    TYPES.iter().find(|(known, _)| equal_ignoring_case(known, &name))
}

fn type_of(path: &[String]) -> Option<Type> {
    let is_tag = path.len() > 1 && equal_ignoring_case(&path[0], TAGS);
    if is_tag {
        Some(Type::Text)
    } else {
        entry(path).map(|(_, wanted)| *wanted)
    }
}

fn describe(wanted: Type) -> &'static str {
    match wanted {
        Type::Count => "a whole number from 0 to 4294967295",
        Type::CountOrFlag => "a whole number from 0 to 4294967295, or true or false",
        Type::Number => "a number",
        Type::Boolean => "true or false",
        Type::Text => "a string",
        Type::ShutdownPolicy => "Terminate or Deallocate",
        Type::Names => "a string or a list of strings",
    }
}

fn convert(wanted: Type, value: Resolved, text: &str) -> Option<Json> {
    match wanted {
        Type::Count => count(text),
        Type::CountOrFlag => boolean(text)
            .map(|flag| Json::from(u32::from(flag)))
            .or_else(|| count(text)),
        Type::Number => number(text).map(Json::Number),
        Type::Boolean => boolean(text).map(Json::Bool),
        Type::Text => match value {
            Resolved::Value(Json::Array(_) | Json::Object(_)) => None,
            Resolved::Value(Json::String(text)) | Resolved::Plain(text) => Some(Json::String(text)),
            _ => Some(Json::from(text)),
        },
        Type::ShutdownPolicy => ["Terminate", "Deallocate"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(text))
            .map(Json::from),
        Type::Names => names(value, text).map(Json::from),
    }
}

/// Names from a comma-separated text or an array of strings, without repetition.
fn names(value: Resolved, text: &str) -> Option<Vec<String>> {
    let listed = match value {
        Resolved::Value(Json::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()?,
        Resolved::Value(Json::Object(_) | Json::Bool(_)) => return None,
        _ => text.split(',').map(str::to_owned).collect(),
    };
    let mut names: Vec<String> = Vec::new();
    for name in listed.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") {
        Some(true)
    } else {
        is("false").then_some(false)
    }
}

/// A whole number written as one; `007` is a name that happens to have digits.
fn integer(text: &str) -> Option<Number> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then(|| Number::from(value))
}

/// Digits, a point and digits; versions and exponents are texts.
fn real(text: &str) -> Option<Number> {
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.chars().all(|character| character.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}

/// Any spelling of a finite number, whole ones as integers.
fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(value) => Some(Number::from(value)),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

/// A count; parameters may come as `4.0`.
fn count(text: &str) -> Option<Json> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.chars().all(|character| character == '0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse::<u32>().ok().map(Json::from)
}

/// Records hold no null at any depth, because clients do not expect one.
fn without_null(json: Json) -> Option<Json> {
    match json {
        Json::Null => None,
        Json::Array(items) => Some(Json::Array(items.into_iter().filter_map(without_null).collect())),
        Json::Object(members) => {
            let kept = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_null(value)?)));
            Some(Json::Object(kept.collect()))
        }
        other => Some(other),
    }
}
