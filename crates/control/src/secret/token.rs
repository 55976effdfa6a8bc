//! Random credentials for programs: client ids and secrets, API keys, join tokens.
//!
//! Each carries a prefix that says what it is, so that a leaked one is recognized and a mixed-up one is refused before
//! anything is looked up. This module does not know whether a credential is valid, only what it looks like.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{NoRandomness, Secret, ServerKey, random_bytes, to_hex};

/// What a secret is for, as its prefix tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The secret half of an application's credential.
    ClientSecret,
    /// A key that stands alone in a header.
    ApiKey,
    /// What a machine shows once, when it enrolls.
    JoinToken,
    /// What an enrolled agent shows with each call.
    AgentKey,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::ClientSecret, Self::ApiKey, Self::JoinToken, Self::AgentKey];

    /// The first four characters of a secret of this kind.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ClientSecret => "rvs_",
            Self::ApiKey => "rvk_",
            Self::JoinToken => "rvj_",
            Self::AgentKey => "rva_",
        }
    }

    /// The purpose under which [`ServerKey::keyed_hash`] hashes a secret of this kind.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::ClientSecret => "client-secret",
            Self::ApiKey => "api-key",
            Self::JoinToken => "join-token",
            Self::AgentKey => "agent-key",
        }
    }

    /// A new random secret: the prefix and 256 bits, 47 characters without a colon, space or slash.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives no random bytes.
    pub fn generate(self) -> Result<Secret, NoRandomness> {
        let bytes = random_bytes::<32>()?;
        Ok(Secret::new(format!(
            "{}{}",
            self.prefix(),
            URL_SAFE_NO_PAD.encode(bytes)
        )))
    }

    /// What the shape of a text says it is; `None` for passwords, access tokens and everything else.
    pub fn of(text: &str) -> Option<Self> {
        let kind = Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let body = URL_SAFE_NO_PAD.decode(&text[kind.prefix().len()..]).ok()?;
        (body.len() == 32).then_some(kind)
    }
}

/// A new client id such as `app-5f0c…`: 20 hexadecimal digits, not secret, without the underscores that one client
/// rewrites in paths.
///
/// # Errors
/// [`NoRandomness`] when the operating system gives no random bytes.
pub fn client_id() -> Result<String, NoRandomness> {
    Ok(format!("app-{}", to_hex(&random_bytes::<10>()?)))
}

/// The join token of a launch. It follows from the launch's name, so that a launch whose answer was lost can be repeated
/// with the very same request.
pub fn join_token(key: &ServerKey, launch: &str) -> Secret {
    let kind = Kind::JoinToken;
    Secret::new(format!("{}{}", kind.prefix(), key.derive(kind.purpose(), launch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_what_it_is() {
        for kind in Kind::ALL {
            let secret = kind.generate().unwrap();
            assert_eq!(Kind::of(secret.expose()), Some(kind));
            assert_eq!(secret.expose().len(), 47);
            assert_ne!(kind.generate().unwrap(), secret);
        }
    }

    #[test]
    fn other_texts_are_no_secrets() {
        let key = Kind::ApiKey.generate().unwrap();
        let key = key.expose();
        for text in [
            "",
            "rvk_",
            "rvk_abc",
            "swordfish",
            "a.b.c",
            "rvé_",
            &key[1..],
            &key[..46],
            &format!("{key}A"),
        ] {
            assert_eq!(Kind::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_launch_has_the_same_join_token() {
        let key = ServerKey::generate().unwrap();
        let token = join_token(&key, "launch-1");
        assert_eq!(Kind::of(token.expose()), Some(Kind::JoinToken));
        assert_eq!(join_token(&key, "launch-1"), token);
        assert_ne!(join_token(&key, "launch-2"), token);
        assert_ne!(join_token(&ServerKey::generate().unwrap(), "launch-1"), token);
    }

    #[test]
    fn a_client_id_survives_paths_and_basic_credentials() {
        let id = client_id().unwrap();
        assert_eq!(id.len(), 24);
        assert!(
            id.chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
        );
    }
}
