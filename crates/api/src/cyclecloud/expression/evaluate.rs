//! The operators: a tree and a record to a value.
//!
//! Nothing here fails; a wrong operation is the value `error`. Where several things are wrong, an error wins
//! over undefined, and for `&&` and `||` the side that decides wins over both.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use super::functions;
use super::parser::{Binary, Node, Prefix, Step};
use super::value::{Value, find_ignoring_case, member};

/// Longest string an expression can build, in bytes: a list of many built strings must still fit in memory.
pub(super) const TEXT_MAX: usize = 64 * 1024;

/// Evaluates a node; the record's members are the names.
pub(super) fn evaluate(node: &Node, record: &Map<String, Json>) -> Value {
    match node {
        Node::Literal(value) => value.clone(),
        Node::Name(name) => find_ignoring_case(record, name).map_or(Value::Undefined, Value::from),
        Node::List(items) => Value::List(items.iter().map(|item| evaluate(item, record)).collect()),
        Node::Record(members) => Value::Record(
            members
                .iter()
                .map(|(name, item)| (name.clone(), evaluate(item, record)))
                .collect(),
        ),
        Node::Prefix { operators, operand } => {
            let value = evaluate(operand, record);
            operators
                .iter()
                .rev()
                .fold(value, |value, operator| prefix(*operator, value))
        }
        Node::Chain { first, rest } => chain(first, rest, record),
        Node::Postfix { base, steps } => postfix(base, steps, record),
        Node::Choice(branches) => match evaluate(&branches[0], record) {
            Value::Boolean(true) => evaluate(&branches[1], record),
            Value::Boolean(false) => evaluate(&branches[2], record),
            _ => Value::Undefined,
        },
        Node::Call(call) => {
            let arguments = call
                .arguments
                .iter()
                .map(|argument| evaluate(argument, record))
                .collect();
            functions::apply(call, arguments)
        }
    }
}

fn chain(first: &Node, rest: &[(Binary, Node)], record: &Map<String, Json>) -> Value {
    let mut value = evaluate(first, record);
    for (operator, operand) in rest {
        // Once decided, `&&` and `||` stay decided whatever follows on their level.
        match (operator, &value) {
            (Binary::And, Value::Boolean(false)) | (Binary::Or, Value::Boolean(true)) => {
                return value;
            }
            _ => value = binary(*operator, value, evaluate(operand, record)),
        }
    }
    value
}

/// Walks leading members inside the JSON, so that `Configuration.slurm.hpc` copies one boolean and not the
/// whole configuration of every node.
fn postfix(base: &Node, steps: &[Step], record: &Map<String, Json>) -> Value {
    let mut steps = steps.iter().peekable();
    let mut value = match base {
        Node::Name(name) => {
            let mut json = find_ignoring_case(record, name);
            while let Some(Step::Member(name)) = steps.peek() {
                json = json
                    .and_then(Json::as_object)
                    .and_then(|members| find_ignoring_case(members, name));
                steps.next();
            }
            json.map_or(Value::Undefined, Value::from)
        }
        other => evaluate(other, record),
    };
    for step in steps {
        value = match step {
            Step::Member(name) => take_member(value, name),
            Step::Index(index) => take_item(value, evaluate(index, record)),
        };
    }
    value
}

fn take_member(base: Value, name: &str) -> Value {
    match base {
        Value::Record(members) => member(&members, name).cloned().unwrap_or(Value::Undefined),
        Value::Error(_) => base,
        _ => Value::Undefined,
    }
}

fn take_item(base: Value, index: Value) -> Value {
    match (base, index) {
        (error @ Value::Error(_), _) | (_, error @ Value::Error(_)) => error,
        (Value::List(items), Value::Integer(index)) => usize::try_from(index)
            .ok()
            .and_then(|index| items.into_iter().nth(index))
            .unwrap_or(Value::Undefined),
        (record @ Value::Record(_), Value::Text(name)) => take_member(record, &name),
        (Value::List(_) | Value::Record(_), Value::Undefined) => Value::Undefined,
        (Value::List(_), index) => Value::error(format!("a list cannot be indexed by {}", index.kind())),
        (Value::Record(_), index) => Value::error(format!("a record cannot be indexed by {}", index.kind())),
        _ => Value::Undefined,
    }
}

fn prefix(operator: Prefix, value: Value) -> Value {
    match (operator, value) {
        (_, value @ (Value::Undefined | Value::Error(_))) => value,
        (Prefix::Not, Value::Boolean(value)) => Value::Boolean(!value),
        (Prefix::Minus, Value::Integer(value)) => integer(value.checked_neg()),
        (Prefix::Minus, Value::Real(value)) => Value::Real(-value),
        (Prefix::Plus, value @ (Value::Integer(_) | Value::Real(_))) => value,
        (Prefix::Not, other) => Value::error(format!("cannot negate {}", other.kind())),
        (Prefix::Minus | Prefix::Plus, other) => Value::error(format!("{} has no sign", other.kind())),
    }
}

