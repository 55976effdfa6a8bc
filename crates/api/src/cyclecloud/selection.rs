//! Bodies of change requests: what they must look like, and which nodes a management request means.
//!
//! `null` is as good as leaving a member out; members we do not know are ignored.

use std::sync::{Mutex, PoisonError};

use reeve_control::node::{Differences, Filter, Selector, Set};
use reeve_model::pool::ShutdownPolicy;
use serde_json::Value as Json;

use super::{
    error::Failure,
    expression::{self, Expression, find_ignoring_case},
    record::{self, Record, Records},
};
use crate::App;

/// Reads a body that must be a JSON object; an empty one is as good as `{}`.
///
/// # Errors
/// 400 when it is not JSON, 409 when it is something else.
pub fn body(bytes: &bytes::Bytes) -> Result<Record, Failure> {
    match crate::request::json(bytes).map_err(|error| Failure::malformed(error.message))? {
        Json::Object(record) => Ok(record),
        Json::Null => Ok(Record::new()),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(Failure::refused("the body must be a JSON object"))
        }
    }
}

fn member<'a>(record: &'a Record, name: &str) -> Option<&'a Json> {
    record.get(name).filter(|value| !value.is_null())
}

/// A member that must be a string if it is there.
///
/// # Errors
/// 409.
pub fn text(record: &Record, name: &str) -> Result<Option<String>, Failure> {
    member(record, name)
        .map(|value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Failure::refused(format!("{name} must be a string")))
        })
        .transpose()
}

fn integer(record: &Record, name: &str, least: u32) -> Result<Option<u32>, Failure> {
    let wrong = || Failure::refused(format!("{name} must be an integer, {least} or more"));
    member(record, name)
        .map(|value| {
            value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number >= least)
                .ok_or_else(wrong)
        })
        .transpose()
}

fn object<'a>(record: &'a Record, name: &str) -> Result<Option<&'a Record>, Failure> {
    member(record, name)
        .map(|value| {
            value
                .as_object()
                .ok_or_else(|| Failure::refused(format!("{name} must be an object")))
        })
        .transpose()
}

fn texts(record: &Record, name: &str) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::refused(format!("{name} must be an array of strings"));
    let Some(value) = member(record, name) else {
        return Ok(Vec::new());
    };
    let items = value.as_array().ok_or_else(wrong)?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect()
}

/// The sets of a create request.
///
/// # Errors
/// 409 for the first thing that breaks a rule of form.
pub fn sets(request: &Record) -> Result<Vec<Set>, Failure> {
    let sets = member(request, "sets")
        .and_then(Json::as_array)
        .filter(|sets| !sets.is_empty());
    let sets = sets.ok_or_else(|| Failure::refused("sets must be an array with at least one set"))?;
    sets.iter()
        .enumerate()
        .map(|(index, value)| {
            let record = value
                .as_object()
                .ok_or_else(|| Failure::refused(format!("sets[{index}] must be an object")))?;
            set(record).map_err(|failure| Failure::refused(format!("sets[{index}]: {}", failure.detail)))
        })
        .collect()
}

fn set(record: &Record) -> Result<Set, Failure> {
    let pool = text(record, "nodearray")?.ok_or_else(|| Failure::refused("nodearray is missing"))?;
    let count = integer(record, "count", 1)?.ok_or_else(|| Failure::refused("count is missing"))?;
    let size = object(record, "definition")?
        .map(|definition| text(definition, "machineType"))
        .transpose()?
        .flatten();
    let placement_group = text(record, "placementGroupId")?;
    let attributes = object(record, "nodeAttributes")?;
    Ok(Set {
        pool,
        count,
        size,
        name_format: text(record, "nameFormat")?,
        name_offset: integer(record, "nameOffset", 0)?,
        placement_group,
        differences: attributes.map(differences).unwrap_or_default(),
        overrides: attributes.and_then(record::overrides),
    })
}

