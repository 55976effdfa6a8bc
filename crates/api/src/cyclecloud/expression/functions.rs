//! The functions of the language, by table.
//!
//! Regular expressions run on an engine without backtracking, so no pattern can take exponential time.
//! A pattern written as a literal is compiled once, when the expression is parsed.

use regex::{Captures, Regex, RegexBuilder};

use super::evaluate::{TEXT_MAX, text};
use super::parser::Node;
use super::value::{Value, equal_ignoring_case};

/// Largest compiled regular expression, in bytes.
const PATTERN_SIZE_MAX: usize = 1024 * 1024;

/// The functions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    IsUndefined,
    IfUndefined,
    IfThenElse,
    Regexp,
    Regexps,
    Strcat,
    Strjoin,
    Substr,
    Trim,
    ToLower,
    ToUpper,
    Size,
}

/// Name, function, and least and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 12] = [
    ("isUndefined", Function::IsUndefined, 1, 1),
    ("ifUndefined", Function::IfUndefined, 2, 2),
    ("ifThenElse", Function::IfThenElse, 3, 3),
    ("regexp", Function::Regexp, 2, 3),
    ("regexps", Function::Regexps, 3, 4),
    ("strcat", Function::Strcat, 1, usize::MAX),
    ("strjoin", Function::Strjoin, 2, usize::MAX),
    ("substr", Function::Substr, 2, 3),
    ("trim", Function::Trim, 1, 1),
    ("toLower", Function::ToLower, 1, 1),
    ("toUpper", Function::ToUpper, 1, 1),
    ("size", Function::Size, 1, 1),
];

/// A checked call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    function: Function,
    pub(super) arguments: Vec<Node>,
    /// The compiled pattern, where pattern and options are literals.
    pattern: Option<Regex>,
}

