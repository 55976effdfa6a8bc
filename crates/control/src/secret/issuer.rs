//! Trust in access tokens that somebody else issued: an OpenID Connect issuer, or another installation of this program.
//!
//! [`verify`] is pure: token, settings and key set in, identity out. [`Issuers`] fetches the key sets and keeps them. This
//! module names roles as the settings spell them and does not know what they allow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::jwt::{TokenError, checked_payload, header_of};

/// How much clocks may differ, in seconds.
pub const LEEWAY_S: i64 = 60;
/// A key set is not fetched more often than this, in seconds, whatever tokens arrive.
pub const REFETCH_AT_MOST_EVERY_S: i64 = 60;
/// A key set older than this, in seconds, is fetched again, so that a key its owner withdrew loses our trust.
pub const REFETCH_AFTER_S: i64 = 60 * 60;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 512 * 1024;

/// An issuer that is trusted, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens for us carry; a token for somebody else is refused.
    pub audience: String,
    /// Where its key set is; without it, the issuer's discovery document is asked.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The claim that names the user.
    #[serde(default = "default_username_claim")]
    pub username_claim: String,
    /// The claim that holds the user's roles or groups, a text or a list of texts.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// What each value of the roles claim gives here; other values give nothing.
    #[serde(default)]
    pub roles: BTreeMap<String, Given>,
    /// What everybody gets for whom the issuer vouches; nothing when absent.
    #[serde(default)]
    pub everybody: Option<Given>,
}

/// A role as the configuration gives it: its name alone for the whole tenant, or its name and a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// A role everywhere.
    Everywhere(String),
    /// A role at a scope and below.
    At(RoleAt),
}

/// A role at a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAt {
    /// The role's name.
    pub role: String,
    /// `FOLDER` or `FOLDER/CLUSTER`; empty is the tenant.
    #[serde(default)]
    pub scope: String,
}

impl Given {
    /// With the scope spelled out.
    #[must_use]
    pub fn role_at(&self) -> RoleAt {
        match self {
            Self::Everywhere(role) => RoleAt {
                role: role.clone(),
                scope: String::new(),
            },
            Self::At(role_at) => role_at.clone(),
        }
    }
}

impl IssuerSettings {
    /// Every role the settings may give.
    pub fn given(&self) -> impl Iterator<Item = &Given> {
        self.roles.values().chain(&self.everybody)
    }
}

fn default_username_claim() -> String {
    "preferred_username".to_owned()
}

fn default_roles_claim() -> String {
    "roles".to_owned()
}

/// Somebody known from a trusted issuer's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outsider {
    /// The issuer that vouches for them. Subjects are unique only within an issuer.
    pub issuer: String,
    /// The issuer's lasting id of them.
    pub subject: String,
    /// The name from the username claim.
    pub username: String,
    /// The roles here, each once, in alphabetic order; possibly none.
    pub roles: Vec<RoleAt>,
    /// When the token ends, in seconds.
    pub expires_at: i64,
}

/// Why an outside token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutsideError {
    /// It is no token, is signed in a way we do not take, or lacks a claim it must have.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Nobody trusted issued it.
    #[error("the issuer of the token is not trusted")]
    WrongIssuer,
    /// It was issued for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Its key is not in the issuer's key set.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// Its signature does not fit its content.
    #[error("the signature of the token is wrong")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// The issuer's key set could not be had.
    #[error("the keys of the issuer are not available: {0}")]
    Unavailable(String),
}

impl From<TokenError> for OutsideError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::Malformed("its parts cannot be read"),
            TokenError::UnknownKey => Self::UnknownKey,
            TokenError::Expired => Self::Expired,
            TokenError::BadSignature => Self::BadSignature,
            TokenError::WrongAudience => Self::WrongAudience,
        }
    }
}

/// Checks a token against an issuer's key set, at a time in seconds.
///
/// # Errors
/// See [`OutsideError`]; never [`OutsideError::Unavailable`].
pub fn verify(
    token: &str,
    settings: &IssuerSettings,
    jwks: &Value,
    now_s: i64,
    leeway_s: i64,
) -> Result<Outsider, OutsideError> {
    let header = header_of(token).ok_or(OutsideError::Malformed("its header cannot be read"))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
        return Err(OutsideError::Malformed(
            "its algorithm is none of RS256, ES256 and EdDSA",
        ));
    }
    let key = find_key(jwks, header.kid.as_deref(), header.alg).ok_or(OutsideError::UnknownKey)?;
    let claims: Value = checked_payload(token, &key, header.alg)?;
    check_claims(&claims, settings, now_s, leeway_s)?;
    outsider(&claims, settings)
}

