//! The native API over HTTP.
//!
//! Knows addresses, TLS, credentials, pages and how refusals are read; it does not know what the answers mean. The
//! credentials never follow a redirect, and never appear in a failure.

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reeve_wire::native::{Page, Problem};
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::{Credentials, Target};
use super::failure::{Failure, Kind, advice, kind_of};
use super::stream::Parser;

/// Longest time for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for one answer. Importing a large template is the slowest of them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How many items are asked for at once.
const PAGE_SIZE: usize = 500;
/// The most of an answer that nobody can read which is repeated to the user, characters.
const EXCERPT_LENGTH: usize = 200;

/// A client of one server with one credential.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Option<Credentials>,
}

impl Client {
    /// Builds a client.
    ///
    /// # Errors
    /// When the address or the file of authorities is no good.
    pub(super) fn new(connection: Target) -> Result<Self, Failure> {
        let base = parse_server(&connection.server)?;
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing this race is fine: everything in this program installs the same provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("reeve/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(redirect::Policy::none())
            .tls_danger_accept_invalid_certs(connection.insecure);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &connection.ca_file {
            let wrong = |why: String| {
                Failure::new(
                    Kind::Usage,
                    format!("use the authorities in {}", path.display()),
                    why,
                    "name a file of PEM certificates",
                )
            };
            let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let authorities = Certificate::from_pem_bundle(&text).map_err(|error| wrong(describe(&error)))?;
            if authorities.is_empty() {
                return Err(wrong("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(authorities);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::new(Kind::Usage, "set up the connection", describe(&error), ""))?;
        Ok(Self {
            http,
            base,
            credentials: connection.credentials,
        })
    }

    /// The password or token would travel readable for everybody on the way.
    pub(super) fn sends_in_the_clear(&self) -> bool {
        self.credentials.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Reads one thing. `doing` completes the sentence "cannot …".
    ///
    /// # Errors
    /// When the server refuses, cannot be reached, or answers something else.
    pub(super) async fn get<T: DeserializeOwned>(&self, doing: &str, path: &[&str]) -> Result<T, Failure> {
        let bytes = self.send(doing, self.http.get(self.address(path, &[]))).await?;
        decode(doing, &bytes)
    }

    /// Reads one thing that filters describe.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &[&str],
        filters: &[(&str, Option<&str>)],
    ) -> Result<T, Failure> {
        let query: Vec<(&str, &str)> = filters
            .iter()
            .filter_map(|(name, value)| value.map(|value| (*name, value)))
            .collect();
        decode(
            doing,
            &self.send(doing, self.http.get(self.address(path, &query))).await?,
        )
    }

    /// Puts something in the place of what is there.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.http.put(self.address(path, &[])).json(body);
        decode(doing, &self.send(doing, request).await?)
    }

    /// Asks for a change with a body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.http.post(self.address(path, &[])).json(body);
        decode(doing, &self.send(doing, request).await?)
    }

    /// Asks for a change that needs no words.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        doing: &str,
        method: Method,
        path: &[&str],
    ) -> Result<T, Failure> {
        let request = self.http.request(method, self.address(path, &[]));
        decode(doing, &self.send(doing, request).await?)
    }

    /// Removes something, whatever the answer's body says.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn delete(&self, doing: &str, path: &[&str]) -> Result<(), Failure> {
        self.send(doing, self.http.delete(self.address(path, &[])))
            .await
            .map(drop)
    }

    /// Reads a list page by page, at most `limit` items of it.
    ///
    /// # Errors
    /// As [`Client::get`]; also when the server's pages go round in a circle.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &[&str],
        filters: &[(&str, Option<&str>)],
        limit: Option<usize>,
    ) -> Result<Vec<T>, Failure> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        let mut seen = HashSet::new();
        while items.len() < limit {
            let size = PAGE_SIZE.min(limit - items.len()).to_string();
            let mut query: Vec<(&str, &str)> = filters
                .iter()
                .filter_map(|(name, value)| value.map(|value| (*name, value)))
                .collect();
            query.push(("limit", &size));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let bytes = self.send(doing, self.http.get(self.address(path, &query))).await?;
            let page: Page<T> = decode(doing, &bytes)?;
            items.extend(page.items);
            match page.next {
                None => break,
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    return Err(Failure::new(
                        Kind::Server,
                        doing,
                        "the server's pages go round in a circle",
                        "report this to whoever runs the server",
                    ));
                }
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    /// Opens a stream of events, which may have no end.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn stream(&self, doing: &str, path: &[&str], query: &[(&str, &str)]) -> Result<Stream, Failure> {
        // Each piece of a stream has its own time; the whole has as much as it likes.
        let request = self.http.get(self.address(path, query)).timeout(Duration::MAX);
        let opened = tokio::time::timeout(ANSWER_TIMEOUT, self.open(doing, request)).await;
        Ok(Stream {
            response: opened.map_err(|_| silent(doing, &self.base))??,
            base: self.base.clone(),
            doing: doing.to_owned(),
            parser: Parser::default(),
            ready: VecDeque::new(),
        })
    }