/// A boolean, also as the text that some clients send.
#[must_use]
pub fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// What a shutdown policy says; everything unknown terminates.
#[must_use]
pub fn policy(value: &Json) -> ShutdownPolicy {
    match value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("deallocate") => ShutdownPolicy::Deallocate,
        Some(_) | None => ShutdownPolicy::Terminate,
    }
}

fn differences(attributes: &Record) -> Differences {
    let given = |name: &str| find_ignoring_case(attributes, name).and_then(flag);
    Differences {
        keep_alive: given("KeepAlive"),
        fixed: given("Fixed"),
        start_automatically: given("StartAutomatically"),
        interruptible: given("Interruptible"),
        shutdown_policy: find_ignoring_case(attributes, "ShutdownPolicy").map(policy),
    }
}

/// The nodes that a management request means.
///
/// # Errors
/// 409 for members of a wrong type and for a filter that does not parse.
pub fn selector(request: &Record, app: &App) -> Result<Selector<'static>, Failure> {
    let filter = text(request, "filter")?.filter(|text| !text.trim().is_empty());
    Ok(Selector {
        names: texts(request, "names")?,
        ids: texts(request, "ids")?,
        hostnames: texts(request, "hostnames")?,
        addresses: texts(request, "ip_addresses")?,
        filter: filter
            .map(|text| parse(&text).map(|expression| test(expression, app)))
            .transpose()?,
    })
}

/// Reads a filter.
///
/// # Errors
/// 409 with the place of the mistake.
pub fn parse(text: &str) -> Result<Expression, Failure> {
    expression::parse(text).map_err(|error| Failure::refused(format!("the filter can not be read: {error}")))
}

/// A filter as a test of nodes; each node's record is made only to be looked at.
#[must_use]
pub fn test(expression: Expression, app: &App) -> Filter<'static> {
    let records = Mutex::new(Records::new(app));
    Box::new(move |status, full| {
        let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
        expression::matches(
            &expression,
            &records.record(status, &full.node, full.overrides.as_deref()),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: Json) -> Result<Vec<Set>, String> {
        sets(value.as_object().unwrap_or(&Record::new())).map_err(|failure| failure.detail)
    }

    #[test]
    fn a_set_needs_a_nodearray_and_a_whole_positive_count() {
        for bad in [
            json!({}),
            json!({"sets": []}),
            json!({"sets": {}}),
            json!({"sets": [1]}),
            json!({"sets": [{"count": 1}]}),
            json!({"sets": [{"nodearray": "htc"}]}),
            json!({"sets": [{"nodearray": "htc", "count": 0}]}),
            json!({"sets": [{"nodearray": "htc", "count": "3"}]}),
            json!({"sets": [{"nodearray": "htc", "count": 1.5}]}),
            json!({"sets": [{"nodearray": "htc", "count": 1, "nameOffset": -1}]}),
            json!({"sets": [{"nodearray": "htc", "count": 1, "nodeAttributes": []}]}),
        ] {
            assert!(parsed(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn null_members_are_as_good_as_none() {
        let sets = parsed(json!({"sets": [{"nodearray": "htc", "count": 2, "definition": null, "nameFormat": null}]}));
        let set = sets.unwrap_or_default().pop();
        assert!(set.is_some_and(|set| set.count == 2 && set.size.is_none() && set.name_format.is_none()));
    }

    #[test]
    fn attributes_that_rules_depend_on_are_read_whatever_their_case() {
        let attributes =
            json!({"keepalive": true, "FIXED": "True", "StartAutomatically": false, "shutdownPolicy": "DEALLOCATE"});
        let read = differences(attributes.as_object().unwrap_or(&Record::new()));
        assert_eq!(
            (read.keep_alive, read.fixed, read.start_automatically),
            (Some(true), Some(true), Some(false))
        );
        assert_eq!(read.shutdown_policy, Some(ShutdownPolicy::Deallocate));
        assert_eq!(read.interruptible, None);
    }
}