fn check_claims(claims: &Value, settings: &IssuerSettings, now_s: i64, leeway_s: i64) -> Result<(), OutsideError> {
    if claims["iss"].as_str() != Some(&settings.issuer) {
        return Err(OutsideError::WrongIssuer);
    }
    if !texts(&claims["aud"]).contains(&settings.audience.as_str()) {
        return Err(OutsideError::WrongAudience);
    }
    let end = seconds(&claims["exp"]).ok_or(OutsideError::Malformed("it has no end"))?;
    if now_s >= end.saturating_add(leeway_s) {
        return Err(OutsideError::Expired);
    }
    match &claims["nbf"] {
        Value::Null => Ok(()),
        begin => match seconds(begin) {
            None => Err(OutsideError::Malformed("its begin is no number")),
            Some(begin) if begin > now_s.saturating_add(leeway_s) => Err(OutsideError::NotYet),
            Some(_) => Ok(()),
        },
    }
}

fn outsider(claims: &Value, settings: &IssuerSettings) -> Result<Outsider, OutsideError> {
    let text = |claim: &str| {
        claims[claim]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let granted = texts(&claims[settings.roles_claim.as_str()]);
    let mut roles: Vec<RoleAt> = granted
        .into_iter()
        .filter_map(|role| settings.roles.get(role))
        .chain(&settings.everybody)
        .map(Given::role_at)
        .collect();
    roles.sort();
    roles.dedup();
    Ok(Outsider {
        issuer: settings.issuer.clone(),
        subject: text("sub").ok_or(OutsideError::Malformed("it has no subject"))?,
        username: text(&settings.username_claim).ok_or(OutsideError::Malformed("it names no user"))?,
        roles,
        expires_at: seconds(&claims["exp"]).unwrap_or_default(),
    })
}

// A claim that may be one text or a list of them.
fn texts(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

// Some issuers write times with a fraction.
fn seconds(claim: &Value) -> Option<i64> {
    claim.as_i64().or_else(|| {
        claim
            .as_f64()
            .filter(|number| number.is_finite())
            .map(|number| number as i64)
    })
}

/// The key with a kid for an algorithm. A token without a kid is taken only where there is no choice.
fn find_key(jwks: &Value, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let keys = jwks["keys"].as_array()?;
    // Each by itself: a key of a new kind must not hide the others.
    let mut fitting = keys
        .iter()
        .filter_map(|key| Jwk::deserialize(key).ok())
        .filter(|key| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid)) && fits(key, algorithm));
    let key = fitting.next()?;
    if kid.is_none() && fitting.next().is_some() {
        return None;
    }
    DecodingKey::from_jwk(&key).ok()
}

// The library cuts and multiplies what it is given, so keys of the wrong size are sorted out here.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let bytes = |text: &str| base64_length(text);
    let (named, fits) = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(rsa), Algorithm::RS256) => (
            KeyAlgorithm::RS256,
            (256..=1024).contains(&bytes(&rsa.n)) && bytes(&rsa.e) <= 8,
        ),
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => {
            let right = matches!(curve.curve, EllipticCurve::P256) && bytes(&curve.x) == 32 && bytes(&curve.y) == 32;
            (KeyAlgorithm::ES256, right)
        }
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => (
            KeyAlgorithm::EdDSA,
            matches!(pair.curve, EllipticCurve::Ed25519) && bytes(&pair.x) == 32,
        ),
        _ => return false,
    };
    let is_for_signing = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    fits && is_for_signing
        && key
            .common
            .key_algorithm
            .as_ref()
            .is_none_or(|algorithm| *algorithm == named)
}

fn base64_length(text: &str) -> usize {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .map_or(0, |bytes| bytes.len())
}

/// The trusted issuers with what is known of their keys. Cheap to ask while the keys are known; one fetch at a time each.
pub struct Issuers {
    http: reqwest::Client,
    trusted: Vec<Trusted>,
}

struct Trusted {
    settings: IssuerSettings,
    known: Mutex<Known>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Option<Arc<Value>>,
    fetched_at: i64,
    tried_at: Option<i64>,
    failure: Option<String>,
}

impl Known {
    // A clock set back counts as "long ago", or nothing would be fetched until it caught up.
    fn may_try(&self, now_s: i64) -> bool {
        self.tried_at
            .is_none_or(|tried| !(0..REFETCH_AT_MOST_EVERY_S).contains(&now_s.saturating_sub(tried)))
    }

    fn is_fresh(&self, now_s: i64) -> bool {
        self.keys.is_some() && (0..REFETCH_AFTER_S).contains(&now_s.saturating_sub(self.fetched_at))
    }

    fn unavailable(&self) -> OutsideError {
        OutsideError::Unavailable(self.failure.clone().unwrap_or_else(|| "not fetched yet".to_owned()))
    }
}

