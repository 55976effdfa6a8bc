//! Values of expressions, their conversion from and to JSON, and the two ways to compare them.
//!
//! Identity (`===`) is about type and case; equality (`==`) is about meaning and may itself be undefined.
//! Order and arithmetic are in `evaluate`.

use serde_json::{Map, Number, Value as Json};

/// What an expression can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Absent: a missing attribute, or something computed from one.
    Undefined,
    /// A wrong operation, with the reason.
    Error(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite real number.
    Real(f64),
    /// A string.
    Text(String),
    /// `{a, b}` or a JSON array.
    List(Vec<Value>),
    /// `[a = 1; b = 2]` or a JSON object, in declared order.
    Record(Vec<(String, Value)>),
}

impl Value {
    /// An error value.
    pub(super) fn error(reason: impl Into<String>) -> Self {
        Self::Error(reason.into())
    }

    /// What the value is called in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Error(_) => "an error",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Real(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Record(_) => "a record",
        }
    }

    /// The value as JSON; `None` for undefined and error. Undefined and wrong members are left out.
    pub fn to_json(&self) -> Option<Json> {
        match self {
            Self::Undefined | Self::Error(_) => None,
            Self::Boolean(value) => Some(Json::Bool(*value)),
            Self::Integer(value) => Some(Json::from(*value)),
            Self::Real(value) => Number::from_f64(*value).map(Json::Number),
            Self::Text(value) => Some(Json::String(value.clone())),
            Self::List(items) => Some(Json::Array(items.iter().filter_map(Self::to_json).collect())),
            Self::Record(members) => {
                let member = |(name, value): &(String, Value)| Some((name.clone(), value.to_json()?));
                Some(Json::Object(members.iter().filter_map(member).collect()))
            }
        }
    }

    /// The value as text, as string functions and templates insert it; `None` if it has no text form.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(value) => Some(value.clone()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Real(value) => Some(format!("{value:?}")),
            Self::Undefined | Self::Error(_) | Self::List(_) | Self::Record(_) => None,
        }
    }

    /// Same type and same value, strings with case. Two errors are identical whatever their reasons.
    pub(super) fn identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Error(_), Self::Error(_)) => true,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.identical(b))
            }
            (Self::Record(left), Self::Record(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(name, a)| member(right, name).is_some_and(|b| a.identical(b)))
            }
            _ => self == other,
        }
    }

    /// The value of `==`: strings without case, integers and reals as numbers, lists and records by their
    /// members. Undefined if an operand is, an error for operands of different kinds.
    pub(super) fn equal(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Error(reason), _) | (_, Self::Error(reason)) => Self::error(reason.clone()),
            (Self::Undefined, _) | (_, Self::Undefined) => Self::Undefined,
            (Self::Boolean(left), Self::Boolean(right)) => Self::Boolean(left == right),
            (Self::Integer(left), Self::Integer(right)) => Self::Boolean(left == right),
            (Self::Integer(integer), Self::Real(real)) | (Self::Real(real), Self::Integer(integer)) => {
                Self::Boolean(*integer as f64 == *real)
            }
            (Self::Real(left), Self::Real(right)) => Self::Boolean(left == right),
            (Self::Text(left), Self::Text(right)) => Self::Boolean(equal_ignoring_case(left, right)),
            (Self::List(left), Self::List(right)) if left.len() == right.len() => {
                all(left.iter().zip(right).map(|(a, b)| a.equal(b)))
            }
            (Self::Record(left), Self::Record(right)) if left.len() == right.len() => all(left
                .iter()
                .map(|(name, a)| member(right, name).map_or(Self::Boolean(false), |b| a.equal(b)))),
            (Self::List(_), Self::List(_)) | (Self::Record(_), Self::Record(_)) => Self::Boolean(false),
            _ => Self::error(format!("cannot compare {} with {}", self.kind(), other.kind())),
        }
    }
}

impl From<&Json> for Value {
    /// JSON null is undefined; a number beyond 64 bits is a real.
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Undefined,
            Json::Bool(value) => Self::Boolean(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                (None, Some(real)) => Self::Real(real),
                (None, None) => Self::error("the number is out of range"),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(members) => Self::Record(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

/// Kleene's conjunction: false if one is false, else the first error, else undefined, else true.
fn all(values: impl Iterator<Item = Value>) -> Value {
    let mut result = Value::Boolean(true);
    for value in values {
        match (&result, &value) {
            (_, Value::Boolean(false)) => return value,
            (_, Value::Boolean(true)) | (Value::Error(_), _) => {}
            _ => result = value,
        }
    }
    result
}

/// The member of that name, without case.
pub(super) fn member<'a>(members: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    members
        .iter()
        .find(|(candidate, _)| equal_ignoring_case(candidate, name))
        .map(|(_, value)| value)
}

/// The member of a JSON object: the one of exactly that name, else the first that differs only in case.
pub fn find_ignoring_case<'a>(record: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    record.get(name).or_else(|| {
        record
            .iter()
            .find(|(candidate, _)| equal_ignoring_case(candidate, name))
            .map(|(_, value)| value)
    })
}

/// Whether two texts differ at most in case.
pub fn equal_ignoring_case(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    lower(left) == lower(right)
}