    async fn send(&self, doing: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failure> {
        let response = self.open(doing, request).await?;
        let bytes = response.bytes().await;
        Ok(bytes.map_err(|error| unreachable(doing, &self.base, &error))?.to_vec())
    }

    /// Sends a request; the answer is no refusal, and its body is still to be read.
    async fn open(&self, doing: &str, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let request = match &self.credentials {
            None => request,
            Some(Credentials::Password { user, password }) => request.basic_auth(user, Some(password)),
            Some(Credentials::Token(token)) => request.bearer_auth(token),
        };
        let unreachable = |error| unreachable(doing, &self.base, &error);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let request_id = request_id(&response);
        let bytes = response.bytes().await.map_err(unreachable)?;
        Err(refused(doing, status, request_id, &bytes))
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut address = self.base.clone();
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().extend(["reeve", "v1"]).extend(path);
        }
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        address
    }
}

/// A stream of events that was opened.
pub(super) struct Stream {
    response: Response,
    base: Url,
    doing: String,
    parser: Parser,
    ready: VecDeque<String>,
}

impl Stream {
    /// Data of the next event; `None` when the server ended the stream.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in a time in which the server would have shown that it lives.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let piece = tokio::time::timeout(ANSWER_TIMEOUT, self.response.chunk())
                .await
                .map_err(|_| silent(&self.doing, &self.base))?
                .map_err(|error| unreachable(&self.doing, &self.base, &error))?;
            let Some(piece) = piece else {
                return Ok(None);
            };
            let events = self.parser.push(&piece).ok_or_else(|| {
                Failure::new(
                    Kind::Server,
                    &*self.doing,
                    "the answer is no stream of events",
                    "check that the address is a Reeve server of about this version",
                )
            })?;
            self.ready.extend(events);
        }
    }
}

/// The failure that an answer which does not come stands for.
fn silent(doing: &str, base: &Url) -> Failure {
    Failure::new(
        Kind::Timeout,
        doing,
        format!("{base} did not answer in time"),
        "try again",
    )
}

/// The failure that a broken connection stands for.
fn unreachable(doing: &str, base: &Url, error: &reqwest::Error) -> Failure {
    let why = describe(error);
    if error.is_timeout() && !error.is_connect() {
        return Failure::new(
            Kind::Timeout,
            doing,
            format!("{base} did not answer in time: {why}"),
            "try again",
        );
    }
    let next = if why.to_lowercase().contains("certificate") {
        "name the server's authority with --ca-file, or, only where nobody can listen in, pass --insecure"
    } else {
        "check --server or REEVE_URL, and that the server runs"
    };
    Failure::new(Kind::Server, doing, format!("{base} cannot be reached: {why}"), next)
}

