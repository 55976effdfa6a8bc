//! A string that must not be shown.
//!
//! It exists so that tokens and credentials cannot slip into a log line or an error by way of `{:?}`. It does not
//! wipe memory: whoever reads this process's memory has the credential anyway.

use std::fmt;

/// A join token or credential; prints as stars.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, without surrounding white space (tokens often come from files that end in a newline).
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text itself, for the one place that sends or saves it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True when there is nothing in it: no token was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}
