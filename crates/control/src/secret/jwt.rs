//! Access tokens: signed with Ed25519 by keys that rotate, readable by anybody who holds the published key set.
//!
//! One widely used client decodes the payload with the *standard* base64 alphabet, so a payload must not encode to `-` or
//! `_`; see [`plain_ascii`]. Time comes in as seconds. This module does not know who may have a token.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Secret, random_bytes, to_hex};

/// The longest token in bytes that is looked at.
pub const LONGEST_TOKEN: usize = 8 * 1024;
/// The longest life of a token in seconds; [`issue`] refuses more, because keys are kept no longer than that.
pub const LONGEST_LIFE_S: i64 = 24 * 60 * 60;
/// The age in seconds at which a key gets a successor.
pub const ROTATE_AFTER_S: i64 = 30 * 24 * 60 * 60;
/// How much longer than [`LONGEST_LIFE_S`] a replaced key is kept, in seconds: other instances may sign with it until
/// they have read the new one, and clocks differ.
pub const GRACE_S: i64 = 60 * 60;

/// A key that signs access tokens. It prints without its private half.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The name of the key in token headers and key sets: 16 hexadecimal digits.
    pub kid: String,
    /// The private key: PKCS#8 DER in base64, for storage.
    pub private: Secret,
    /// When the key was made, in seconds.
    pub created_at: i64,
}

/// What a token says. Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The address of the installation that issued the token.
    pub iss: String,
    /// Whom the token is for: the same as `iss`, or another installation. Absent in tokens of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aud: String,
    /// The id of the user or application.
    pub sub: String,
    /// The name of the user or application, for people to read.
    pub name: String,
    /// The id of the tenant.
    pub tenant_id: String,
    /// When the token was issued.
    pub iat: i64,
    /// When the token ends; never zero.
    pub exp: i64,
    /// The id of the token itself.
    pub jti: String,
}

/// Why a key could not be made or a token could not be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The stored private key cannot be read.
    #[error("the signing key {0} cannot be read")]
    BadKey(String),
    /// The token would end before it begins or outlive its key.
    #[error("a token lives between 1 and {LONGEST_LIFE_S} seconds")]
    BadLife,
    /// The claims could not be written down or signed.
    #[error("the token could not be signed: {0}")]
    Signing(String),
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of ours by its shape: parts, algorithm or claims are missing or wrong.
    #[error("the token is malformed")]
    Malformed,
    /// It names a key that is not, or no longer, known.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its signature does not fit its content.
    #[error("the signature of the token is wrong")]
    BadSignature,
    /// It was issued here, for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
}

impl SigningKey {
    /// A new random key made at a time in seconds.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`] when the operating system gives no random bytes.
    pub fn generate(now_s: i64) -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandomness)?;
        let kid = random_bytes::<8>().map_err(|_| KeyError::NoRandomness)?;
        Ok(Self {
            kid: to_hex(&kid),
            private: STANDARD.encode(document).into(),
            created_at: now_s,
        })
    }

    fn document(&self) -> Result<Vec<u8>, KeyError> {
        STANDARD.decode(self.private.expose()).map_err(|_| self.unreadable())
    }

    /// The public half: 32 bytes in base64url.
    fn public(&self) -> Result<String, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.document()?).map_err(|_| self.unreadable())?;
        Ok(URL_SAFE_NO_PAD.encode(pair.public_key()))
    }

    fn unreadable(&self) -> KeyError {
        KeyError::BadKey(self.kid.clone())
    }
}

/// Signs claims: three parts joined by dots, of which the middle one has neither `-` nor `_`.
///
/// # Errors
/// [`KeyError::BadLife`] when the token would live longer than [`LONGEST_LIFE_S`] or not at all, [`KeyError::BadKey`] when
/// the stored key is broken.
pub fn issue(key: &SigningKey, claims: &Claims) -> Result<String, KeyError> {
    if claims.exp == 0 || !(1..=LONGEST_LIFE_S).contains(&claims.exp.saturating_sub(claims.iat)) {
        return Err(KeyError::BadLife);
    }
    sign(key, claims)
}

