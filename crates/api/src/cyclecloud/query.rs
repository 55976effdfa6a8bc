//! Query strings and urlencoded forms as this dialect reads them: the last of a repeated name counts.

/// Names with their values, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string or a form; what can not be read is as if it was not there.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(serde_urlencoded::from_str(text).unwrap_or_default())
    }

    /// Reads the query string of a request that may have none.
    #[must_use]
    pub fn of(text: Option<String>) -> Self {
        text.map_or_else(Self::default, |text| Self::parse(&text))
    }

    /// The last value called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values called `name`, each split at commas.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter().filter(move |(key, _)| key == name);
        all.flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|item| !item.is_empty())
    }

    /// `true` in any case; anything else is false.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_parameter_counts() {
        let query = Query::parse("nodes=false&x=1&nodes=True");
        assert!(query.is_true("nodes"));
        assert!(!query.is_true("x"));
    }

    #[test]
    fn lists_come_in_commas_and_in_repetitions() {
        assert_eq!(
            Query::parse("attrs=A,B&attrs=C").list("attrs").collect::<Vec<_>>(),
            ["A", "B", "C"]
        );
    }
}
