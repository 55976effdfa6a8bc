//! One signed call of the cloud's query interface: parameters out, a tree or an error back.
//!
//! One attempt, never a retry: that is the caller's. What this keeps between calls is a gate per action. A throttled
//! action stays closed for a while that doubles with every further refusal and varies by chance, so that many servers
//! do not come back together; calls that meet a closed gate are answered `Throttled` without troubling the cloud.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::credentials::Credentials;
use super::refusal;
use super::sign::{self, Request};
use super::xml::Element;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// Version of the interface that the parameters are of.
const VERSION: &str = "2016-11-15";
/// Longest that one call may take; shorter than the core waits for a batch of them.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// First wait after a throttled call.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after one.
const WAIT_MAX: Duration = Duration::from_secs(30);
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Parameters of a call, in order.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Adds one.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds the filter of number `index`, from 1: any of `values`.
    pub(super) fn filter<V: AsRef<str>>(&mut self, index: usize, name: &str, values: &[V]) -> &mut Self {
        self.set(format!("Filter.{index}.Name"), name);
        for (at, value) in values.iter().enumerate() {
            self.set(format!("Filter.{index}.Value.{}", at + 1), value.as_ref());
        }
        self
    }

    /// Adds a list of ids.
    pub(super) fn list(&mut self, name: &str, values: &[String]) -> &mut Self {
        for (at, value) in values.iter().enumerate() {
            self.set(format!("{name}.{}", at + 1), value);
        }
        self
    }
}

/// A call that did not succeed: what the core shall make of it, and the cloud's own word.
#[derive(Debug)]
pub(super) struct Fault {
    /// For the core.
    pub(super) error: Error,
    /// The cloud's code; empty when there was no answer.
    pub(super) code: String,
}

/// A way to the cloud.
pub(super) struct Client {
    /// For everything that goes out.
    pub(super) http: reqwest::Client,
    /// URL without a trailing slash.
    pub(super) endpoint: String,
    /// Region that signatures name.
    pub(super) region: String,
    /// Keys.
    pub(super) credentials: Credentials,
    /// Time of the signatures.
    pub(super) clock: Arc<dyn Clock>,
    gates: Mutex<HashMap<&'static str, Gate>>,
    random: SystemRandom,
}

#[derive(Default)]
struct Gate {
    closed_until: Option<Instant>,
    refusals: u32,
}