/// Signs anything that serializes to a JSON object.
pub(super) fn sign(key: &SigningKey, payload: &impl Serialize) -> Result<String, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::Signing(error.to_string());
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": key.kid }).to_string();
    let payload = plain_ascii(&serde_json::to_string(payload).map_err(|error| failed(&error))?);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let private = EncodingKey::from_ed_der(&key.document()?);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &private, Algorithm::EdDSA);
    Ok(format!("{message}.{}", signature.map_err(|error| failed(&error))?))
}

/// Checks a token against the keys that are kept, at a time in seconds, allowing clocks to differ by `leeway_s` seconds.
///
/// # Errors
/// See [`TokenError`]. Nothing in the token is trusted before its signature is found right.
pub fn verify(token: &str, keys: &[SigningKey], now_s: i64, leeway_s: i64) -> Result<Claims, TokenError> {
    let header = header_of(token).ok_or(TokenError::Malformed)?;
    if header.alg != Algorithm::EdDSA {
        return Err(TokenError::Malformed);
    }
    let kid = header.kid.ok_or(TokenError::Malformed)?;
    let key = keys.iter().find(|key| key.kid == kid).ok_or(TokenError::UnknownKey)?;
    let public = key.public().map_err(|_| TokenError::UnknownKey)?;
    let public = DecodingKey::from_ed_components(&public).map_err(|_| TokenError::UnknownKey)?;
    let claims: Claims = checked_payload(token, &public, Algorithm::EdDSA)?;
    if now_s >= claims.exp.saturating_add(leeway_s) {
        return Err(TokenError::Expired);
    }
    // Servers side by side have different addresses, so a token of ours is one whose audience is its own issuer.
    if !claims.aud.is_empty() && claims.aud != claims.iss {
        return Err(TokenError::WrongAudience);
    }
    Ok(claims)
}

/// The unchecked header of a token, unless the token is too long or no token.
pub(super) fn header_of(token: &str) -> Option<Header> {
    if token.len() > LONGEST_TOKEN {
        return None;
    }
    jsonwebtoken::decode_header(token).ok()
}

/// The payload of a token whose signature is right. Time, issuer and audience are the caller's to check.
pub(super) fn checked_payload<T: serde::de::DeserializeOwned>(
    token: &str,
    public: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, TokenError> {
    let mut validation = Validation::new(algorithm);
    // The library would ask the system's clock, which tests cannot turn.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    match jsonwebtoken::decode(token, public, &validation) {
        Ok(data) => Ok(data.claims),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => Err(TokenError::BadSignature),
        Err(_) => Err(TokenError::Malformed),
    }
}

/// The public halves of keys as a JSON Web Key Set; a key that cannot be read is left out.
pub fn jwks(keys: &[SigningKey]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .filter_map(|key| {
            let public = key.public().ok()?;
            Some(json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": public }))
        })
        .collect();
    json!({ "keys": keys })
}

/// What to do about the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The kid of the key to sign with; `None` when there is none yet.
    pub sign_with: Option<String>,
    /// Whether a new key is to be made, which then is the one to sign with.
    pub make_new: bool,
    /// The kids of the keys to delete: every token signed with them has ended.
    pub delete: Vec<String>,
}

/// Decides which keys sign, stay and go at a time in seconds. The newest signs; after [`ROTATE_AFTER_S`] it gets a
/// successor; a replaced key goes when [`LONGEST_LIFE_S`] and [`GRACE_S`] have passed since its successor was made.
pub fn rotate(keys: &[SigningKey], now_s: i64) -> Plan {
    let mut order: Vec<&SigningKey> = keys.iter().collect();
    // Two instances may have made a key in the same second; the kid decides, so that both choose the same.
    order.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
    let newest = order.last();
    let is_over = |successor: &SigningKey| now_s.saturating_sub(successor.created_at) > LONGEST_LIFE_S + GRACE_S;
    Plan {
        sign_with: newest.map(|key| key.kid.clone()),
        make_new: newest.is_none_or(|key| now_s.saturating_sub(key.created_at) >= ROTATE_AFTER_S),
        delete: order
            .windows(2)
            .filter(|pair| is_over(pair[1]))
            .map(|pair| pair[0].kid.clone())
            .collect(),
    }
}

