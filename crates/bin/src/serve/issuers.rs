//! Trust in outside issuers: the settings and the one HTTP client that fetches their keys.

use std::time::Duration;

use anyhow::Context as _;
use reeve_control::secret::issuer::Issuers;
use reqwest::{Certificate, redirect};

use crate::config::Identity;

/// Longest time for a connection to an issuer to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Trusts the issuers of the configuration.
///
/// # Errors
/// When the file of authorities is no good.
pub(super) fn trust(identity: &Identity) -> anyhow::Result<Issuers> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("reeve/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Keys come from the address that was configured or published, and from nowhere else.
        .redirect(redirect::Policy::none());
    if let Some(file) = &identity.ca_file {
        let text = std::fs::read(file).with_context(|| format!("can not read {}", file.display()))?;
        let authorities = Certificate::from_pem_bundle(&text)
            .with_context(|| format!("{} is no file of PEM certificates", file.display()))?;
        anyhow::ensure!(!authorities.is_empty(), "{} holds no certificate", file.display());
        builder = builder.tls_certs_only(authorities);
    }
    let http = builder.build().context("can not prepare connections to issuers")?;
    Ok(Issuers::new(http, identity.issuer.clone()))
}
