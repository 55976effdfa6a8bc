//! Secrets: how they are made, kept, recognized and forgotten.
//!
//! Everything here is a small type or a pure function: time comes in as seconds since 1970-01-01 UTC, keys and hashes
//! go out as text for somebody else to keep. This module deliberately knows no database, no roles and no web request.

pub mod issuer;
pub mod jwt;
pub mod password;
pub mod remember;
pub mod token;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system would not give random bytes. Nothing secret can be made until it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// `N` bytes from the operating system's random source.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A text that must not reach a log: it prints as stars, and has to be asked for by name.
///
/// Equality takes longer the more two secrets have in common. What a stranger sent is compared by [`ServerKey::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that is secret from here on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever calls this takes over the care for it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself, by value.
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

// Always the same number of stars: the length of a secret is nobody's business either.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("********")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("********")
    }
}

/// The stored text of a server key is not 32 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server key is 32 bytes in base64")]
pub struct BadServerKey;

/// The one key of an installation. Hashes made with it are useless to whoever steals the database without it.
#[derive(Clone)]
pub struct ServerKey([u8; 32]);

// A hash is stored and shown to administrators of the database; a derived text is itself a secret. The first byte of
// the message keeps the two apart, so that a stored hash can never be used as a derived secret.
const HASH: u8 = 0;
const DERIVE: u8 = 1;

impl ServerKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(random_bytes()?))
    }

    /// Reads back what [`ServerKey::to_base64`] wrote; white space around it is ignored.
    ///
    /// # Errors
    /// [`BadServerKey`] when it is not base64 or not 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, BadServerKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| BadServerKey)?;
        bytes.try_into().map(Self).map_err(|_| BadServerKey)
    }

    /// The key as base64 text of 44 characters, for storage.
    pub fn to_base64(&self) -> Secret {
        Secret(STANDARD.encode(self.0))
    }

    /// HMAC-SHA256 of a secret as 64 hexadecimal digits: what the database keeps instead of the secret, and finds it by.
    ///
    /// Only for secrets with many random bits; people's passwords go through [`password`]. The same secret has different
    /// hashes for different purposes.
    pub fn keyed_hash(&self, purpose: &str, secret: &str) -> String {
        to_hex(self.sign(HASH, purpose, secret).as_ref())
    }

    /// Whether a hash is the [`ServerKey::keyed_hash`] of a secret, in a time that does not depend on where they differ.
    pub fn verify(&self, purpose: &str, secret: &str, hash: &str) -> bool {
        let Some(expected) = from_hex(hash) else { return false };
        hmac::verify(&self.key(), &message(HASH, purpose, secret), &expected).is_ok()
    }

    /// A secret that follows from an input, as 43 characters of base64url: the same input gives the same secret again.
    pub fn derive(&self, purpose: &str, input: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(DERIVE, purpose, input))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    fn sign(&self, kind: u8, purpose: &str, input: &str) -> hmac::Tag {
        hmac::sign(&self.key(), &message(kind, purpose, input))
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerKey(********)")
    }
}

// The length of the purpose goes first: ("ab", "c") and ("a", "bc") must not be the same message.
fn message(kind: u8, purpose: &str, input: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + purpose.len() + input.len());
    bytes.push(kind);
    bytes.extend_from_slice(&(purpose.len() as u64).to_be_bytes());
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.extend_from_slice(input.as_bytes());
    bytes
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(high)? << 4 | nibble(low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_however_it_is_printed() {
        let secret = Secret::new("swordfish");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "******** ******** Some(********)"
        );
        assert_eq!(secret.expose(), "swordfish");
        let key = ServerKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(key.to_base64().expose()));
    }

    #[test]
    fn a_server_key_survives_storage() {
        let key = ServerKey::generate().unwrap();
        let again = ServerKey::from_base64(&format!(" {}\n", key.to_base64().expose())).unwrap();
        assert_eq!(key.keyed_hash("a", "b"), again.keyed_hash("a", "b"));
        assert_eq!(ServerKey::from_base64("c2hvcnQ=").unwrap_err(), BadServerKey);
        assert_eq!(ServerKey::from_base64("not base64!").unwrap_err(), BadServerKey);
    }

    #[test]
    fn a_hash_depends_on_key_purpose_and_secret() {
        let (key, other) = (ServerKey::generate().unwrap(), ServerKey::generate().unwrap());
        let hash = key.keyed_hash("api-key", "secret");
        assert_eq!(hash.len(), 64);
        assert!(key.verify("api-key", "secret", &hash));
        assert!(!key.verify("join", "secret", &hash));
        assert!(!key.verify("api-key", "secreT", &hash));
        assert!(!other.verify("api-key", "secret", &hash));
        for broken in ["", "0", "zz", &hash[..62], &format!("{hash}00")] {
            assert!(!key.verify("api-key", "secret", broken), "{broken}");
        }
    }

    #[test]
    fn a_purpose_cannot_be_moved_into_the_secret() {
        let key = ServerKey::generate().unwrap();
        assert_ne!(key.keyed_hash("ab", "c"), key.keyed_hash("a", "bc"));
        assert_ne!(key.derive("ab", "c"), key.derive("a", "bc"));
    }

    #[test]
    fn a_derived_secret_repeats_and_is_not_its_stored_hash() {
        let key = ServerKey::generate().unwrap();
        let derived = key.derive("join", "launch-7");
        assert_eq!(derived, key.derive("join", "launch-7"));
        assert_ne!(derived, key.derive("join", "launch-8"));
        assert_eq!(derived.len(), 43);
        let bytes = URL_SAFE_NO_PAD.decode(&derived).unwrap();
        assert_ne!(to_hex(&bytes), key.keyed_hash("join", "launch-7"));
    }

    #[test]
    fn the_hash_is_plain_hmac_sha256_so_that_it_never_changes_between_versions() {
        let key = ServerKey([7; 32]);
        let tag = hmac::sign(&key.key(), b"\0\0\0\0\0\0\0\0\x01pq");
        assert_eq!(key.keyed_hash("p", "q"), to_hex(tag.as_ref()));
    }
}
