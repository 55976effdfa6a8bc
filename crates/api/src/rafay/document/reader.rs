//! Reading one object of a document field by field, collecting every problem on the way.
//!
//! A [`Section`] is fed by the caller's object and builds the normalised copy that is stored and echoed: fields in the
//! order they are asked for, unset ones left out, scalars in their canonical type. It knows nothing of clusters.

use serde_json::{Map, Value};

use super::validate::quote;

/// How many unknown keys are named; they travel in a response header, whose length is limited.
const MOST_IGNORED: usize = 32;

/// One reason why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON path such as `spec.config.nodes[0].roles[1]`.
    pub path: String,
    /// What is wrong, as a sentence for the caller.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// What reading found besides the values.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) ignored: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    pub(super) fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Notes an unknown key, up to as many as a response header can name.
    fn ignore(&mut self, path: String) {
        if self.ignored.len() < MOST_IGNORED {
            self.ignored.push(path);
        }
    }
}

/// Whether a value means "not set": absent, `null` and everything empty are the same to a client.
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// One object being read, and its normalised copy being built.
pub(super) struct Section<'a> {
    pub(super) path: String,
    input: &'a Map<String, Value>,
    known: Vec<&'static str>,
    pub(super) output: Map<String, Value>,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: impl Into<String>, input: &'a Map<String, Value>) -> Self {
        Self {
            path: path.into(),
            input,
            known: Vec::new(),
            output: Map::new(),
        }
    }

    /// The path of a field of this object.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The raw value of a field if it is set; marks the key as known.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.input.get(key).filter(|value| !is_unset(value))
    }

    /// As [`Self::raw`], under the name or under an older one; both at once are refused.
    pub(super) fn aliased(&mut self, report: &mut Report, key: &'static str, alias: &'static str) -> Option<&'a Value> {
        let (real, other) = (self.raw(key), self.raw(alias));
        if real.is_some() && other.is_some() {
            report.refuse(
                self.at(alias),
                format!("is another name of {key}: send only one of the two"),
            );
        }
        real.or(other)
    }

    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_unset(&value) {
            self.output.insert(key.to_owned(), value);
        }
    }

    /// A string field, echoed as sent.
    pub(super) fn text(&mut self, report: &mut Report, key: &'static str) -> Option<String> {
        let text = self.hidden_text(report, key)?;
        self.put(key, text.clone());
        Some(text)
    }

    /// A string field that must be there.
    pub(super) fn required_text(&mut self, report: &mut Report, key: &'static str) -> Option<String> {
        let before = report.problems.len();
        let text = self.text(report, key);
        if text.is_none() && report.problems.len() == before {
            report.refuse(self.at(key), "is required");
        }
        text
    }

    /// A string field that is read and not echoed: a secret.
    pub(super) fn hidden_text(&mut self, report: &mut Report, key: &'static str) -> Option<String> {
        match self.raw(key)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                report.refuse(self.at(key), "must be a string");
                None
            }
        }
    }

    /// A string field that may also be written as an integer.
    pub(super) fn text_or_integer(&mut self, report: &mut Report, key: &'static str) -> Option<String> {
        let text = match self.raw(key)? {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => {
                report.refuse(self.at(key), "must be a string or an integer");
                return None;
            }
        };
        self.put(key, text.clone());
        Some(text)
    }

    /// An integer field; with `lenient` a decimal string will do.
    pub(super) fn integer(&mut self, report: &mut Report, key: &'static str, lenient: bool) -> Option<i64> {
        let number = match self.raw(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) if lenient => decimal(text),
            _ => None,
        };
        match number {
            Some(number) => self.put(key, number),
            None => report.refuse(self.at(key), "must be an integer"),
        }
        number
    }

    /// A boolean field as sent; `false` is echoed only where `keep_false` says so.
    pub(super) fn boolean(&mut self, report: &mut Report, key: &'static str, keep_false: bool) -> Option<bool> {
        let Value::Bool(flag) = self.raw(key)? else {
            report.refuse(self.at(key), "must be true or false");
            return None;
        };
        if *flag || keep_false {
            self.put(key, *flag);
        }
        Some(*flag)
    }

    /// A boolean field that must be there; echoed as sent.
    pub(super) fn required_boolean(&mut self, report: &mut Report, key: &'static str) -> Option<bool> {
        let before = report.problems.len();
        let flag = self.boolean(report, key, true);
        if flag.is_none() && report.problems.len() == before {
            report.refuse(self.at(key), "is required");
        }
        flag
    }

    /// A nested object.
    pub(super) fn section(&mut self, report: &mut Report, key: &'static str) -> Option<Section<'a>> {
        let value = self.raw(key)?;
        as_section(report, self.at(key), value)
    }

    /// A nested object that must be there.
    pub(super) fn required_section(&mut self, report: &mut Report, key: &'static str) -> Option<Section<'a>> {
        let before = report.problems.len();
        let section = self.section(report, key);
        if section.is_none() && report.problems.len() == before {
            report.refuse(self.at(key), "is required");
        }
        section
    }

    /// A list, as pairs of path and value; empty when unset.
    pub(super) fn list(&mut self, report: &mut Report, key: &'static str) -> Vec<(String, &'a Value)> {
        let path = self.at(key);
        match self.raw(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (format!("{path}[{index}]"), item))
                .collect(),
            Some(_) => {
                report.refuse(path, "must be a list");
                Vec::new()
            }
        }
    }

    /// A list of objects.
    pub(super) fn sections(&mut self, report: &mut Report, key: &'static str) -> Vec<Section<'a>> {
        let items = self.list(report, key);
        items
            .into_iter()
            .filter_map(|(path, item)| as_section(report, path, item))
            .collect()
    }

    /// A list of strings, echoed as sent; pairs of path and text.
    pub(super) fn texts(&mut self, report: &mut Report, key: &'static str) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (path, item) in self.list(report, key) {
            match item {
                Value::String(text) => texts.push((path, text.clone())),
                _ => report.refuse(path, "must be a string"),
            }
        }
        self.put(
            key,
            texts
                .iter()
                .map(|(_, text)| Value::from(text.as_str()))
                .collect::<Vec<_>>(),
        );
        texts
    }

    /// A map of strings to strings; integers and booleans are read as their usual text, `null` as absent.
    pub(super) fn map(&mut self, report: &mut Report, key: &'static str) -> Vec<(String, String)> {
        let path = self.at(key);
        let fields = match self.raw(key) {
            None => return Vec::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => {
                report.refuse(path, "must be a map of strings");
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for (name, value) in fields {
            match value {
                Value::Null => {}
                Value::String(text) => entries.push((name.clone(), text.clone())),
                Value::Bool(flag) => entries.push((name.clone(), flag.to_string())),
                Value::Number(number) if number.is_i64() || number.is_u64() => {
                    entries.push((name.clone(), number.to_string()));
                }
                _ => report.refuse(
                    format!("{path}[{}]", quote(name)),
                    "must be a string, an integer or a boolean",
                ),
            }
        }
        self.put(
            key,
            entries
                .iter()
                .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
                .collect::<Map<_, _>>(),
        );
        entries
    }

    /// Notes the keys nobody asked for, and gives the normalised object.
    pub(super) fn finish(self, report: &mut Report) -> Value {
        for (key, value) in self.input {
            if !self.known.contains(&key.as_str()) && !is_unset(value) {
                report.ignore(self.at(&plain(key)));
            }
        }
        Value::Object(self.output)
    }

    /// Gives the normalised object without a word about unknown keys.
    pub(super) fn finish_silently(self) -> Value {
        Value::Object(self.output)
    }
}

/// A value as an object to read.
pub(super) fn as_section<'a>(report: &mut Report, path: String, value: &'a Value) -> Option<Section<'a>> {
    match value {
        Value::Object(fields) => Some(Section::new(path, fields)),
        _ => {
            report.refuse(path, "must be an object");
            None
        }
    }
}

/// A key as a header can carry it: printable, without the characters that end a quoted text, and short.
fn plain(key: &str) -> String {
    let safe = |character: char| character.is_ascii_graphic() && !['"', '\\', ','].contains(&character);
    key.chars()
        .take(64)
        .map(|character| if safe(character) { character } else { '?' })
        .collect()
}

fn decimal(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
