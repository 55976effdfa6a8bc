//! The two calls of the agent protocol over HTTP.
//!
//! Knows addresses, TLS, compression and time limits, and sorts what can go wrong into [`CallError`]; it does not
//! know when to call or what to do about an error. Only a [`Refusal`] that this client can read is taken as the
//! server's word: an error page of some proxy on the way counts as "not reachable right now".

use std::error::Error;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reeve_wire::agent::{Beat, Enroll, Enrolled, Goals, Refusal};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::{now_us, parse_http_date};
use super::{Config, Failure, tls};
use crate::Secret;

/// Longest time for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for an answer that the server does not hold back.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Bodies longer than this are compressed.
const GZIP_OVER_BYTES: usize = 1024;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a call had no good answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// No answer, or none that can be understood: try again.
    Network(String),
    /// The server said no.
    Refused(Refusal),
}

/// A good answer.
pub(super) struct Answer<T> {
    /// The answer itself.
    pub(super) body: T,
    /// Server's clock from the `Date` header, microseconds since 1970 UTC.
    pub(super) server_clock_us: Option<i64>,
    /// Our clock when the answer arrived, microseconds since 1970 UTC.
    pub(super) arrived_us: i64,
}

/// Speaks with one server.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// Checks the address and prepares TLS; opens no connection.
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        let base = parse_server(&config.server)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("reeve-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .https_only(base.scheme() == "https");
        // The preconfigured settings are of the same rustls that reqwest was built with, see the lock file.
        builder = match (&config.ca_sha256, &config.ca_file) {
            _ if base.scheme() == "http" => builder.tls_backend_preconfigured(tls::nobody()?),
            (Some(sha256), _) => builder.tls_backend_preconfigured(tls::pinned(sha256)?),
            (None, Some(path)) => builder.tls_backend_preconfigured(tls::authorities(path)?),
            (None, None) => builder,
        };
        if let Some(address) = config.source_address {
            builder = builder.local_address(IpAddr::V4(address));
        }
        if config.source_address.is_some() || is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::Settings {
            name: "server",
            reason: describe(&error),
        })?;
        Ok(Self { http, base })
    }

    /// Scheme, host and port of the server: what tells one server from another.
    pub(super) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Exchanges a join token for a credential.
    pub(super) async fn enroll(&self, token: &Secret, body: &Enroll) -> Result<Answer<Enrolled>, CallError> {
        self.post("enroll", token, body, ANSWER_TIMEOUT).await
    }

    /// Posts what the agent sees and gets its goals; may take `wait_ms` longer than an ordinary call.
    pub(super) async fn beat(&self, credential: &Secret, body: &Beat) -> Result<Answer<Goals>, CallError> {
        let timeout = ANSWER_TIMEOUT + Duration::from_millis(u64::from(body.wait_ms));
        self.post("beat", credential, body, timeout).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        call: &str,
        bearer: &Secret,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<Answer<T>, CallError> {
        let network = |error: reqwest::Error| CallError::Network(describe(&error));
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer.reveal())).map_err(|_| {
            CallError::Refused(refusal(
                "token_unknown",
                "the token has characters that no token can have",
            ))
        })?;
        authorization.set_sensitive(true);
        let body = serde_json::to_vec(body).map_err(|error| CallError::Network(error.to_string()))?;
        let mut request = self
            .http
            .post(self.address(call))
            .timeout(timeout)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json");
        request = match compress(&body) {
            Some(small) => request.header(CONTENT_ENCODING, "gzip").body(small),
            None => request.body(body),
        };
        let response = request.send().await.map_err(network)?;
        let status = response.status();
        let server_clock_us = server_clock(&response);
        let bytes = read(response).await?;
        let arrived_us = now_us();
        if status.as_u16() == 200 {
            let body = serde_json::from_slice(&bytes)
                .map_err(|error| CallError::Network(format!("the answer to {call} cannot be read: {error}")))?;
            return Ok(Answer {
                body,
                server_clock_us,
                arrived_us,
            });
        }
        match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) => Err(CallError::Refused(refusal)),
            Err(_) => Err(CallError::Network(format!("status {status} without an explanation"))),
        }
    }

    fn address(&self, call: &str) -> Url {
        let mut address = self.base.clone();
        let path = format!("{}/reeve/agent/v1/{call}", address.path().trim_end_matches('/'));
        address.set_path(&path);
        address
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| CallError::Network(describe(&error)))?
    {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::Network(format!(
                "the answer is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}

fn parse_server(text: &str) -> Result<Url, Failure> {
    let wrong = |reason: String| Failure::Settings { name: "server", reason };
    let address = Url::parse(text.trim()).map_err(|error| wrong(format!("{text:?} is not an address: {error}")))?;
    if !matches!(address.scheme(), "http" | "https") || address.host().is_none() {
        return Err(wrong(format!(
            "{text:?} must begin with http:// or https:// and name a host"
        )));
    }
    Ok(address)
}

fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn server_clock(response: &Response) -> Option<i64> {
    parse_http_date(response.headers().get(DATE)?.to_str().ok()?)
}

/// Gzip of `body` when it is long enough to be worth it.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() <= GZIP_OVER_BYTES {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// The whole chain of causes on one line; reqwest's own message stops at the first.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    // Both are also what a good certificate looks like to a machine that believes it is another year.
    if text.contains("certificate expired") || text.contains("certificate not valid yet") {
        text.push_str("; if that can not be, this machine's clock is wrong");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_bodies_are_compressed() {
        assert!(compress(&[b'a'; GZIP_OVER_BYTES]).is_none());
        assert!(compress(&[b'a'; GZIP_OVER_BYTES + 1]).is_some_and(|small| small.len() < 100));
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        assert!(parse_server("reeve.example:8080").is_err());
        assert!(parse_server("ftp://reeve.example").is_err());
        assert!(parse_server("https://reeve.example/prefix").is_ok());
    }

    #[test]
    fn loopback_is_recognized_in_both_families() {
        for (text, expected) in [
            ("http://127.3.4.5:1", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }
}
