//! The forms a value can have, and what each becomes once parameters are known.
//!
//! Plain text stays plain here: whether `10` is a number or a name depends on the attribute, and that is for
//! `attributes` to say.

use serde_json::Value as Json;

use super::Notes;
use super::lines::Operator;
use super::parameters::Scope;
use crate::cyclecloud::expression::{self, Expression, Value};

/// A value as written.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    /// Nothing after the equals sign.
    Undefined,
    /// A string in quotes, never converted.
    Text(String),
    /// Anything else without parameters in it.
    Plain(String),
    /// `$Name`
    Parameter(String),
    /// `:= expr`, or `${expr}` alone.
    Expression(Expression),
    /// `text ${expr} text`
    Mixed(Vec<Part>),
}

/// A piece of text with expressions in it.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(String),
    Expression(Expression),
}

/// A value with parameters put in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolved {
    Undefined,
    /// Has its type.
    Value(Json),
    /// Gets its type from the attribute.
    Plain(String),
}

/// Why a value cannot be read; `offset` in characters from its start.
#[derive(Debug)]
pub(super) struct ValueError {
    pub(super) offset: u32,
    pub(super) message: String,
}

fn error_at(text: &str, byte: usize, message: impl Into<String>) -> ValueError {
    let characters = text.get(..byte).map_or(0, |before| before.chars().count());
    ValueError {
        offset: u32::try_from(characters).unwrap_or(u32::MAX),
        message: message.into(),
    }
}

/// Reads a value.
pub(super) fn parse(operator: Operator, text: String) -> Result<Setting, ValueError> {
    match operator {
        Operator::LongText => Ok(Setting::Text(text)),
        _ if text.is_empty() => Ok(Setting::Undefined),
        Operator::Expression => expression_in(&text, 0, text.len()).map(Setting::Expression),
        Operator::Value => plain(text),
    }
}

fn plain(text: String) -> Result<Setting, ValueError> {
    if text.starts_with('"') {
        return quoted(text);
    }
    if let Some(name) = text.strip_prefix('$').filter(|name| is_name(name)) {
        return Ok(Setting::Parameter(name.to_owned()));
    }
    if !text.contains("${") {
        return Ok(Setting::Plain(text));
    }
    let mut parts = parts(&text)?;
    match parts.pop() {
        Some(Part::Expression(only)) if parts.is_empty() => Ok(Setting::Expression(only)),
        last => {
            parts.extend(last);
            Ok(Setting::Mixed(parts))
        }
    }
}

fn is_name(text: &str) -> bool {
    let part = |character: char| character == '_' || character.is_alphanumeric();
    text.starts_with(|character: char| part(character) && !character.is_numeric()) && text.chars().all(part)
}

/// A string in double quotes. One that closes before the end, as in `"a" or "b"`, is plain text after all.
/// An escape that means nothing is kept: paths have backslashes.
fn quoted(text: String) -> Result<Setting, ValueError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if at + 1 == text.len() => return Ok(Setting::Text(value)),
            '"' => return Ok(Setting::Plain(text)),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                other => {
                    value.push('\\');
                    value.extend(other.map(|(_, escaped)| escaped));
                }
            },
            _ => value.push(character),
        }
    }
    Err(error_at(&text, 0, "the string is not closed"))
}

/// Splits text at its `${...}`.
fn parts(text: &str) -> Result<Vec<Part>, ValueError> {
    let mut parts = Vec::new();
    let mut done = 0;
    while let Some(found) = text[done..].find("${") {
        let opening = done + found;
        let start = opening + 2;
        let end = closing_brace(text, start).ok_or_else(|| error_at(text, opening, "\"${\" is not closed"))?;
        if opening > done {
            parts.push(Part::Text(text[done..opening].to_owned()));
        }
        parts.push(Part::Expression(expression_in(text, start, end)?));
        done = end + 1;
    }
    if done < text.len() {
        parts.push(Part::Text(text[done..].to_owned()));
    }
    Ok(parts)
}

/// The brace that closes an expression: lists inside it have braces too, and strings may have any.
fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut characters = text[start..].char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some('"'), '\\') => {
                characters.next();
            }
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(start + at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn expression_in(text: &str, start: usize, end: usize) -> Result<Expression, ValueError> {
    expression::parse(&text[start..end]).map_err(|error| {
        // A value is one line, so the column inside the expression is an offset from its start.
        let before = error_at(text, start, "").offset;
        ValueError {
            offset: before.saturating_add(error.column - 1),
            message: error.message,
        }
    })
}

/// Puts parameters in. What goes wrong is noted at the given place and gives undefined.
pub(super) fn resolve(setting: &Setting, scope: &Scope, place: (u32, u32), notes: &mut Notes) -> Resolved {
    match setting {
        Setting::Undefined => Resolved::Undefined,
        Setting::Text(text) => Resolved::Value(Json::String(text.clone())),
        Setting::Plain(text) => Resolved::Plain(text.clone()),
        Setting::Parameter(name) => match scope.parameter(name) {
            Some(value) => value.clone(),
            None => {
                notes.warn(
                    place.0,
                    format_args!("the parameter {name} is neither declared nor given"),
                );
                Resolved::Undefined
            }
        },
        Setting::Expression(expression) => {
            let value = evaluate(expression, scope, place, notes);
            value.to_json().map_or(Resolved::Undefined, Resolved::Value)
        }
        Setting::Mixed(parts) => mixed(parts, scope, place, notes),
    }
}

fn mixed(parts: &[Part], scope: &Scope, place: (u32, u32), notes: &mut Notes) -> Resolved {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Expression(expression) => match evaluate(expression, scope, place, notes) {
                Value::Undefined => {
                    notes.warn(place.0, "an undefined value is inserted as nothing");
                }
                value @ (Value::List(_) | Value::Record(_)) => {
                    let json = value.to_json().map(|json| json.to_string());
                    text.push_str(&json.unwrap_or_default());
                }
                value => text.push_str(&value.to_text().unwrap_or_default()),
            },
        }
    }
    Resolved::Value(Json::String(text))
}

fn evaluate(expression: &Expression, scope: &Scope, place: (u32, u32), notes: &mut Notes) -> Value {
    match scope.evaluate(expression) {
        Value::Error(reason) => {
            notes.problem(place.0, place.1, format!("the expression is an error: {reason}"));
            Value::Undefined
        }
        value => value,
    }
}
