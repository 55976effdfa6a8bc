//! People's passwords: argon2id, and passwords made up for those who did not bring one.
//!
//! The functions block for tens of milliseconds and hold 19 MiB each; async callers run them on a blocking thread. This
//! module does not know who the passwords belong to.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};

use super::{NoRandomness, Secret, random_bytes};

/// The longest password in bytes that is looked at; a longer one is refused unread.
pub const LONGEST: usize = 1024;

/// Why a password could not be hashed or compared. None of these means that the password was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password is longer than [`LONGEST`] bytes.
    #[error("a password has at most {LONGEST} bytes")]
    TooLong,
    /// The stored hash is not an argon2 PHC string.
    #[error("the stored password hash cannot be read: {0}")]
    BadHash(String),
    /// The hash could not be computed.
    #[error("the password could not be hashed: {0}")]
    Hashing(String),
}

/// Hashes a password with a new salt: a PHC string of about 97 characters, beginning with `$argon2id$`.
///
/// # Errors
/// [`PasswordError::TooLong`], or [`PasswordError::Hashing`] when there is no memory or no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    check_length(password)?;
    let hash: Result<PasswordHash, Error> = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hashing(error.to_string()))
}

/// Whether a password is the one that was hashed. `None`, for a user who does not exist or has no password, takes just as
/// long and is false, so that the time of an answer does not tell who exists.
///
/// # Errors
/// [`PasswordError::BadHash`] when what was stored is not a hash.
pub fn verify(password: &str, stored: Option<&str>) -> Result<bool, PasswordError> {
    if check_length(password).is_err() {
        return Ok(false);
    }
    match stored {
        Some(stored) => compare(password, stored),
        None => {
            compare(password, DUMMY.as_ref().map_err(Clone::clone)?)?;
            Ok(false)
        }
    }
}

/// Makes the hash that unknown users are compared with, so that the first of them does not take twice as long.
pub fn prepare() {
    LazyLock::force(&DUMMY);
}

/// A random password of 100 bits that can be read out: five groups of four, without letters that look alike.
///
/// # Errors
/// [`NoRandomness`] when the operating system gives no random bytes.
pub fn generate() -> Result<Secret, NoRandomness> {
    // 32 characters, so that five bits choose one and none is likelier than another.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let letters = random_bytes::<20>()?.map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(Secret::new(groups.join("-")))
}

static DUMMY: LazyLock<Result<String, PasswordError>> = LazyLock::new(|| hash("nobody has this password"));

fn check_length(password: &str) -> Result<(), PasswordError> {
    if password.len() > LONGEST {
        Err(PasswordError::TooLong)
    } else {
        Ok(())
    }
}

fn compare(password: &str, stored: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(stored).map_err(|error| PasswordError::BadHash(error.to_string()))?;
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::BadHash(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognized_and_another_is_not() {
        let hashed = hash("correct horse").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$"), "{hashed}");
        assert_eq!(verify("correct horse", Some(&hashed)), Ok(true));
        assert_eq!(verify("correct horsE", Some(&hashed)), Ok(false));
        assert_eq!(verify("", Some(&hashed)), Ok(false));
        assert_ne!(hash("correct horse").unwrap(), hashed, "the salt is new each time");
    }

    #[test]
    fn nobody_is_compared_with_a_hash_as_dear_as_everybody_elses() {
        prepare();
        assert_eq!(verify("nobody has this password", None), Ok(false));
        let cost = |hash: &str| hash.split('$').nth(3).map(str::to_owned);
        assert_eq!(cost(DUMMY.as_ref().unwrap()), cost(&hash("x").unwrap()));
    }

    #[test]
    fn a_password_too_long_is_refused_and_a_broken_hash_is_reported() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(hash(&long), Err(PasswordError::TooLong));
        assert_eq!(verify(&long, None), Ok(false));
        assert!(matches!(
            verify("x", Some("plain text")),
            Err(PasswordError::BadHash(_))
        ));
        assert!(matches!(
            verify("x", Some("$bcrypt$v=1$abcd$abcd")),
            Err(PasswordError::BadHash(_))
        ));
    }

    #[test]
    fn a_made_up_password_can_be_read_out_and_does_not_repeat() {
        let password = generate().unwrap();
        let groups: Vec<&str> = password.expose().split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [4; 5]);
        assert!(!password.expose().contains(['o', 'i', 'l', 'u']));
        assert_ne!(generate().unwrap(), password);
    }
}
