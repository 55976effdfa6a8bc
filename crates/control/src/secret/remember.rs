//! A short memory of credentials already checked, so that a client that sends its password with each call pays for the
//! slow hash once a minute.
//!
//! Keys are keyed hashes, never the credentials. Time comes in as seconds; the owner puts a lock around it.

use std::collections::{HashMap, VecDeque};

/// How long a checked credential is remembered, in seconds.
pub const LIFE_S: i64 = 60;

/// Marks the moment at which a check began; see [`Remembered::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

/// A bounded map from the keyed hash of a credential to what the check of it found.
#[derive(Debug)]
pub struct Remembered<T> {
    known: HashMap<String, Entry<T>>,
    // In the order of putting, which is the order of expiry because everything lives equally long.
    order: VecDeque<String>,
    capacity: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    since_s: i64,
}

impl<T> Entry<T> {
    // A clock set back must not make anything live longer, so an entry from the future is dead as well.
    fn is_alive(&self, now_s: i64) -> bool {
        (0..LIFE_S).contains(&now_s.saturating_sub(self.since_s))
    }
}

impl<T> Remembered<T> {
    /// An empty memory for at most `capacity` credentials; the oldest makes room for a new one.
    pub fn new(capacity: usize) -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
            capacity,
            forgotten: 0,
        }
    }

    /// Take this before a credential is checked, and hand it to [`Remembered::put`] afterwards.
    pub fn moment(&self) -> Moment {
        Moment(self.forgotten)
    }

    /// What was found about a credential less than a minute ago.
    pub fn get(&self, hash: &str, now_s: i64) -> Option<&T> {
        self.known
            .get(hash)
            .filter(|entry| entry.is_alive(now_s))
            .map(|entry| &entry.value)
    }

    /// Remembers what the check of a credential found, unless something was forgotten since the check began: the password
    /// may have been changed meanwhile, and the old one must not come back for a minute.
    pub fn put(&mut self, began: Moment, hash: String, value: T, now_s: i64) {
        if began != self.moment() || self.capacity == 0 {
            return;
        }
        self.drop_dead(now_s);
        // Checked twice at once: the first check decides how long it lives, and `order` keeps one line for it.
        if let Some(entry) = self.known.get_mut(&hash) {
            entry.value = value;
            return;
        }
        if self.known.len() >= self.capacity {
            self.drop_oldest();
        }
        self.order.push_back(hash.clone());
        self.known.insert(hash, Entry { value, since_s: now_s });
    }

    /// Forgets everything.
    pub fn forget_all(&mut self) {
        self.forgotten += 1;
        self.known.clear();
        self.order.clear();
    }

    /// Forgets every credential whose value satisfies a condition, such as belonging to a user who was changed.
    pub fn forget_where(&mut self, condition: impl Fn(&T) -> bool) {
        self.forgotten += 1;
        self.known.retain(|_, entry| !condition(&entry.value));
        self.order.retain(|hash| self.known.contains_key(hash));
    }

    /// How many credentials are remembered, those included whose minute has passed without anybody asking.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn drop_dead(&mut self, now_s: i64) {
        while let Some(hash) = self.order.front() {
            if self.known.get(hash).is_some_and(|entry| entry.is_alive(now_s)) {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(hash) = self.order.pop_front() {
            self.known.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(memory: &mut Remembered<&'static str>, hash: &str, value: &'static str, now_s: i64) {
        memory.put(memory.moment(), hash.to_owned(), value, now_s);
    }

    #[test]
    fn a_credential_is_known_for_one_minute() {
        let mut memory = Remembered::new(4);
        put(&mut memory, "a", "ann", 100);
        assert_eq!(memory.get("a", 159), Some(&"ann"));
        assert_eq!(memory.get("a", 160), None);
        assert_eq!(memory.get("b", 100), None);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_live_longer() {
        let mut memory = Remembered::new(4);
        put(&mut memory, "a", "ann", 100);
        assert_eq!(memory.get("a", 99), None);
    }

    #[test]
    fn a_second_check_does_not_prolong_the_first() {
        let mut memory = Remembered::new(4);
        put(&mut memory, "a", "ann", 100);
        put(&mut memory, "a", "ann again", 150);
        assert_eq!(memory.get("a", 159), Some(&"ann again"));
        assert_eq!(memory.get("a", 160), None);
        put(&mut memory, "a", "ann", 161);
        assert_eq!(memory.get("a", 220), Some(&"ann"));
    }

    #[test]
    fn the_memory_stays_within_its_bounds_and_the_oldest_goes_first() {
        let mut memory = Remembered::new(2);
        put(&mut memory, "a", "ann", 100);
        put(&mut memory, "b", "bob", 101);
        put(&mut memory, "c", "cid", 102);
        assert_eq!(
            (memory.len(), memory.get("a", 103), memory.get("b", 103)),
            (2, None, Some(&"bob"))
        );
        put(&mut memory, "d", "dee", 500);
        assert_eq!((memory.len(), memory.order.len()), (1, 1), "the dead made room");
        let mut none = Remembered::new(0);
        put(&mut none, "a", "ann", 100);
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_rest_stays() {
        let mut memory = Remembered::new(4);
        put(&mut memory, "a", "ann", 100);
        put(&mut memory, "b", "bob", 100);
        memory.forget_where(|value| *value == "ann");
        assert_eq!((memory.get("a", 101), memory.get("b", 101)), (None, Some(&"bob")));
        memory.forget_all();
        assert!(memory.is_empty() && memory.order.is_empty());
    }

    #[test]
    fn a_check_that_began_before_a_change_is_not_remembered_after_it() {
        let mut memory = Remembered::new(4);
        let began = memory.moment();
        memory.forget_where(|value| *value == "ann");
        memory.put(began, "old password".to_owned(), "ann", 100);
        assert!(memory.is_empty());
    }
}
