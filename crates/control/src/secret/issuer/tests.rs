//! Tests of the trust in outside issuers, against key sets made here and a small server on the loopback address.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;
use crate::secret::jwt::{self, SigningKey};

const NOW: i64 = 1_800_000_000;

fn settings() -> IssuerSettings {
    serde_json::from_value(json!({
        "issuer": "https://issuer.example",
        "audience": "reeve",
        "roles": { "operators": "operator", "ops": "operator", "bosses": "admin" },
    }))
    .unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "reeve", "sub": "s-1", "preferred_username": "ann",
        "exp": NOW + 3600, "roles": ["ops", "operators", "bosses", "strangers"],
    })
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn signed(claims: &Value) -> (String, Value) {
    let key = SigningKey::generate(NOW).unwrap();
    (jwt::sign(&key, claims).unwrap(), jwt::jwks(&[key]))
}

fn outcome(claims: &Value) -> Result<Outsider, OutsideError> {
    let (token, keys) = signed(claims);
    verify(&token, &settings(), &keys, NOW, 0)
}

fn names(outsider: &Outsider) -> Vec<&str> {
    outsider.roles.iter().map(|given| given.role.as_str()).collect()
}

#[test]
fn everybody_gets_what_everybody_gets_and_a_role_may_be_bound_to_a_scope() {
    let mut settings = settings();
    settings.everybody = Some(Given::Everywhere("viewer".to_owned()));
    let narrow = RoleAt {
        role: "operator".to_owned(),
        scope: "default/demo".to_owned(),
    };
    settings.roles = BTreeMap::from([("ops".to_owned(), Given::At(narrow.clone()))]);
    let (token, keys) = signed(&claims());
    let roles = verify(&token, &settings, &keys, NOW, 0).unwrap().roles;
    assert_eq!(roles, [narrow, Given::Everywhere("viewer".to_owned()).role_at()]);
}

#[test]
fn a_token_of_another_installation_is_recognized_by_its_published_keys() {
    let outsider = outcome(&claims()).unwrap();
    assert_eq!((outsider.username.as_str(), outsider.subject.as_str()), ("ann", "s-1"));
    assert_eq!(
        names(&outsider),
        ["admin", "operator"],
        "each role once, unknown ones not at all"
    );
    assert_eq!(outsider.expires_at, NOW + 3600);
}

#[test]
fn a_token_for_somebody_else_or_by_somebody_else_is_refused() {
    assert_eq!(
        outcome(&with("iss", json!("https://issuer.example/"))),
        Err(OutsideError::WrongIssuer)
    );
    assert_eq!(
        outcome(&with("iss", json!(["https://issuer.example"]))),
        Err(OutsideError::WrongIssuer)
    );
    assert_eq!(outcome(&with("aud", json!("other"))), Err(OutsideError::WrongAudience));
    assert_eq!(outcome(&with("aud", json!([]))), Err(OutsideError::WrongAudience));
    assert_eq!(outcome(&with("aud", Value::Null)), Err(OutsideError::WrongAudience));
    assert!(outcome(&with("aud", json!(["other", "reeve"]))).is_ok());
}

#[test]
fn a_token_is_valid_only_in_its_time() {
    assert_eq!(outcome(&with("exp", json!(NOW))), Err(OutsideError::Expired));
    assert!(outcome(&with("exp", json!(NOW as f64 + 1.5))).is_ok());
    assert!(matches!(
        outcome(&with("exp", Value::Null)),
        Err(OutsideError::Malformed(_))
    ));
    assert!(matches!(
        outcome(&with("exp", json!("tomorrow"))),
        Err(OutsideError::Malformed(_))
    ));
    assert_eq!(outcome(&with("nbf", json!(NOW + 1))), Err(OutsideError::NotYet));
    assert!(outcome(&with("nbf", json!(NOW))).is_ok());
    let (token, keys) = signed(&with("exp", json!(NOW - 30)));
    assert!(verify(&token, &settings(), &keys, NOW, 60).is_ok(), "the leeway counts");
}

#[test]
fn a_token_that_names_nobody_is_refused() {
    assert!(matches!(
        outcome(&with("sub", json!(""))),
        Err(OutsideError::Malformed(_))
    ));
    assert!(matches!(
        outcome(&with("preferred_username", json!(7))),
        Err(OutsideError::Malformed(_))
    ));
    assert_eq!(
        outcome(&with("roles", Value::Null)).unwrap().roles,
        Vec::<RoleAt>::new()
    );
}

