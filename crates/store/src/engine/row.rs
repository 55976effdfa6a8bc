//! One row of an answer, read by column position; it deliberately knows no column names, which cost a look-up each.

use super::{Error, Result};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

/// One row of an answer. Columns count from 0; one that is absent, null unawares or of another type is
/// [`Error::Corrupt`].
pub struct Row(Kind);

enum Kind {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self(Kind::Sqlite(row))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self(Kind::Postgres(row))
    }
}

impl Row {
    /// An integer.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is null or no integer.
    pub fn int(&self, i: usize) -> Result<i64> {
        self.int_opt(i)?.ok_or_else(|| null(i))
    }

    /// An integer or null.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is no integer.
    pub fn int_opt(&self, i: usize) -> Result<Option<i64>> {
        match &self.0 {
            Kind::Sqlite(row) => row.try_get(i).map_err(unreadable),
            Kind::Postgres(row) => postgres_int(row, i),
        }
    }

    /// A floating point number.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is null or no number.
    pub fn real(&self, i: usize) -> Result<f64> {
        self.real_opt(i)?.ok_or_else(|| null(i))
    }

    /// A floating point number or null.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is no number.
    pub fn real_opt(&self, i: usize) -> Result<Option<f64>> {
        match &self.0 {
            // An expression over whole numbers is an integer to SQLite.
            Kind::Sqlite(row) => match row.try_get(i) {
                Ok(value) => Ok(value),
                Err(_) => Ok(row
                    .try_get::<Option<i64>, _>(i)
                    .map_err(unreadable)?
                    .map(|value| value as f64)),
            },
            Kind::Postgres(row) => row.try_get(i).map_err(unreadable),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is null or no text.
    pub fn text(&self, i: usize) -> Result<String> {
        self.text_opt(i)?.ok_or_else(|| null(i))
    }

    /// A text or null.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is no text.
    pub fn text_opt(&self, i: usize) -> Result<Option<String>> {
        match &self.0 {
            Kind::Sqlite(row) => row.try_get(i).map_err(unreadable),
            Kind::Postgres(row) => row.try_get(i).map_err(unreadable),
        }
    }

    /// A text, borrowed from the row: for what is parsed and dropped.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is null or no text.
    pub fn str(&self, i: usize) -> Result<&str> {
        let text: Option<&str> = match &self.0 {
            Kind::Sqlite(row) => row.try_get(i).map_err(unreadable)?,
            Kind::Postgres(row) => row.try_get(i).map_err(unreadable)?,
        };
        text.ok_or_else(|| null(i))
    }

    /// A truth: an integer other than 0, or a condition of the statement.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is null or neither.
    pub fn bool(&self, i: usize) -> Result<bool> {
        if let Kind::Postgres(row) = &self.0
            && let Ok(value) = row.try_get(i)
        {
            return Ok(value);
        }
        Ok(self.int(i)? != 0)
    }
}

/// A whole number of any width: PostgreSQL's literals and some of its functions are narrower than BIGINT.
fn postgres_int(row: &PgRow, i: usize) -> Result<Option<i64>> {
    let raw = row.try_get_raw(i).map_err(unreadable)?;
    if raw.is_null() {
        return Ok(None);
    }
    let kind = raw.type_info();
    match kind.name() {
        "INT8" => row.try_get(i).map_err(unreadable),
        "INT4" => Ok(row.try_get::<Option<i32>, _>(i).map_err(unreadable)?.map(i64::from)),
        other => Err(Error::Corrupt(format!(
            "column {i} is {other} where an integer was expected"
        ))),
    }
}

fn null(i: usize) -> Error {
    Error::Corrupt(format!("column {i} is null"))
}

fn unreadable(error: sqlx::Error) -> Error {
    Error::Corrupt(error.to_string())
}
