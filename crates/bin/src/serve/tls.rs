//! How the server is reached: plain or by TLS 1.2 and 1.3, with a certificate of its own or one it is given.

use std::{
    fs::OpenOptions,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::data;

/// What `--tls` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// Plain on loopback, self-signed elsewhere.
    Auto,
    /// A certificate that the server makes for itself.
    SelfSigned,
    /// Plain HTTP.
    Off,
    /// Files with the certificate chain and its key.
    Files(PathBuf, PathBuf),
}

/// TLS that can be used.
pub(super) struct Ready {
    /// For the listener.
    pub(super) config: RustlsConfig,
    /// SHA-256 of a self-signed certificate, for agents to pin.
    pub(super) sha256: Option<String>,
}

impl Choice {
    /// Reads the flag.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "auto" => Self::Auto,
            "self-signed" => Self::SelfSigned,
            "off" => Self::Off,
            other => match other.split_once(',') {
                Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
                    Self::Files(certificate.into(), key.into())
                }
                _ => bail!("--tls is auto, self-signed, off or CERT.pem,KEY.pem, not \"{other}\""),
            },
        })
    }

    /// Decides what `auto` means here, and refuses to send passwords over a network in the clear.
    pub(super) fn settle(self, address: SocketAddr, allow_plaintext: bool) -> anyhow::Result<Self> {
        let loopback = address.ip().is_loopback();
        match self {
            Self::Auto if loopback => Ok(Self::Off),
            Self::Auto => Ok(Self::SelfSigned),
            Self::Off if !loopback && !allow_plaintext => bail!(
                "--tls off on {} would send passwords over the network in the clear; \
                 add --allow-plaintext if a proxy in front speaks TLS",
                address.ip()
            ),
            other => Ok(other),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        *self != Self::Off
    }

    /// Reads or makes the certificate; `None` for plain HTTP.
    pub(super) async fn prepare(&self, data: &Path, address: SocketAddr, url: &str) -> anyhow::Result<Option<Ready>> {
        let (certificate, key, own) = match self {
            Self::Off | Self::Auto => return Ok(None),
            Self::Files(certificate, key) => (certificate.clone(), key.clone(), false),
            Self::SelfSigned => {
                let (certificate, key) = self_signed(&data.join("tls"), &names(address, url))?;
                (certificate, key, true)
            }
        };
        let config = RustlsConfig::from_pem_file(&certificate, &key)
            .await
            .with_context(|| format!("can not use {} with {}", certificate.display(), key.display()))?;
        let sha256 = if own { Some(fingerprint(&certificate)?) } else { None };
        Ok(Some(Ready { config, sha256 }))
    }
}

/// Names and addresses that the server may be called by.
fn names(address: SocketAddr, url: &str) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.extend(rustix::system::uname().nodename().to_str().ok().map(str::to_owned));
    let host = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .split('/')
        .next()
        .unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    names.push(host.to_owned());
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names.sort();
    names.dedup();
    names
}

/// Paths of the server's own certificate and key, made at the first start and kept: agents pin it.
fn self_signed(folder: &Path, names: &[String]) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let made = rcgen::generate_simple_self_signed(names).context("can not make a certificate")?;
    data::private(folder).with_context(|| format!("can not make the folder {}", folder.display()))?;
    write(&key, &made.signing_key.serialize_pem(), 0o600)?;
    write(&certificate, &made.cert.pem(), 0o644)?;
    Ok((certificate, key))
}

fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || {
        let mut open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    write().with_context(|| format!("can not write {}", file.display()))
}

fn fingerprint(certificate: &Path) -> anyhow::Result<String> {
    let certificate = CertificateDer::from_pem_file(certificate)
        .with_context(|| format!("can not read the certificate {}", certificate.display()))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::{Choice, names};

    fn settled(choice: &str, address: &str, allow: bool) -> anyhow::Result<Choice> {
        Choice::parse(choice)?.settle(address.parse().expect("address"), allow)
    }

    #[test]
    fn plain_http_leaves_this_host_only_when_somebody_said_so() {
        assert_eq!(settled("auto", "127.0.0.1:1", false).expect("fine"), Choice::Off);
        assert_eq!(settled("auto", "0.0.0.0:1", false).expect("fine"), Choice::SelfSigned);
        assert!(settled("off", "10.0.0.1:1", false).is_err());
        assert_eq!(settled("off", "10.0.0.1:1", true).expect("fine"), Choice::Off);
    }

    #[test]
    fn a_choice_that_is_none_is_refused() {
        assert_eq!(
            Choice::parse("a.pem,b.pem").expect("files"),
            Choice::Files("a.pem".into(), "b.pem".into())
        );
        assert!(Choice::parse("on").is_err());
        assert!(Choice::parse("a.pem,").is_err());
    }

    #[test]
    fn a_certificate_names_every_way_to_the_server() {
        let names = names(
            "10.0.0.1:443".parse().expect("address"),
            "https://reeve.example.org:8443/x",
        );
        for name in ["localhost", "127.0.0.1", "::1", "10.0.0.1", "reeve.example.org"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
    }
}