fn binary(operator: Binary, left: Value, right: Value) -> Value {
    match operator {
        Binary::Or => logic(left, right, true),
        Binary::And => logic(left, right, false),
        Binary::Identical => Value::Boolean(left.identical(&right)),
        Binary::NotIdentical => Value::Boolean(!left.identical(&right)),
        Binary::Equal => left.equal(&right),
        Binary::NotEqual => prefix(Prefix::Not, left.equal(&right)),
        Binary::In => contained(&left, &right),
        Binary::Less => compare(&left, &right, Ordering::is_lt),
        Binary::LessOrEqual => compare(&left, &right, Ordering::is_le),
        Binary::Greater => compare(&left, &right, Ordering::is_gt),
        Binary::GreaterOrEqual => compare(&left, &right, Ordering::is_ge),
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
            arithmetic(operator, left, right)
        }
    }
}

/// `&&` and `||`: `decisive` on either side is the answer, whatever the other side is.
fn logic(left: Value, right: Value, decisive: bool) -> Value {
    match (left, right) {
        (Value::Boolean(side), _) | (_, Value::Boolean(side)) if side == decisive => Value::Boolean(decisive),
        (Value::Boolean(_), Value::Boolean(_)) => Value::Boolean(!decisive),
        (error @ Value::Error(_), _) | (_, error @ Value::Error(_)) => error,
        (Value::Undefined | Value::Boolean(_), Value::Undefined | Value::Boolean(_)) => Value::Undefined,
        (Value::Undefined | Value::Boolean(_), other) | (other, _) => {
            Value::error(format!("{} is not a boolean", other.kind()))
        }
    }
}

fn contained(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Error(reason), _) | (_, Value::Error(reason)) => Value::error(reason.clone()),
        (Value::Undefined, _) | (_, Value::Undefined) => Value::Undefined,
        (_, Value::List(items)) => Value::Boolean(items.iter().any(|item| left.equal(item) == Value::Boolean(true))),
        (_, other) => Value::error(format!("\"in\" needs a list, found {}", other.kind())),
    }
}

fn compare(left: &Value, right: &Value, wanted: fn(Ordering) -> bool) -> Value {
    let ordering = match (left, right) {
        (Value::Error(reason), _) | (_, Value::Error(reason)) => {
            return Value::error(reason.clone());
        }
        (Value::Undefined, _) | (_, Value::Undefined) => return Value::Undefined,
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.to_lowercase().cmp(&right.to_lowercase())),
        _ => real(left)
            .zip(real(right))
            .and_then(|(left, right)| left.partial_cmp(&right)),
    };
    match ordering {
        Some(ordering) => Value::Boolean(wanted(ordering)),
        None => Value::error(format!("cannot order {} and {}", left.kind(), right.kind())),
    }
}

fn arithmetic(operator: Binary, left: Value, right: Value) -> Value {
    match (left, right) {
        (error @ Value::Error(_), _) | (_, error @ Value::Error(_)) => error,
        (Value::Undefined, _) | (_, Value::Undefined) => Value::Undefined,
        (Value::Integer(left), Value::Integer(right)) => integers(operator, left, right),
        (Value::Text(left), Value::Text(right)) if operator == Binary::Add => text(left + &right),
        (left, right) => match real(&left).zip(real(&right)) {
            Some((left, right)) => reals(operator, left, right),
            None => Value::error(format!("cannot calculate with {} and {}", left.kind(), right.kind())),
        },
    }
}

fn integers(operator: Binary, left: i64, right: i64) -> Value {
    match operator {
        Binary::Add => integer(left.checked_add(right)),
        Binary::Subtract => integer(left.checked_sub(right)),
        Binary::Multiply => integer(left.checked_mul(right)),
        Binary::Divide | Binary::Remainder if right == 0 => Value::error("division by zero"),
        Binary::Divide => integer(left.checked_div(right)),
        _ => integer(left.checked_rem(right)),
    }
}

fn reals(operator: Binary, left: f64, right: f64) -> Value {
    let result = match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide | Binary::Remainder if right == 0.0 => {
            return Value::error("division by zero");
        }
        Binary::Divide => left / right,
        _ => left % right,
    };
    if result.is_finite() {
        Value::Real(result)
    } else {
        Value::error("the number is out of range")
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Real(value) => Some(*value),
        _ => None,
    }
}

fn integer(value: Option<i64>) -> Value {
    value.map_or_else(|| Value::error("the number is out of range"), Value::Integer)
}

/// A string, or an error if it is longer than [`TEXT_MAX`].
pub(super) fn text(text: String) -> Value {
    if text.len() > TEXT_MAX {
        Value::error("the string is too long")
    } else {
        Value::Text(text)
    }
}
