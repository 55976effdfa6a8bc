//! What is bound to a placeholder; it deliberately knows only the three column types both engines share.

use super::{Error, Result};
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

/// A value for a placeholder. PostgreSQL wants to know the type of a null, so there are three.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A BIGINT null.
    Null,
    /// A BIGINT; a bool as 0 or 1.
    Int(i64),
    /// A DOUBLE PRECISION.
    Real(f64),
    /// A TEXT.
    Text(String),
    /// A TEXT null.
    NullText,
    /// A DOUBLE PRECISION null.
    NullReal,
}

/// The values for a statement's placeholders in order: `args![id, name, Some(3_i64)]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::engine::Value::from($value)),*] };
}

macro_rules! values {
    ($($type:ty, $null:ident, $value:ident => $made:expr;)*) => { $(
        impl From<$type> for Value {
            fn from($value: $type) -> Self { $made }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self { value.map_or(Self::$null, Self::from) }
        }
    )* };
}

values! {
    i64, Null, value => Self::Int(value);
    i32, Null, value => Self::Int(value.into());
    u32, Null, value => Self::Int(value.into());
    bool, Null, value => Self::Int(value.into());
    f64, NullReal, value => Self::Real(value);
    String, NullText, value => Self::Text(value);
    &str, NullText, value => Self::Text(value.to_owned());
    &String, NullText, value => Self::Text(value.clone());
}

/// As SQLite's driver takes them.
pub(super) fn for_sqlite(values: Vec<Value>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Null | Value::NullText | Value::NullReal => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| Error::Other(error.to_string()))?;
    }
    Ok(arguments)
}

/// As PostgreSQL's driver takes them.
pub(super) fn for_postgres(values: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for value in values {
        match value {
            Value::Null => arguments.add(None::<i64>),
            Value::NullText => arguments.add(None::<String>),
            Value::NullReal => arguments.add(None::<f64>),
            Value::Int(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| Error::Other(error.to_string()))?;
    }
    Ok(arguments)
}
