//! The filter language of the CycleCloud dialect: parse once, evaluate against many records.
//!
//! It is the ClassAd family of expressions: three-valued logic, where an attribute that is absent is
//! `undefined` and quietly fails to match instead of failing the request.
//! The same language computes values in cluster templates.
//! It knows JSON objects and nothing of nodes or clusters: what the names mean is the caller's affair.
//!
//! Start reading in `parser` (the grammar), then `evaluate`.
//!
//! **Invariant:** no expression can overflow the stack or take unbounded memory. Nesting is limited by the
//! parser, chains such as `a + b + c` are flat lists and not trees, and strings have a maximum length.

mod evaluate;
mod functions;
mod lexer;
mod parser;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value as Json};

pub use value::{Value, equal_ignoring_case, find_ignoring_case};

use parser::Node;

/// Longest expression accepted, in bytes.
pub const LENGTH_MAX: usize = 64 * 1024;

/// Deepest nesting accepted: parentheses, lists, records, calls and conditional branches.
pub const DEPTH_MAX: usize = 100;

/// Why a text is not an expression, and where. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line inside the expression.
    pub line: u32,
    /// Column of the offending token.
    pub column: u32,
    /// What is wrong, in a phrase for the person who wrote the expression.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A parsed expression, ready to be evaluated any number of times.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// The attribute names the expression reads, without members: `a.b + c` reads `a` and `c`.
    /// In order of appearance; a name may repeat.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.collect_names(&mut names);
        names
    }
}

/// Parses an expression.
///
/// Fails on a syntax error, an unknown function, a wrong number of arguments, a literal regular expression
/// that does not compile, or an expression beyond [`LENGTH_MAX`] or [`DEPTH_MAX`].
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    if text.len() > LENGTH_MAX {
        let message = format!("the expression is longer than {LENGTH_MAX} bytes");
        return Err(ParseError {
            line: 1,
            column: 1,
            message,
        });
    }
    let tokens = lexer::tokens(text)?;
    parser::parse(tokens).map(|root| Expression { root })
}

/// The value of the expression, with the members of `record` as attributes.
///
/// Never fails: what goes wrong becomes [`Value::Error`].
pub fn evaluate(expression: &Expression, record: &Map<String, Json>) -> Value {
    evaluate::evaluate(&expression.root, record)
}

/// Whether the record matches: only if the expression is exactly `true`.
pub fn matches(expression: &Expression, record: &Map<String, Json>) -> bool {
    matches!(evaluate(expression, record), Value::Boolean(true))
}
