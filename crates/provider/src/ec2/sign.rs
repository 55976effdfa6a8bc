//! Signature version 4: proves who sends a request without sending the secret.
//!
//! A pure function of the request, the keys and the time. Knows nothing of actions or answers.

use std::fmt::Write as _;

use ring::{digest, hmac};

use crate::secret::Secret;

/// Keys that sign.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Public half.
    pub(super) id: String,
    /// Secret half.
    pub(super) secret: Secret,
    /// Goes with keys that expire.
    pub(super) session: Option<Secret>,
}

/// A request to be signed.
pub(super) struct Request<'a> {
    /// `POST`, as a rule.
    pub(super) method: &'a str,
    /// Host and port as the `Host` header says them.
    pub(super) host: &'a str,
    /// Path, already encoded.
    pub(super) path: &'a str,
    /// Value of `Content-Type`; absent when there is none.
    pub(super) content_type: Option<&'a str>,
    /// What is sent.
    pub(super) body: &'a [u8],
}

/// The headers that sign `request` at `now_us`, microseconds since 1970 UTC.
pub(super) fn headers(
    request: &Request<'_>,
    keys: &Keys,
    region: &str,
    service: &str,
    now_us: i64,
) -> Vec<(&'static str, String)> {
    let stamp = stamp(now_us);
    let day = &stamp[..8];
    let mut signed: Vec<(&'static str, String)> = Vec::new();
    if let Some(kind) = request.content_type {
        signed.push(("content-type", kind.to_owned()));
    }
    signed.push(("host", request.host.to_owned()));
    signed.push(("x-amz-date", stamp.clone()));
    if let Some(session) = &keys.session {
        signed.push(("x-amz-security-token", session.expose().to_owned()));
    }
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let body = hex(digest::digest(&digest::SHA256, request.body).as_ref());
    let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{body}", request.method, request.path);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let sum = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sum}");
    let mut key = format!("AWS4{}", keys.secret.expose()).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        keys.id
    );
    // The client sets the host itself, to the same value.
    signed.retain(|(name, _)| *name != "host");
    signed.push(("authorization", authorization));
    signed
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `20150830T123600Z`.
fn stamp(now_us: i64) -> String {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_us) * 1000)
        .ok()
        .and_then(|at| at.format(format).ok())
        .unwrap_or_else(|| "19700101T000000Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public test suite's keys, region, service and time.
    fn authorization(content_type: Option<&str>, body: &str) -> String {
        let keys = Keys {
            id: "AKIDEXAMPLE".into(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: None,
        };
        let request = Request {
            method: "POST",
            host: "example.amazonaws.com",
            path: "/",
            content_type,
            body: body.as_bytes(),
        };
        let mut headers = headers(&request, &keys, "us-east-1", "service", 1_440_938_160_000_000);
        headers.pop().expect("the signature is the last one").1
    }

    #[test]
    fn signatures_are_those_of_the_public_test_suite() {
        let vanilla = authorization(None, "");
        assert!(
            vanilla.ends_with("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            "{vanilla}"
        );
        assert!(vanilla.contains("SignedHeaders=host;x-amz-date,"), "{vanilla}");
        let form = authorization(Some("application/x-www-form-urlencoded"), "Param1=value1");
        assert!(
            form.ends_with("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
            "{form}"
        );
    }
}