impl Client {
    pub(super) fn new(
        http: reqwest::Client,
        endpoint: &str,
        region: &str,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            credentials,
            clock,
            gates: Mutex::default(),
            random: SystemRandom::new(),
        }
    }

    /// Calls `action`; answers the root of what came back.
    ///
    /// # Errors
    /// Any kind of error but `NotFound` for anything else than an unknown instance; see [`refusal`].
    pub(super) async fn call(&self, action: &'static str, parameters: Parameters) -> Result<Element, Fault> {
        self.call_within(PATIENCE, action, parameters).await
    }

    /// As [`call`](Self::call), for callers that have less time left.
    pub(super) async fn call_within(
        &self,
        patience: Duration,
        action: &'static str,
        parameters: Parameters,
    ) -> Result<Element, Fault> {
        if let Some(rest) = self.closed(action) {
            let message = format!("{action} was throttled a moment ago and is not asked again yet");
            return Err(silent(ErrorKind::Throttled { retry_after: rest }, message));
        }
        let request = self.request(action, parameters).await.map_err(|error| Fault {
            error,
            code: String::new(),
        })?;
        let answer = request
            .timeout(patience)
            .send()
            .await
            .map_err(|error| unanswered(action, error))?;
        let status = answer.status();
        let header = answer.headers().get("x-amzn-requestid");
        let header = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = answer.text().await.map_err(|error| unanswered(action, error))?;
        let tree = Element::parse(&body);
        match tree {
            Ok(tree) if status.is_success() => {
                self.open(action);
                Ok(tree)
            }
            // A success that cannot be read had its effect, whatever it was.
            Err(cause) if status.is_success() => {
                let message = format!("the answer to {action} can not be read: {cause}");
                Err(silent(ErrorKind::Unanswered, message))
            }
            tree => {
                let root = tree.unwrap_or_default();
                Err(self.refused(action, status.as_u16(), &root, header))
            }
        }
    }

    async fn request(&self, action: &str, parameters: Parameters) -> Result<reqwest::RequestBuilder, Error> {
        let keys = self.credentials.keys().await?;
        let mut fields = vec![("Action".to_owned(), action.to_owned())];
        fields.push(("Version".to_owned(), VERSION.to_owned()));
        fields.extend(parameters.0);
        let body = encode(&fields);
        let (_, host) = self.endpoint.split_once("://").unwrap_or(("", &self.endpoint));
        let signed = Request {
            method: "POST",
            host: host.split('/').next().unwrap_or(host),
            path: "/",
            content_type: Some(FORM),
            body: body.as_bytes(),
        };
        let headers = sign::headers(&signed, &keys, &self.region, "ec2", self.clock.now_us());
        let mut request = self.http.post(format!("{}/", self.endpoint));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.body(body))
    }

    fn refused(&self, action: &'static str, status: u16, root: &Element, header: Option<String>) -> Fault {
        let code = root.text(&["Errors", "Error", "Code"]).unwrap_or_default();
        let said = root.text(&["Errors", "Error", "Message"]);
        let mut kind = refusal::kind(code, status);
        if let ErrorKind::Throttled { retry_after } = &mut kind {
            *retry_after = self.close(action);
        }
        let mut message = format!("{action} was refused: ");
        match (code, said) {
            ("", _) => message.push_str(&format!("HTTP status {status}")),
            (code, Some(said)) => message.push_str(&format!("{code}: {}", said.trim_end_matches('.'))),
            (code, None) => message.push_str(code),
        }
        let id = root.text(&["RequestID"]).or(root.text(&["RequestId"]));
        let request_id = id.map(str::to_owned).or(header);
        Fault {
            error: Error {
                kind,
                message,
                request_id,
            },
            code: code.to_owned(),
        }
    }

    fn closed(&self, action: &'static str) -> Option<Duration> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let until = gates.get(action)?.closed_until?;
        let rest = until.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    fn open(&self, action: &'static str) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(action);
    }

    /// Closes the gate and answers for how long: between half of the doubled wait and all of it.
    fn close(&self, action: &'static str) -> Duration {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry(action).or_default();
        // Calls that were under way together count as one refusal.
        let already = gate
            .closed_until
            .map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(rest) = already.filter(|rest| !rest.is_zero()) {
            return rest;
        }
        let wait = WAIT_FIRST.saturating_mul(1 << gate.refusals.min(10)).min(WAIT_MAX);
        gate.refusals += 1;
        let wait = wait / 2 + (wait / 2).mul_f64(self.share());
        gate.closed_until = Some(Instant::now() + wait);
        wait
    }

    /// A number from 0 to 1; 1 when the system has no randomness to give.
    fn share(&self) -> f64 {
        let mut bytes = [u8::MAX; 4];
        let _ = self.random.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }
}

fn silent(kind: ErrorKind, message: String) -> Fault {
    Fault {
        error: Error::new(kind, message),
        code: String::new(),
    }
}

/// Of a request without an answer nobody knows whether it had its effect.
fn unanswered(action: &str, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let mut message = format!("{action} got no answer: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        message.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    silent(ErrorKind::Unanswered, message)
}

/// A form body; every byte but letters, digits and `-._~` is written as `%XX`.
fn encode(fields: &[(String, String)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        escape(&mut body, name);
        body.push('=');
        escape(&mut body, value);
    }
    body
}

fn escape(body: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            body.push(char::from(byte));
        } else {
            body.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_form_says_everything_but_plain_letters_by_number() {
        let fields = [
            ("a.1".to_owned(), "x y&z=ü+/".to_owned()),
            ("b".to_owned(), "~".to_owned()),
        ];
        assert_eq!(encode(&fields), "a.1=x%20y%26z%3D%C3%BC%2B%2F&b=~");
    }
}