impl Trusted {
    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, answer: Result<Value, String>, now_s: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.tried_at = Some(now_s);
        match answer {
            Ok(keys) => {
                known.keys = Some(Arc::new(keys));
                known.fetched_at = now_s;
                known.failure = None;
            }
            // The old keys stay: an issuer that is down for a while must not lock everybody out.
            Err(failure) => known.failure = Some(failure),
        }
    }

    /// Fetches the key set unless that was tried a moment ago, by this caller or by one it waited for.
    async fn refresh(&self, http: &reqwest::Client, now_s: i64) {
        let _one_at_a_time = self.fetching.lock().await;
        if self.known().may_try(now_s) {
            let answer = fetch_keys(http, &self.settings).await;
            if let Err(failure) = &answer {
                tracing::warn!(issuer = %self.settings.issuer, %failure, "the keys of a trusted issuer cannot be fetched");
            }
            self.note(answer, now_s);
        }
    }
}

impl Issuers {
    /// Trusts the given issuers, asking them with a client that has its TLS settings already.
    pub fn new(http: reqwest::Client, settings: Vec<IssuerSettings>) -> Self {
        let trust = |settings| Trusted {
            settings,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        };
        Self {
            http,
            trusted: settings.into_iter().map(trust).collect(),
        }
    }

    /// Whether a text claims to be a token of a trusted issuer, which is to say: whether [`Issuers::verify`] should be
    /// asked about it rather than our own keys.
    pub fn claims_to_know(&self, token: &str) -> bool {
        self.by_token(token).is_some()
    }

    /// Checks a token at a time in seconds, fetching the issuer's keys when they are unknown, old or lack the token's key.
    ///
    /// # Errors
    /// See [`OutsideError`]. [`OutsideError::Unavailable`] is the only one that is not the token's fault.
    pub async fn verify(&self, token: &str, now_s: i64) -> Result<Outsider, OutsideError> {
        let trusted = self.by_token(token).ok_or(OutsideError::WrongIssuer)?;
        if !trusted.known().is_fresh(now_s) {
            trusted.refresh(&self.http, now_s).await;
        }
        let first = check(trusted, token, now_s);
        if first != Err(OutsideError::UnknownKey) || !trusted.known().may_try(now_s) {
            return first;
        }
        trusted.refresh(&self.http, now_s).await;
        check(trusted, token, now_s)
    }

    fn by_token(&self, token: &str) -> Option<&Trusted> {
        let issuer = claimed_issuer(token)?;
        self.trusted.iter().find(|trusted| trusted.settings.issuer == issuer)
    }
}

/// The issuer a token names. It is read before any signature is checked, only to know whose keys to check it with.
pub(crate) fn claimed_issuer(token: &str) -> Option<String> {
    header_of(token)?;
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims["iss"].as_str()?.to_owned())
}

fn check(trusted: &Trusted, token: &str, now_s: i64) -> Result<Outsider, OutsideError> {
    let known = trusted.known();
    let keys = known.keys.as_ref().ok_or_else(|| known.unavailable())?;
    verify(token, &trusted.settings, keys, now_s, LEEWAY_S)
}

/// Fetches an issuer's key set, by way of its discovery document when the settings name no address.
async fn fetch_keys(http: &reqwest::Client, settings: &IssuerSettings) -> Result<Value, String> {
    let address = match &settings.jwks_url {
        Some(address) => address.clone(),
        None => discover(http, &settings.issuer).await?,
    };
    let keys = fetch_json(http, &address).await?;
    if keys["keys"].is_array() {
        Ok(keys)
    } else {
        Err(format!("{address} answered something that is no key set"))
    }
}

async fn discover(http: &reqwest::Client, issuer: &str) -> Result<String, String> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = fetch_json(http, &address).await?;
    if document["issuer"].as_str() != Some(issuer) {
        return Err(format!("{address} describes another issuer"));
    }
    let keys = document["jwks_uri"]
        .as_str()
        .ok_or_else(|| format!("{address} names no key set"))?;
    if issuer.starts_with("https://") && !keys.starts_with("https://") {
        return Err(format!(
            "{address} names a key set that anybody on the way could replace"
        ));
    }
    Ok(keys.to_owned())
}

async fn fetch_json(http: &reqwest::Client, address: &str) -> Result<Value, String> {
    let failed = |error: reqwest::Error| format!("{address}: {error}");
    let request = http.get(address).timeout(FETCH_TIMEOUT).send();
    let mut response = request
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(format!("{address} answered more than {LONGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| format!("{address} answered no JSON: {error}"))
}

#[cfg(test)]
mod tests;
