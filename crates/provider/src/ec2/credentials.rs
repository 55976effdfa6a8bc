//! Where the keys come from: given in the settings, or lent to this instance by its own cloud (the instance
//! metadata service, version 2).
//!
//! Lent keys expire; they are fetched again some minutes before that.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;

use super::sign::Keys;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// How long before their end lent keys are fetched again.
const EARLY: Duration = Duration::from_secs(300);
/// How long the metadata service may take; it is on the same host.
const PATIENCE: Duration = Duration::from_secs(2);
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// A source of keys.
pub(super) enum Credentials {
    /// Given once and for all.
    Given(Keys),
    /// Lent by the metadata service.
    Lent(Lent),
}

/// Keys lent by the metadata service.
pub(super) struct Lent {
    http: reqwest::Client,
    service: String,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Keys, i64)>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

impl Credentials {
    /// Lent keys, from the metadata service at this URL.
    pub(super) fn lent(http: reqwest::Client, service: &str, clock: Arc<dyn Clock>) -> Self {
        Self::Lent(Lent {
            http,
            service: service.trim_end_matches('/').to_owned(),
            clock,
            known: Mutex::new(None),
        })
    }

    /// Keys that are valid now.
    ///
    /// # Errors
    /// `Failed` when the metadata service has none or does not answer: nothing was asked of the cloud.
    pub(super) async fn keys(&self) -> Result<Keys, Error> {
        let lent = match self {
            Self::Given(keys) => return Ok(keys.clone()),
            Self::Lent(lent) => lent,
        };
        let mut known = lent.known.lock().await;
        let soon = lent.clock.now_us() + i64::try_from(EARLY.as_micros()).unwrap_or(i64::MAX);
        if let Some((keys, until)) = known.as_ref()
            && soon < *until
        {
            return Ok(keys.clone());
        }
        let fetched = lent.fetch().await?;
        Ok(known.insert(fetched).0.clone())
    }
}

impl Lent {
    async fn fetch(&self) -> Result<(Keys, i64), Error> {
        let session = self.http.put(format!("{}/latest/api/token", self.service));
        let session = said(session.header("x-aws-ec2-metadata-token-ttl-seconds", "300")).await?;
        let read = |path: String| {
            let request = self.http.get(format!("{}{path}", self.service));
            said(request.header("x-aws-ec2-metadata-token", session.trim()))
        };
        let roles = read(ROLES.to_owned()).await?;
        let role = roles.lines().next().unwrap_or_default().trim().to_owned();
        let text = read(format!("{ROLES}{role}")).await?;
        // The cause is not shown: it may quote the document.
        let wrong = || failed("the metadata service answers keys of a form that is not known");
        let document: Document = serde_json::from_str(&text).map_err(|_| wrong())?;
        let until = OffsetDateTime::parse(&document.expiration, &Rfc3339).map_err(|_| wrong())?;
        let keys = Keys {
            id: document.access_key_id,
            secret: Secret::new(document.secret_access_key),
            session: Some(Secret::new(document.token)),
        };
        Ok((
            keys,
            i64::try_from(until.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX),
        ))
    }
}

async fn said(request: reqwest::RequestBuilder) -> Result<String, Error> {
    let answer = request.timeout(PATIENCE).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    match answer {
        Ok(answer) => answer
            .text()
            .await
            .map_err(|error| failed(&error.without_url().to_string())),
        Err(error) => Err(failed(&error.without_url().to_string())),
    }
}

fn failed(cause: &str) -> Error {
    let message = format!("no keys are configured and the instance metadata service lends none: {cause}");
    Error::new(ErrorKind::Failed, message)
}