/// Escapes what JSON would otherwise spell with bytes whose base64 may contain `-` or `_`: everything beyond ASCII, and
/// `>`, `?`, `~` and DEL. These can only stand inside strings, so the meaning stays the same.
///
/// The two letters stand for six bits `11111x`. Six bits cut from ASCII, whose bytes begin with 0, can only be that at the
/// end of a byte, and the bytes that end so are exactly the four.
fn plain_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() && !matches!(letter, '>' | '?' | '~' | '\u{7f}') {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn claims(name: &str) -> Claims {
        Claims {
            iss: "https://reeve.example".to_owned(),
            aud: String::new(),
            sub: "7b0e".to_owned(),
            name: name.to_owned(),
            tenant_id: "1001".to_owned(),
            iat: NOW,
            exp: NOW + 3600,
            jti: "j-1".to_owned(),
        }
    }

    fn key(created_at: i64) -> SigningKey {
        SigningKey::generate(created_at).unwrap()
    }

    proptest! {
        #[test]
        fn a_payload_reads_the_same_in_both_base64_alphabets(
            name in any::<String>(), sub in "[ -\u{7f}]{0,40}", iss in "[>?~\u{7f}ÿ😀\"\\\\\u{0}-\u{1f}]{0,12}",
        ) {
            let key = key(NOW);
            let said = Claims { sub, iss, ..claims(&name) };
            let token = issue(&key, &said).unwrap();
            let parts: Vec<&str> = token.split('.').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert!(!parts[1].contains(['-', '_', '=']));
            let padded = format!("{}{}", parts[1], "=".repeat((4 - parts[1].len() % 4) % 4));
            let bytes = STANDARD.decode(padded).unwrap();
            prop_assert!(bytes.is_ascii());
            prop_assert_eq!(&serde_json::from_slice::<Claims>(&bytes).unwrap(), &said);
            prop_assert_eq!(verify(&token, &[key], NOW, 0), Ok(said));
        }

        #[test]
        fn no_text_makes_verification_panic(token in any::<String>(), head in "[A-Za-z0-9_-]{0,40}") {
            let keys = [key(NOW)];
            prop_assert!(verify(&token, &keys, NOW, 0).is_err());
            let signed = issue(&keys[0], &claims("ann")).unwrap();
            let (_, rest) = signed.split_once('.').unwrap();
            let beheaded = format!("{head}.{rest}");
            prop_assert!(verify(&beheaded, &keys, NOW, 0).is_err());
        }
    }

    #[test]
    fn a_token_ends_at_its_time_and_the_leeway_is_added() {
        let keys = [key(NOW)];
        let token = issue(&keys[0], &claims("ann")).unwrap();
        assert!(verify(&token, &keys, NOW + 3599, 0).is_ok());
        assert_eq!(verify(&token, &keys, NOW + 3600, 0), Err(TokenError::Expired));
        assert!(verify(&token, &keys, NOW + 3629, 30).is_ok());
        assert_eq!(verify(&token, &keys, NOW + 3630, 30), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_made_for_somebody_else_is_of_no_use_here() {
        let keys = [key(NOW)];
        let made_for = |aud: &str| {
            let claims = Claims {
                aud: aud.to_owned(),
                ..claims("ann")
            };
            verify(&issue(&keys[0], &claims).unwrap(), &keys, NOW, 0)
        };
        assert!(made_for("https://reeve.example").is_ok());
        assert_eq!(made_for("https://other.example"), Err(TokenError::WrongAudience));
    }

    #[test]
    fn a_token_of_another_installation_is_not_ours() {
        let (ours, theirs) = (key(NOW), key(NOW));
        let token = issue(&theirs, &claims("ann")).unwrap();
        assert_eq!(
            verify(&token, std::slice::from_ref(&ours), NOW, 0),
            Err(TokenError::UnknownKey)
        );
        let disguised = SigningKey {
            kid: ours.kid.clone(),
            ..theirs
        };
        let token = issue(&disguised, &claims("ann")).unwrap();
        assert_eq!(verify(&token, &[ours], NOW, 0), Err(TokenError::BadSignature));
    }

    #[test]
    fn a_token_with_changed_claims_is_refused() {
        let keys = [key(NOW)];
        let (ann, bob) = (
            issue(&keys[0], &claims("ann")).unwrap(),
            issue(&keys[0], &claims("bob")).unwrap(),
        );
        let parts: Vec<&str> = ann.split('.').chain(bob.split('.')).collect();
        let mixed = [parts[0], parts[4], parts[2]].join(".");
        assert_eq!(verify(&mixed, &keys, NOW, 0), Err(TokenError::BadSignature));
        for broken in ["", ".", "..", "a.b.c", parts[0], &format!("{}.{}.", parts[0], parts[1])] {
            assert!(verify(broken, &keys, NOW, 0).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_token_signed_with_the_public_key_as_a_password_or_not_at_all_is_refused() {
        let keys = [key(NOW)];
        let public = URL_SAFE_NO_PAD.decode(keys[0].public().unwrap()).unwrap();
        let header = Header {
            kid: Some(keys[0].kid.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let forged = jsonwebtoken::encode(&header, &claims("ann"), &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(verify(&forged, &keys, NOW, 0), Err(TokenError::Malformed));
        let unsigned = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","kid":"{}"}}"#, keys[0].kid));
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims("ann")).unwrap());
        assert_eq!(
            verify(&format!("{unsigned}.{payload}."), &keys, NOW, 0),
            Err(TokenError::Malformed)
        );
    }

    #[test]
    fn a_token_does_not_outlive_its_key() {
        let key = key(NOW);
        let with_end = |exp| issue(&key, &Claims { exp, ..claims("ann") });
        assert_eq!(with_end(NOW + LONGEST_LIFE_S + 1), Err(KeyError::BadLife));
        assert_eq!(with_end(NOW), Err(KeyError::BadLife));
        assert!(with_end(NOW + LONGEST_LIFE_S).is_ok());
    }

    #[test]
    fn a_key_prints_and_publishes_only_its_public_half() {
        let key = key(NOW);
        assert!(!format!("{key:?}").contains(key.private.expose()));
        let broken = SigningKey {
            private: "bm8ga2V5".to_owned().into(),
            ..key.clone()
        };
        let set = jwks(&[key.clone(), broken.clone()]);
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["kid"], json!(key.kid));
        assert!(keys[0].get("d").is_none());
        assert!(issue(&broken, &claims("ann")).is_err());
    }

    #[test]
    fn the_first_key_is_made_at_once_and_its_successor_after_thirty_days() {
        assert_eq!(
            rotate(&[], NOW),
            Plan {
                make_new: true,
                ..Plan::default()
            }
        );
        let first = key(NOW);
        let plan = rotate(std::slice::from_ref(&first), NOW + ROTATE_AFTER_S - 1);
        assert_eq!(
            plan,
            Plan {
                sign_with: Some(first.kid.clone()),
                ..Plan::default()
            }
        );
        assert!(rotate(&[first], NOW + ROTATE_AFTER_S).make_new);
    }

    #[test]
    fn a_replaced_key_stays_until_its_last_token_has_ended() {
        let (first, second) = (key(NOW), key(NOW + ROTATE_AFTER_S));
        let last = second.created_at + LONGEST_LIFE_S + GRACE_S;
        let keys = [second.clone(), first.clone()];
        assert_eq!(
            rotate(&keys, last),
            Plan {
                sign_with: Some(second.kid.clone()),
                ..Plan::default()
            }
        );
        assert_eq!(rotate(&keys, last + 1).delete, [first.kid]);
        assert_eq!(rotate(&keys, last + 1).sign_with, Some(second.kid));
    }
}
