//! Nested records with names that ignore case: setting, merging and removing by path.
//!
//! The first spelling of a name and its first position are kept when the value changes.

use serde_json::{Map, Value as Json};

use crate::cyclecloud::expression::equal_ignoring_case;

/// Sets what is at the path; two records there are merged deeply. `None` removes, with the records that
/// become empty by it.
pub(super) fn set(record: &mut Map<String, Json>, path: &[String], value: Option<Json>) {
    match value {
        Some(value) => insert(record, path, value),
        None => remove(record, path),
    }
}

/// The record at the path, made if it is not there; something else there is replaced.
pub(super) fn ensure<'a>(record: &'a mut Map<String, Json>, path: &[String]) -> &'a mut Map<String, Json> {
    let mut record = record;
    for name in path {
        let key = key_of(record, name);
        let member = record.entry(key).or_insert_with(|| Json::Object(Map::new()));
        if !member.is_object() {
            *member = Json::Object(Map::new());
        }
        let Json::Object(inner) = member else {
            unreachable!("made an object just above")
        };
        record = inner;
    }
    record
}

fn insert(record: &mut Map<String, Json>, path: &[String], value: Json) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let record = ensure(record, parents);
    let key = key_of(record, last);
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                insert(record, &[key.clone(), name], member);
            }
        }
        other => {
            record.insert(key, other);
        }
    }
}

fn remove(record: &mut Map<String, Json>, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let key = key_of(record, first);
    if rest.is_empty() {
        record.shift_remove(&key);
        return;
    }
    let Some(Json::Object(inner)) = record.get_mut(&key) else {
        return;
    };
    let before = inner.len();
    remove(inner, rest);
    if inner.is_empty() && before > 0 {
        record.shift_remove(&key);
    }
}

/// The key under which the record has this name, else the name.
fn key_of(record: &Map<String, Json>, name: &str) -> String {
    if record.contains_key(name) {
        return name.to_owned();
    }
    let known = record.keys().find(|key| equal_ignoring_case(key, name));
    known.map_or_else(|| name.to_owned(), String::clone)
}