#[test]
fn a_token_signed_with_rsa_is_recognized() {
    let keys =
        json!({ "keys": [{ "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": RSA_MODULUS, "e": "AQAB" }] });
    assert_eq!(
        names(&verify(RSA_TOKEN, &settings(), &keys, NOW, 0).unwrap()),
        ["operator"]
    );
    let (head, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
    let forged = format!(
        "{head}.{}{}",
        if signature.starts_with('A') { 'B' } else { 'A' },
        &signature[1..]
    );
    assert_eq!(
        verify(&forged, &settings(), &keys, NOW, 0),
        Err(OutsideError::BadSignature)
    );
    let small = json!({ "keys": [{ "kty": "RSA", "kid": "r", "n": &RSA_MODULUS[..128], "e": "AQAB" }] });
    assert_eq!(
        verify(RSA_TOKEN, &settings(), &small, NOW, 0),
        Err(OutsideError::UnknownKey)
    );
}

#[test]
fn a_token_signed_on_the_p256_curve_is_recognized() {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (
        URL_SAFE_NO_PAD.encode(&point[1..33]),
        URL_SAFE_NO_PAD.encode(&point[33..]),
    );
    let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y }] });
    let header = Header::new(Algorithm::ES256);
    let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_ec_der(document.as_ref())).unwrap();
    assert!(
        verify(&token, &settings(), &keys, NOW, 0).is_ok(),
        "no kid is needed where there is no choice"
    );
    let twice = json!({ "keys": [keys["keys"][0], keys["keys"][0]] });
    assert_eq!(
        verify(&token, &settings(), &twice, NOW, 0),
        Err(OutsideError::UnknownKey)
    );
}

#[test]
fn odd_keys_neither_panic_nor_hide_the_good_one() {
    let (token, mut keys) = signed(&claims());
    let good = keys["keys"][0].clone();
    let changed = |claim: &str, value: Value| {
        let mut key = good.clone();
        key[claim] = value;
        key
    };
    for odd in [
        changed("x", json!("AA")),
        changed("x", json!("!")),
        changed("kty", json!("new")),
        changed("use", json!("enc")),
        changed("alg", json!("ES256")),
        json!(7),
        json!({}),
    ] {
        let alone = json!({ "keys": [odd] });
        assert_eq!(
            verify(&token, &settings(), &alone, NOW, 0),
            Err(OutsideError::UnknownKey),
            "{odd}"
        );
        keys["keys"].as_array_mut().unwrap().insert(0, odd);
    }
    assert!(verify(&token, &settings(), &keys, NOW, 0).is_ok());
    assert_eq!(
        verify(&token, &settings(), &json!([]), NOW, 0),
        Err(OutsideError::UnknownKey)
    );
}

#[test]
fn a_token_signed_with_a_shared_password_is_refused() {
    let (_, keys) = signed(&claims());
    let secret = EncodingKey::from_secret(b"x");
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert!(matches!(
        verify(&token, &settings(), &keys, NOW, 0),
        Err(OutsideError::Malformed(_))
    ));
}