/// Looks the function up and checks its arguments; the error is a phrase without position.
pub(super) fn call(name: &str, arguments: Vec<Node>) -> Result<Call, String> {
    let entry = FUNCTIONS.iter().find(|(known, ..)| equal_ignoring_case(known, name));
    let (known, function, least, most) = entry.ok_or_else(|| format!("unknown function {name:?}"))?;
    if arguments.len() < *least || arguments.len() > *most {
        let wanted = match (*least, *most) {
            (least, most) if least == most => least.to_string(),
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        return Err(format!("{known} takes {wanted} arguments, not {}", arguments.len()));
    }
    let pattern = literal_pattern(*function, &arguments)?;
    Ok(Call {
        function: *function,
        arguments,
        pattern,
    })
}

/// Place of the options among the arguments of the two pattern functions.
fn options_index(function: Function) -> Option<usize> {
    match function {
        Function::Regexp => Some(2),
        Function::Regexps => Some(3),
        _ => None,
    }
}

fn literal_pattern(function: Function, arguments: &[Node]) -> Result<Option<Regex>, String> {
    let Some(options_index) = options_index(function) else {
        return Ok(None);
    };
    let options = match arguments.get(options_index) {
        None => "",
        Some(Node::Literal(Value::Text(options))) => options,
        Some(_) => return Ok(None),
    };
    match &arguments[0] {
        Node::Literal(Value::Text(pattern)) => compile(pattern, options).map(Some),
        _ => Ok(None),
    }
}

fn compile(pattern: &str, options: &str) -> Result<Regex, String> {
    if let Some(unknown) = options.chars().find(|option| !option.eq_ignore_ascii_case(&'i')) {
        return Err(format!("unknown regular expression option {unknown:?}"));
    }
    let built = RegexBuilder::new(pattern)
        .case_insensitive(!options.is_empty())
        .size_limit(PATTERN_SIZE_MAX)
        .build();
    built.map_err(|_| format!("{pattern:?} is not a regular expression, or is too large"))
}

/// Applies a call to its evaluated arguments, of which there are as many as the table allows.
pub(super) fn apply(call: &Call, mut arguments: Vec<Value>) -> Value {
    match call.function {
        Function::IsUndefined => Value::Boolean(arguments[0] == Value::Undefined),
        Function::IfUndefined => match arguments.swap_remove(0) {
            Value::Undefined => arguments.swap_remove(0),
            value => value,
        },
        Function::IfThenElse => match arguments[0] {
            Value::Boolean(true) => arguments.swap_remove(1),
            Value::Boolean(false) => arguments.swap_remove(2),
            _ => Value::Undefined,
        },
        _ => strict(call, arguments).unwrap_or_else(|value| value),
    }
}

/// The functions that are undefined or wrong if an argument is; `Err` carries that value.
fn strict(call: &Call, arguments: Vec<Value>) -> Result<Value, Value> {
    let wrong = arguments.iter().find(|value| matches!(value, Value::Error(_)));
    if let Some(value) = wrong.or_else(|| arguments.iter().find(|value| **value == Value::Undefined)) {
        return Err(value.clone());
    }
    match call.function {
        Function::Regexp => Ok(Value::Boolean(
            pattern(call, &arguments)?.is_match(&string(&arguments[1])?),
        )),
        Function::Regexps => replace_all(
            &pattern(call, &arguments)?,
            &string(&arguments[1])?,
            &string(&arguments[2])?,
        ),
        Function::Strcat => Ok(text(join("", &arguments)?)),
        Function::Strjoin => Ok(text(join(&string(&arguments[0])?, &arguments[1..])?)),
        Function::Substr => substr(&arguments),
        Function::Trim => Ok(Value::Text(string(&arguments[0])?.trim().to_owned())),
        Function::ToLower => Ok(text(string(&arguments[0])?.to_lowercase())),
        Function::ToUpper => Ok(text(string(&arguments[0])?.to_uppercase())),
        Function::Size => size(&arguments[0]),
        Function::IsUndefined | Function::IfUndefined | Function::IfThenElse => {
            Err(Value::error("the function takes undefined arguments"))
        }
    }
}

fn string(value: &Value) -> Result<String, Value> {
    value
        .to_text()
        .ok_or_else(|| Value::error(format!("expected a string, found {}", value.kind())))
}

fn pattern(call: &Call, arguments: &[Value]) -> Result<Regex, Value> {
    if let Some(pattern) = &call.pattern {
        return Ok(pattern.clone());
    }
    let options = options_index(call.function).and_then(|index| arguments.get(index));
    let options = options.map_or(Ok(String::new()), string)?;
    compile(&string(&arguments[0])?, &options).map_err(Value::Error)
}

/// Replaces every match; `\1` to `\9` in the replacement are the groups and `\0` the whole match.
fn replace_all(pattern: &Regex, target: &str, replacement: &str) -> Result<Value, Value> {
    let mut result = String::new();
    let mut copied = 0;
    for captures in pattern.captures_iter(target) {
        let Some(found) = captures.get(0) else {
            continue;
        };
        result.push_str(&target[copied..found.start()]);
        expand(&captures, replacement, &mut result);
        copied = found.end();
        if result.len() > TEXT_MAX {
            break;
        }
    }
    result.push_str(&target[copied..]);
    Ok(text(result))
}

fn expand(captures: &Captures<'_>, replacement: &str, result: &mut String) {
    let mut characters = replacement.chars().peekable();
    while let Some(character) = characters.next() {
        let group = characters
            .peek()
            .filter(|_| character == '\\')
            .and_then(|next| next.to_digit(10));
        match group {
            Some(group) => {
                characters.next();
                result.push_str(captures.get(group as usize).map_or("", |found| found.as_str()));
            }
            None => result.push(character),
        }
    }
}

/// Joins values, the members of lists one by one.
fn join(separator: &str, values: &[Value]) -> Result<String, Value> {
    let mut result = String::new();
    let mut first = true;
    let members = values.iter().flat_map(|value| match value {
        Value::List(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    });
    for value in members {
        if !first {
            result.push_str(separator);
        }
        first = false;
        match value {
            Value::Undefined => return Err(Value::Undefined),
            other => result.push_str(&string(other)?),
        }
        if result.len() > TEXT_MAX {
            return Err(Value::error("the string is too long"));
        }
    }
    Ok(result)
}

/// Counts in characters; a negative start counts from the end, a negative length leaves off the end.
fn substr(arguments: &[Value]) -> Result<Value, Value> {
    let source: Vec<char> = string(&arguments[0])?.chars().collect();
    let length = i64::try_from(source.len()).unwrap_or(i64::MAX);
    let start = whole(&arguments[1])?;
    let start = if start < 0 { length.saturating_add(start) } else { start }.clamp(0, length);
    let end = match arguments.get(2).map(whole).transpose()? {
        None => length,
        Some(count) if count < 0 => length.saturating_add(count),
        Some(count) => start.saturating_add(count),
    }
    .clamp(start, length);
    let skip = usize::try_from(start).unwrap_or(0);
    let take = usize::try_from(end - start).unwrap_or(0);
    Ok(Value::Text(source.into_iter().skip(skip).take(take).collect()))
}

fn whole(value: &Value) -> Result<i64, Value> {
    match value {
        Value::Integer(value) => Ok(*value),
        other => Err(Value::error(format!("expected an integer, found {}", other.kind()))),
    }
}

fn size(value: &Value) -> Result<Value, Value> {
    let length = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(items) => items.len(),
        other => return Err(Value::error(format!("{} has no size", other.kind()))),
    };
    Ok(i64::try_from(length).map_or(Value::Undefined, Value::Integer))
}
