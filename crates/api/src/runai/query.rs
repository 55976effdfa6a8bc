//! Query strings of lists: paging, sorting, filtering, searching, by the rules all lists of this dialect share.
//!
//! Pure: a list names its [`Field`]s, says what a [`Row`] holds in each, and gets back the rows that were asked for.

use std::cmp::Ordering;

use reeve_model::{Error, Result, Timestamp};

use super::time;

/// What a field holds, which decides how it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Free text; equal only to the same bytes.
    Text,
    /// An id or a word from a list; equal without case.
    Word,
    /// A number.
    Number,
    /// An instant.
    Time,
}

/// A field that a list can be filtered and sorted by.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in expressions.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// `search` looks into it.
    pub searched: bool,
}

/// What a row holds in a field.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Value {
    /// Text or a word.
    Text(String),
    /// A number.
    Number(f64),
    /// An instant.
    Time(Timestamp),
}

/// An element of a list.
pub trait Row {
    /// What it holds in the field called `name`; `None` when it lacks it.
    fn value(&self, name: &str) -> Option<Value>;
    /// Its place when nobody asks for an order: creation time, then id.
    fn place(&self) -> (Timestamp, String);
}

/// The parameters of a query string.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string; an empty one is fine. Parameters without a value count as absent.
    ///
    /// # Errors
    /// `Invalid` when it is not form-encoded.
    pub fn parse(query: &str) -> Result<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|error| Error::invalid("", format!("the query string is malformed: {error}")))?;
        Ok(Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()))
    }

    /// The values of a parameter that may be repeated.
    pub fn every<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A truth value, `false` when absent.
    ///
    /// # Errors
    /// `Invalid` for anything but true, false, 1 and 0.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Error::invalid(
                name,
                format!("{name} must be true or false, not \"{other}\""),
            )),
        }
    }

    /// One of `words`. A Python client may send `ClassName.MEMBER`: what stands before the last dot, case, and all that
    /// is neither letter nor digit do not matter.
    ///
    /// # Errors
    /// `Invalid`, listing the words.
    pub fn choice(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(given) = self.get(name) else { return Ok(None) };
        let member = plain(given.rsplit_once('.').map_or(given, |(_, member)| member));
        let found = words.iter().copied().find(|word| plain(word) == member);
        let unknown = || {
            Error::invalid(
                name,
                format!("{name} is \"{given}\", but must be one of: {}", words.join(", ")),
            )
        };
        found.map(Some).ok_or_else(unknown)
    }

    fn number(&self, name: &str, default: usize, from: usize, to: usize) -> Result<usize> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse()
            .ok()
            .filter(|number| (from..=to).contains(number))
            .ok_or_else(|| Error::invalid(name, format!("{name} must be between {from} and {to}, not \"{text}\"")))
    }
}

fn plain(word: &str) -> String {
    word.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// Most elements a page may have.
pub const LIMIT_MAX: usize = 500;
/// Elements of a page when nobody said how many.
pub const LIMIT_DEFAULT: usize = 50;

/// Operators, two bytes each.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=@", Operator::Contains),
    ("!@", Operator::Lacks),
    ("=^", Operator::Starts),
    ("=$", Operator::Ends),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Contains,
    Lacks,
    Starts,
    Ends,
}

#[derive(Debug, Clone, PartialEq)]
struct Expression {
    field: &'static str,
    kind: Kind,
    operator: Operator,
    value: Value,
}

/// What was asked of a list.
#[derive(Debug, Clone)]
pub struct Query {
    filters: Vec<Expression>,
    search: Option<String>,
    searched: Vec<&'static str>,
    sort: Option<&'static str>,
    descending: bool,
    offset: usize,
    limit: usize,
}