/// The failure that a refusing answer stands for.
fn refused(doing: &str, status: StatusCode, request_id: Option<String>, body: &[u8]) -> Failure {
    let code = status.as_u16();
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let text: String = String::from_utf8_lossy(body)
            .trim()
            .chars()
            .take(EXCERPT_LENGTH)
            .collect();
        let why = match (status.is_redirection(), text.is_empty()) {
            (true, _) => format!("the address leads elsewhere (status {status})"),
            (false, true) => format!("the server answered {status}"),
            (false, false) => format!("the server answered {status}: {text}"),
        };
        let mut failure = Failure::new(kind_of(code), doing, why, advice(code, None));
        failure.request_id = request_id;
        return failure;
    };
    let why = match &problem.field {
        Some(field) => format!("{} (field {field})", problem.message),
        None => problem.message,
    };
    let mut failure = Failure::new(kind_of(code), doing, why, advice(code, problem.retry_after_s));
    failure.request_id = Some(problem.request_id).filter(|id| !id.is_empty()).or(request_id);
    failure
}

fn request_id(response: &Response) -> Option<String> {
    let header: &HeaderValue = response.headers().get("x-request-id")?;
    header.to_str().ok().map(str::to_owned)
}

fn decode<T: DeserializeOwned>(doing: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new(
            Kind::Server,
            doing,
            format!("the answer cannot be read: {error}"),
            "check that the address is a Reeve server of about this version",
        )
    })
}

/// The address of a server as a base to add paths to.
///
/// # Errors
/// When it is no address of HTTP.
pub(super) fn parse_server(text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::new(
            Kind::Usage,
            format!("use {text:?} as the server's address"),
            why,
            "write it like https://reeve.example:8080",
        )
    };
    let address = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(address.scheme(), "http" | "https") || address.host().is_none() {
        return Err(wrong(
            "it must begin with http:// or https:// and name a host".to_owned(),
        ));
    }
    if !address.username().is_empty() || address.password().is_some() {
        return Err(wrong("credentials do not belong into an address".to_owned()));
    }
    Ok(address)
}

fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error with its causes: the outer layers alone say too little.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> Client {
        Client::new(Target {
            server: server.to_owned(),
            credentials: Some(Credentials::Token("t".to_owned())),
            insecure: false,
            ca_file: None,
        })
        .unwrap()
    }

    #[test]
    fn names_in_paths_and_filters_are_encoded() {
        let address = client("http://127.0.0.1:1/below/").address(&["clusters", "a/b c"], &[("name", "x&y")]);
        assert_eq!(
            address.as_str(),
            "http://127.0.0.1:1/below/reeve/v1/clusters/a%2Fb%20c?name=x%26y"
        );
    }

    #[test]
    fn only_loopback_may_see_credentials_in_the_clear() {
        assert!(!client("http://127.0.0.1:8080").sends_in_the_clear());
        assert!(!client("http://[::1]:8080").sends_in_the_clear());
        assert!(!client("https://fleet.example").sends_in_the_clear());
        assert!(client("http://fleet.example").sends_in_the_clear());
    }

    #[test]
    fn addresses_that_are_none_are_a_mistake_of_usage() {
        for text in [
            "fleet.example:8080",
            "ftp://fleet.example",
            "http://me:secret@fleet.example",
            "",
        ] {
            assert_eq!(parse_server(text).unwrap_err().kind, Kind::Usage, "{text}");
        }
    }

    #[test]
    fn a_refusal_that_is_not_ours_is_repeated_in_short() {
        let body = format!("<html>{}</html>", "x".repeat(1000));
        let failure = refused("list the clusters", StatusCode::BAD_GATEWAY, None, body.as_bytes());
        assert_eq!(failure.kind, Kind::Server);
        assert!(
            failure.why.contains("502") && failure.why.len() < 300,
            "{}",
            failure.why
        );
    }
}
