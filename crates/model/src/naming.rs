//! Names of nodes: formats with one index, lowest free index first, and what a legal name is.

use std::collections::HashSet;

use crate::error::{Error, Result};

/// A name format with at most one `%d` or `%0Nd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    before: String,
    /// Zero-padded width of the index; `None` when there is no index.
    index: Option<usize>,
    after: String,
}

impl Format {
    /// Reads a format; `%%` is a literal percent sign.
    ///
    /// # Errors
    /// `Invalid` for more than one index or an unknown directive.
    pub fn parse(text: &str) -> Result<Self> {
        let mut format = Self {
            before: String::new(),
            index: None,
            after: String::new(),
        };
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            if letter != '%' {
                format.tail().push(letter);
                continue;
            }
            if rest.peek() == Some(&'%') {
                rest.next();
                format.tail().push('%');
                continue;
            }
            let digits: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_digit)).collect();
            let padded = digits.is_empty() || (digits.starts_with('0') && digits.len() <= 3);
            if rest.next() != Some('d') || !padded {
                return Err(Error::invalid(
                    "nameFormat",
                    format!("name format \"{text}\": after % only d, 0Nd or % may stand"),
                ));
            }
            if format.index.is_some() {
                return Err(Error::invalid(
                    "nameFormat",
                    format!("name format \"{text}\" has more than one index"),
                ));
            }
            format.index = Some(digits.parse().unwrap_or(0));
        }
        Ok(format)
    }

    fn tail(&mut self) -> &mut String {
        if self.index.is_some() {
            &mut self.after
        } else {
            &mut self.before
        }
    }

    /// True when the format holds an index.
    #[must_use]
    pub fn indexed(&self) -> bool {
        self.index.is_some()
    }

    /// The name with `index` put in.
    #[must_use]
    pub fn name(&self, index: u32) -> String {
        match self.index {
            None => self.before.clone(),
            Some(width) => format!("{}{index:0width$}{}", self.before, self.after),
        }
    }
}

/// Names compare without case; this is the form in which they are compared and kept unique.
#[must_use]
pub fn key(name: &str) -> String {
    name.to_lowercase()
}

/// Longest legal node name.
pub const NODE_NAME_MAX: usize = 63;

/// # Errors
/// `Invalid` unless `name` is 1 to 63 of `[A-Za-z0-9_.-]`, the first a letter or digit.
pub fn check_node_name(name: &str) -> Result<()> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let first = name.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    if first && name.len() <= NODE_NAME_MAX && name.chars().all(legal) {
        return Ok(());
    }
    Err(Error::invalid(
        "name",
        format!("\"{name}\" is no node name: 1 to {NODE_NAME_MAX} of A-Z a-z 0-9 _ . -, the first a letter or digit"),
    ))
}

/// The next `count` names from `format`, lowest free index first, from `offset` upwards; each is added to `taken`
/// (in [`key`] form).
///
/// # Errors
/// `AlreadyExists` when a format without index is taken, `Invalid` for an illegal name or when indices run out.
pub fn allocate(format: &Format, offset: u32, count: u32, taken: &mut HashSet<String>) -> Result<Vec<String>> {
    let mut names = Vec::with_capacity(count as usize);
    if !format.indexed() {
        if count == 0 {
            return Ok(names);
        }
        if count > 1 {
            return Err(Error::invalid(
                "nameFormat",
                "a name format without an index makes exactly one node",
            ));
        }
        let name = format.name(0);
        check_node_name(&name)?;
        if !taken.insert(key(&name)) {
            return Err(Error::new(
                crate::Kind::AlreadyExists,
                format!("a node named \"{name}\" already exists"),
            ));
        }
        return Ok(vec![name]);
    }
    let mut index = offset;
    while names.len() < count as usize {
        let name = format.name(index);
        check_node_name(&name)?;
        if taken.insert(key(&name)) {
            names.push(name);
        }
        index = index
            .checked_add(1)
            .ok_or_else(|| Error::invalid("nameOffset", "no index is left above the offset"))?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, offset: u32, count: u32, taken: &[&str], expected: &[&str]) {
        let mut taken = taken.iter().map(|name| key(name)).collect();
        assert_eq!(
            allocate(&Format::parse(format).unwrap(), offset, count, &mut taken).unwrap(),
            expected
        );
    }

    #[test]
    fn the_lowest_free_index_is_taken_first() {
        check("htc-%d", 1, 1, &["htc-1", "HTC-2", "htc-3"], &["htc-4"]);
        check("htc-%d", 1, 2, &["htc-1", "htc-3", "htc-4"], &["htc-2", "htc-5"]);
        check("htc-%d", 4, 1, &["htc-4", "htc-5"], &["htc-6"]);
        check("a%03d%%x".replace("%%", "").as_str(), 1, 2, &[], &["a001x", "a002x"]);
        check("login", 1, 1, &[], &["login"]);
    }

    #[test]
    fn formats_with_two_indices_or_other_directives_are_refused() {
        for text in ["%d-%d", "%s", "%5d", "x%", "%1000d"] {
            assert!(Format::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fixed_name_that_exists_is_refused_and_a_bad_one_too() {
        let mut taken = HashSet::from([key("login")]);
        assert_eq!(
            allocate(&Format::parse("Login").unwrap(), 1, 1, &mut taken)
                .unwrap_err()
                .kind,
            crate::Kind::AlreadyExists
        );
        assert!(allocate(&Format::parse("-x").unwrap(), 1, 1, &mut taken).is_err());
        assert!(check_node_name(&"x".repeat(64)).is_err());
    }
}
