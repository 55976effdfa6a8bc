//! Calls to the native API: where the server is, how we sign in, and what its refusals mean.

use std::{path::PathBuf, time::Duration};

use reqwest::{Certificate, Method, Url};
use serde_json::Value;

use super::{AUTH, Connection, Failure, SERVER, TIMEOUT, USAGE, context::Context, environment};

/// Longest time one call may take.
const CALL_MAX: Duration = Duration::from_secs(60);
/// Where a server is when nobody said otherwise.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";

/// How a call proves who makes it.
pub(super) enum Credential {
    /// A user or an application.
    Basic(String, String),
    /// An access token.
    Bearer(String),
}

/// Where and as whom to call.
pub(super) struct Target {
    /// URL of the server.
    pub(super) server: String,
    /// Who calls.
    pub(super) credential: Option<Credential>,
    /// Certificate authorities to trust besides the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// Any certificate is trusted.
    pub(super) insecure: bool,
}

impl Target {
    /// Flags and environment first, then what `reeve login` saved.
    pub(super) fn find(connection: &Connection) -> Result<Self, Failure> {
        let saved = match connection.server {
            // A saved password goes to no other server than the one it was saved for.
            Some(ref server) => Context::load()
                .unwrap_or_default()
                .filter(|saved| same(&saved.server, server)),
            None => Context::load()?,
        };
        let given = match (
            environment("REEVE_TOKEN"),
            environment("REEVE_USER"),
            environment("REEVE_PASSWORD"),
        ) {
            (_, Some(user), Some(password)) => Some(Credential::Basic(user, password)),
            (Some(token), ..) => Some(Credential::Bearer(token)),
            _ => None,
        };
        let mut target = Self {
            server: connection.server.clone().unwrap_or_else(|| SERVER_DEFAULT.to_owned()),
            credential: given,
            ca_file: connection.ca_file.clone(),
            insecure: connection.insecure,
        };
        if let Some(saved) = saved {
            target.server = saved.server;
            target
                .credential
                .get_or_insert(Credential::Basic(saved.user, saved.password));
            target.ca_file = target.ca_file.or(saved.ca_file);
            target.insecure |= saved.insecure;
        }
        Ok(target)
    }
}

fn same(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    credential: Credential,
}

impl Client {
    /// A client for `target`.
    pub(super) fn new(target: Target) -> Result<Self, Failure> {
        let base = Url::parse(&target.server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Failure::new(USAGE, format!("\"{}\" is no URL of a server", target.server)))?;
        let credential = target.credential.ok_or_else(|| {
            Failure::new(
                AUTH,
                "not signed in: run reeve login, or set REEVE_USER and REEVE_PASSWORD, or REEVE_TOKEN",
            )
        })?;
        let mut builder = reqwest::Client::builder()
            .timeout(CALL_MAX)
            .user_agent(concat!("reeve/", env!("CARGO_PKG_VERSION")))
            .tls_danger_accept_invalid_certs(target.insecure);
        if let Some(file) = &target.ca_file {
            builder = builder.tls_certs_merge(authorities(file)?);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::new(USAGE, format!("can not call: {}", chain(&error))))?;
        Ok(Self { http, base, credential })
    }

    /// One call; the answer's body, `null` when it has none.
    pub(super) async fn call(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Value, Failure> {
        self.send(method, self.url(path, None)?, body).await
    }

    /// A call that reads.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Every item of a list, page by page.
    pub(super) async fn list(&self, path: &[&str]) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let url = self.url(path, cursor.as_deref())?;
            let mut page = self.send(Method::GET, url, None).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                _ => {
                    return Err(Failure::new(
                        SERVER,
                        "the server's answer is no list; is this a reeve server?",
                    ));
                }
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) if cursor.as_deref() != Some(next) => cursor = Some(next.to_owned()),
                _ => return Ok(items),
            }
        }
    }

    fn url(&self, path: &[&str], cursor: Option<&str>) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        if path.iter().any(|part| part.is_empty() || *part == "." || *part == "..") {
            return Err(Failure::new(USAGE, "a name can not be empty, \".\" or \"..\""));
        }
        url.path_segments_mut()
            .map_err(|()| Failure::new(USAGE, "no URL of a server"))?
            .pop_if_empty()
            .extend(["reeve", "v1"])
            .extend(path);
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        Ok(url)
    }

    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, Failure> {
        let mut request = self.http.request(method, url);
        request = match &self.credential {
            Credential::Basic(user, password) => request.basic_auth(user, Some(password)),
            Credential::Bearer(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let said = problem.get("message").and_then(Value::as_str).map(str::to_owned);
            let message = said.unwrap_or_else(|| format!("the server answered {status}"));
            return Err(Failure::new(Failure::code_of(status), message));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| Failure::new(SERVER, "the server's answer is not JSON; is this a reeve server?"))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let code = if error.is_timeout() { TIMEOUT } else { SERVER };
        let mut message = format!("can not reach {}: {}", self.base, chain(error));
        if message.contains("certificate") {
            message.push_str("; give its certificate with --ca-file, or --insecure to trust any");
        }
        Failure::new(code, message)
    }
}

fn authorities(file: &PathBuf) -> Result<Vec<Certificate>, Failure> {
    let wrong = |why: String| Failure::new(USAGE, format!("can not use {}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Certificate::from_pem_bundle(&text).map_err(|error| wrong(chain(&error)))
}

/// The innermost cause says the most; the outer ones say where.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
