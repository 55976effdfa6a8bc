//! Small conversions between model values and columns, shared by the noun files.

use std::{str::FromStr, time::Duration};

use reeve_model::Timestamp;

use crate::engine::{Error, Result, Row};

/// Reads a text column into anything that parses.
pub(crate) fn parsed<T: FromStr>(row: &Row, index: usize) -> Result<T> {
    let text = row.str(index)?;
    text.parse()
        .map_err(|_| Error::Corrupt(format!("column {index} holds \"{text}\"")))
}

/// Reads a word column with its noun's own reader.
pub(crate) fn word<T>(row: &Row, index: usize, read: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text = row.str(index)?;
    read(text).ok_or_else(|| Error::Corrupt(format!("column {index} holds the unknown word \"{text}\"")))
}

/// Reads an integer column into a narrower type.
pub(crate) fn narrow<T: TryFrom<i64>>(row: &Row, index: usize) -> Result<T> {
    let value = row.int(index)?;
    T::try_from(value).map_err(|_| Error::Corrupt(format!("column {index} holds {value}")))
}

/// Reads an optional integer column into a narrower type.
pub(crate) fn narrow_opt<T: TryFrom<i64>>(row: &Row, index: usize) -> Result<Option<T>> {
    match row.int_opt(index)? {
        None => Ok(None),
        Some(value) => T::try_from(value)
            .map(Some)
            .map_err(|_| Error::Corrupt(format!("column {index} holds {value}"))),
    }
}

/// Reads an instant.
pub(crate) fn at(row: &Row, index: usize) -> Result<Timestamp> {
    row.int(index).map(Timestamp)
}

/// Reads an optional instant.
pub(crate) fn at_opt(row: &Row, index: usize) -> Result<Option<Timestamp>> {
    Ok(row.int_opt(index)?.map(Timestamp))
}

/// Reads a span of microseconds.
pub(crate) fn span(row: &Row, index: usize) -> Result<Duration> {
    narrow::<u64>(row, index).map(Duration::from_micros)
}

/// A span as microseconds.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
