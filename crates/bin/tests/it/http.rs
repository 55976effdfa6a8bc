//! A client of the built server: JSON in, JSON out, Basic credentials or an access token. It judges no answer.

use std::{path::Path, time::Duration};

use reqwest::{Certificate, Method, header::HeaderMap};
use serde_json::Value;

/// Longest time for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A client with one credential.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    credential: Option<(String, String)>,
    token: Option<String>,
    header: Option<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON, `null` when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When the status is another, with the answer.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

impl Client {
    /// A client of the server at `base` with user and password, nobody's when there is none. With a file of
    /// authorities, only those are trusted.
    pub(crate) fn new(base: &str, credential: Option<(&str, &str)>, authorities: Option<&Path>) -> Self {
        // Losing this race is fine: every client here installs the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().timeout(ANSWER).no_proxy();
        if let Some(file) = authorities {
            let text = std::fs::read(file).expect("a file of authorities");
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&text).expect("certificates"));
        }
        Self {
            http: builder.build().expect("a client"),
            base: base.to_owned(),
            credential: credential.map(|(user, password)| (user.to_owned(), password.to_owned())),
            token: None,
            header: None,
        }
    }

    /// The same, sending one more header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.header = Some((name.to_owned(), value.to_owned()));
        self
    }

    /// A client that sends an access token.
    pub(crate) fn bearing(base: &str, token: &str) -> Self {
        Self::bearing_to(base, token, None)
    }

    /// The same, trusting only a file of authorities.
    pub(crate) fn bearing_to(base: &str, token: &str, authorities: Option<&Path>) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..Self::new(base, None, authorities)
        }
    }

    /// Asks; what is an error is that no whole answer came.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some((user, password)) = &self.credential {
            request = request.basic_auth(user, Some(password));
        }
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    /// Opens an answer that may take its time, such as a stream.
    ///
    /// # Panics
    /// When none begins, or it begins as a refusal.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.base));
        let request = match &self.credential {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {response:?}");
        response
    }

    /// Reads.
    ///
    /// # Panics
    /// When no whole answer comes; so do all below.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.must(Method::GET, path, None).await
    }

    /// Asks for a change.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.must(Method::POST, path, Some(body)).await
    }

    /// All events that the server has kept, oldest first; the stream never ends, so it is read until it is quiet.
    pub(crate) async fn events(&self) -> Vec<Value> {
        const QUIET: Duration = Duration::from_secs(2);
        let mut request = self.http.get(format!("{}/reeve/v1/events?cursor=0", self.base));
        if let Some((user, password)) = &self.credential {
            request = request.basic_auth(user, Some(password));
        }
        let mut response = request.send().await.expect("a stream");
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = tokio::time::timeout(QUIET, response.chunk()).await.unwrap_or(Ok(None)) {
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).expect("text");
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.filter_map(|event| serde_json::from_str(event).ok()).collect()
    }

    async fn must(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let said = format!("{method} {path}");
        let answer = self.attempt(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{said}: {error:?}"))
    }
}