impl Query {
    /// Reads the parameters of a list with `fields`.
    ///
    /// # Errors
    /// `Invalid` for a page, an order or a filter that breaks a rule.
    pub fn read(params: &Params, fields: &[Field]) -> Result<Self> {
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        let mut filters = Vec::new();
        for text in params.every("filterBy") {
            filters.extend(expressions(text, fields)?);
        }
        Ok(Self {
            filters,
            search: params.get("search").map(str::to_lowercase),
            searched: fields
                .iter()
                .filter(|field| field.searched)
                .map(|field| field.name)
                .collect(),
            sort: params.choice("sortBy", &names)?,
            descending: params.choice("sortOrder", &["asc", "desc"])? == Some("desc"),
            offset: params.number("offset", 0, 0, i32::MAX as usize)?,
            limit: params.number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)?,
        })
    }

    /// True when `row` passes every filter and holds the searched text.
    pub fn takes(&self, row: &impl Row) -> bool {
        let found = |name: &&str| {
            matches!((row.value(name), &self.search),
            (Some(Value::Text(text)), Some(part)) if text.to_lowercase().contains(part))
        };
        self.filters.iter().all(|filter| filter.holds(row))
            && (self.search.is_none() || self.searched.iter().any(found))
    }

    /// The rows that were asked for, in order, of all pages.
    #[must_use]
    pub fn all<R: Row>(&self, rows: Vec<R>) -> Vec<R> {
        let mut rows: Vec<R> = rows.into_iter().filter(|row| self.takes(row)).collect();
        rows.sort_by_cached_key(Row::place);
        if let Some(field) = self.sort {
            let mut keyed: Vec<_> = rows
                .into_iter()
                .map(|row| (row.value(field), row.place().1, row))
                .collect();
            keyed.sort_by(|left, right| self.order(&left.0, &right.0).then_with(|| left.1.cmp(&right.1)));
            rows = keyed.into_iter().map(|(_, _, row)| row).collect();
        }
        rows
    }

    /// The one page that was asked for.
    #[must_use]
    pub fn page<R: Row>(&self, rows: Vec<R>) -> Vec<R> {
        self.all(rows).into_iter().skip(self.offset).take(self.limit).collect()
    }

    /// Rows that lack the field come last in both directions.
    fn order(&self, left: &Option<Value>, right: &Option<Value>) -> Ordering {
        match (left, right) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(left), Some(right)) => {
                let order = left.partial_cmp(right).unwrap_or(Ordering::Equal);
                if self.descending { order.reverse() } else { order }
            }
        }
    }
}

/// The known field and operator at the beginning of `text`, the longest name first, with what follows.
fn head<'a>(text: &'a str, fields: &[Field]) -> Option<(Field, Operator, &'a str)> {
    let operator = |rest: &str| {
        OPERATORS
            .iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .map(|(_, operator)| *operator)
    };
    fields
        .iter()
        .filter_map(|field| {
            let rest = text.strip_prefix(field.name)?;
            Some((*field, operator(rest)?, &rest[2..]))
        })
        .max_by_key(|(field, _, _)| field.name.len())
}

/// Splits at commas that begin a new expression; any other comma belongs to the value before it.
fn expressions(text: &str, fields: &[Field]) -> Result<Vec<Expression>> {
    let mut starts = vec![0];
    starts.extend(
        text.match_indices(',')
            .map(|(at, _)| at + 1)
            .filter(|at| head(&text[*at..], fields).is_some()),
    );
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| expression(&text[*start..end], fields))
        .collect()
}

fn expression(text: &str, fields: &[Field]) -> Result<Expression> {
    let names = || fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
    let wrong = |why: String| Error::invalid("filterBy", format!("\"{text}\" is no filter: {why}"));
    let (field, operator, given) = head(text, fields).ok_or_else(|| {
        wrong(format!(
            "it must begin with one of {}, then ==, !=, <=, >=, =@, !@, =^ or =$",
            names()
        ))
    })?;
    if given.is_empty() {
        return Err(wrong("the value is missing".into()));
    }
    let for_text = matches!(
        operator,
        Operator::Contains | Operator::Lacks | Operator::Starts | Operator::Ends
    );
    if for_text && matches!(field.kind, Kind::Number | Kind::Time) {
        return Err(wrong(format!("{} is not text", field.name)));
    }
    let value = match field.kind {
        Kind::Text | Kind::Word => Value::Text(given.to_owned()),
        Kind::Number => {
            let number = given.parse().ok().filter(|number: &f64| number.is_finite());
            Value::Number(number.ok_or_else(|| wrong(format!("\"{given}\" is not a number")))?)
        }
        Kind::Time => Value::Time(time::parse(given).map_err(|error| wrong(error.message))?),
    };
    Ok(Expression {
        field: field.name,
        kind: field.kind,
        operator,
        value,
    })
}

impl Expression {
    fn holds(&self, row: &impl Row) -> bool {
        let Some(held) = row.value(self.field) else {
            return matches!(self.operator, Operator::Unequal | Operator::Lacks);
        };
        match (&held, &self.value) {
            (Value::Text(held), Value::Text(wanted)) => self.holds_text(held, wanted),
            _ => self.holds_order(held.partial_cmp(&self.value)),
        }
    }

    fn holds_text(&self, held: &str, wanted: &str) -> bool {
        let lower = |text: &str| text.to_lowercase();
        let equal = held == wanted || self.kind == Kind::Word && held.eq_ignore_ascii_case(wanted);
        match self.operator {
            Operator::Equal => equal,
            Operator::Unequal => !equal,
            Operator::AtMost => held <= wanted,
            Operator::AtLeast => held >= wanted,
            Operator::Contains => lower(held).contains(&lower(wanted)),
            Operator::Lacks => !lower(held).contains(&lower(wanted)),
            Operator::Starts => lower(held).starts_with(&lower(wanted)),
            Operator::Ends => lower(held).ends_with(&lower(wanted)),
        }
    }

    fn holds_order(&self, order: Option<Ordering>) -> bool {
        match self.operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::Unequal => order != Some(Ordering::Equal),
            Operator::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Operator::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Operator::Contains | Operator::Lacks | Operator::Starts | Operator::Ends => false,
        }
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