/// A server that answers each path with a text, which the test may change, and counts what it was asked.
#[derive(Clone)]
struct Server {
    address: String,
    pages: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            address,
            pages: Arc::default(),
            asked: Arc::default(),
        };
        let answering = server.clone();
        std::thread::spawn(move || {
            listener
                .incoming()
                .flatten()
                .for_each(|stream| answering.answer(stream))
        });
        server
    }

    fn answer(&self, mut stream: std::net::TcpStream) {
        let lines: Vec<String> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let path = lines
            .first()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap_or_default()
            .to_owned();
        let page = self.pages.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        let (status, body) = page.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
        // A client that has read enough hangs up; that is its right.
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .ok();
    }

    fn put(&self, path: &str, body: impl ToString) {
        self.pages.lock().unwrap().insert(path.to_owned(), body.to_string());
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn issuers(&self, change: impl FnOnce(&mut IssuerSettings)) -> Issuers {
        // Another test of this process may have been first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut settings = IssuerSettings {
            jwks_url: Some(format!("{}/keys", self.address)),
            ..settings()
        };
        change(&mut settings);
        Issuers::new(reqwest::Client::builder().no_proxy().build().unwrap(), vec![settings])
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_they_are_old() {
    let (server, (token, keys)) = (Server::start(), signed(&with("exp", json!(NOW + 9000))));
    server.put("/keys", keys);
    let issuers = server.issuers(|_| ());
    for second in [0, 1, 2, REFETCH_AFTER_S - 1] {
        assert!(issuers.verify(&token, NOW + second).await.is_ok());
    }
    assert_eq!(server.times_asked(), 1);
    assert!(issuers.verify(&token, NOW + REFETCH_AFTER_S).await.is_ok());
    assert_eq!(server.times_asked(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_but_not_more_than_once_a_minute() {
    let (server, (old, old_keys), (new, new_keys)) = (Server::start(), signed(&claims()), signed(&claims()));
    server.put("/keys", old_keys);
    let issuers = server.issuers(|_| ());
    assert!(issuers.verify(&old, NOW).await.is_ok());
    server.put("/keys", new_keys);
    for _ in 0..3 {
        assert_eq!(issuers.verify(&new, NOW + 59).await, Err(OutsideError::UnknownKey));
    }
    assert_eq!(server.times_asked(), 1);
    assert!(issuers.verify(&new, NOW + 60).await.is_ok());
    assert_eq!(
        issuers.verify(&old, NOW + 61).await,
        Err(OutsideError::UnknownKey),
        "a withdrawn key is not trusted"
    );
    assert_eq!(server.times_asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_fails_is_named_and_asked_again_after_a_minute() {
    let (server, (token, keys)) = (Server::start(), signed(&with("exp", json!(NOW + 9000))));
    let issuers = server.issuers(|_| ());
    for broken in ["no json", "{}", &"9".repeat(LONGEST_ANSWER + 1)] {
        server.put("/keys", broken);
        let answer = server.issuers(|_| ()).verify(&token, NOW).await;
        assert!(
            matches!(&answer, Err(OutsideError::Unavailable(why)) if why.contains("/keys")),
            "{answer:?}"
        );
    }
    server.put("/keys", "{}");
    assert!(matches!(
        issuers.verify(&token, NOW).await,
        Err(OutsideError::Unavailable(_))
    ));
    server.put("/keys", &keys);
    assert!(matches!(
        issuers.verify(&token, NOW + 1).await,
        Err(OutsideError::Unavailable(_))
    ));
    assert!(issuers.verify(&token, NOW + 60).await.is_ok());
    server.put("/keys", "broken again");
    assert!(
        issuers.verify(&token, NOW + 60 + REFETCH_AFTER_S).await.is_ok(),
        "the known keys go on"
    );
}

#[tokio::test]
async fn the_discovery_document_leads_to_the_keys_and_must_be_the_issuers_own() {
    let server = Server::start();
    let (token, keys) = signed(&with("iss", json!(server.address)));
    server.put("/elsewhere", keys);
    let described = |issuer: &str| json!({ "issuer": issuer, "jwks_uri": format!("{}/elsewhere", server.address) });
    let discovering = || {
        server.issuers(|settings| {
            settings.jwks_url = None;
            settings.issuer = server.address.clone();
        })
    };
    server.put("/.well-known/openid-configuration", described(&server.address));
    assert!(discovering().verify(&token, NOW).await.is_ok());
    server.put(
        "/.well-known/openid-configuration",
        described("https://another.example"),
    );
    assert!(matches!(
        discovering().verify(&token, NOW).await,
        Err(OutsideError::Unavailable(_))
    ));
}

#[tokio::test]
async fn nobody_is_asked_about_a_token_of_an_untrusted_issuer() {
    let server = Server::start();
    let issuers = server.issuers(|_| ());
    let (token, _) = signed(&with("iss", json!("https://stranger.example")));
    assert!(!issuers.claims_to_know(&token) && issuers.claims_to_know(&signed(&claims()).0));
    assert_eq!(issuers.verify(&token, NOW).await, Err(OutsideError::WrongIssuer));
    assert_eq!(issuers.verify("swordfish", NOW).await, Err(OutsideError::WrongIssuer));
    assert_eq!(server.times_asked(), 0);
}

// The modulus of a key that was made for this test and thrown away.
const RSA_MODULUS: &str = concat!(
    "uos4r_7Oy00Sesn_qo3ILbcz9O9soUsvgUH-nnnM5o9bucN-_JLX7tofV2yAaxEYLu0TUGKC2qx6Ji_qZlRDpPIotsMs-oL6pkKa",
    "S7spkniAroVUa3mAH58r2mL4_JkFH1OBrQkJO7Ibdtjmdg169bO8ULczMLbQv_G0CD6hU43rRi1kXDm2dCX_CvMRJ_bTRlZkfCF8",
    "7VIxkc3coSNAd-xSO6tXxsfOdphaquYGMT0GTxJljAShIH54fQTBZuFyxSOvBufC0D53AHBDfjIzAVwoIcJZearDWLa3TBDsl3K-",
    "o09PFcrSd6dqM5Rxr5ffZjMjmlNixAtj0GFIAQhBgw",
);
// A token signed with that key: subject s-1, audiences `other` and `reeve`, until NOW + 3600.
const RSA_TOKEN: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjpbIm90aGVyIiwic",
    "mVldmUiXSwic3ViIjoicy0xIiwicHJlZmVycmVkX3VzZXJuYW1lIjoiYW5uIiwiZXhwIjoxODAwMDAzNjAwLCJyb2xlcyI6Im9wZ",
    "XJhdG9ycyJ9.CSnyBkAVfRhrAYDktuMN91v9jpJkdA4gAV5qw7_N5yOsmPYPNt6V-Q4S68lwhNdp71B_JJNkYwzQjxCEzJuR8-UU",
    "eiym9yPpqhrImWvKI905UTlZPhIbXrBvsHoxCpINkhZyzoF4XqNZnLcbkP23Y0VrcwLFPaU3P4lzciKpTgPNZTzUWYlR8r_gImGd",
    "yZ_SfLftT_ghL6nPLVapUQ1L8l1CKN9Ix4cgovHBoc4xBNaq1N0-bHyFWJqYJ7ZMGFdSTvLEkbyAMjqQ6c0bvT0be8sFHaRuKeL7",
    "KH3xBenfpC1GzsawbcP3d_f8hgGiKf1LUqy_dckdZin-PClbrfEIYw",
);
