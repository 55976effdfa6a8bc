//! Which servers are trusted.
//!
//! Three ways, the first that is given wins: one pinned certificate, a file of certificate authorities, the
//! system's authorities. Signatures are always checked by the ring provider; only the question "is this the right
//! certificate" differs. Pinning ignores names and dates on purpose: a self-signed server is known by its
//! certificate alone.

use std::path::Path;
use std::sync::Arc;

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::Failure;

/// Makes ring the process's TLS provider unless somebody has chosen one already.
pub(super) fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Losing the race against another agent in this process is fine: it installs the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Trusts the server whose certificate has this SHA-256, and no other.
pub(super) fn pinned(sha256: &str) -> Result<ClientConfig, Failure> {
    let fingerprint = parse_fingerprint(sha256)?;
    let provider = provider();
    let verifier = PinnedVerifier {
        fingerprint,
        algorithms: provider.signature_verification_algorithms,
    };
    Ok(builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Trusts the authorities in a PEM file.
pub(super) fn authorities(path: &Path) -> Result<ClientConfig, Failure> {
    let wrong = |reason: String| Failure::Settings {
        name: "ca_file",
        reason: format!("{}: {reason}", path.display()),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(builder(provider())?.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts nobody: for plain HTTP, where loading the system's authorities would only cost time and memory.
pub(super) fn nobody() -> Result<ClientConfig, Failure> {
    Ok(builder(provider())?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Failure> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Settings {
            name: "server",
            reason: error.to_string(),
        })
}

fn parse_fingerprint(text: &str) -> Result<[u8; 32], Failure> {
    let wrong = || Failure::Settings {
        name: "ca_sha256",
        reason: "must be 64 hexadecimal digits".to_owned(),
    };
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| *character != ':' && !character.is_whitespace())
        .map(|character| {
            character
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or_else(wrong)
        })
        .collect::<Result<_, _>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit))
        .collect();
    if digits.len() != 64 {
        return Err(wrong());
    }
    bytes.try_into().map_err(|_| wrong())
}

/// Accepts exactly one end certificate.
#[derive(Debug)]
struct PinnedVerifier {
    fingerprint: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if digest::digest(&digest::SHA256, end_entity).as_ref() == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(
            "the server's certificate is not the one given by ca_sha256".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_may_have_colons_and_capitals() {
        let text = ["Ab"; 32].join(":");
        assert_eq!(parse_fingerprint(&text).unwrap(), [0xab; 32]);
    }

    #[test]
    fn a_fingerprint_of_another_length_is_refused() {
        assert!(parse_fingerprint(&"ab".repeat(31)).is_err());
        assert!(parse_fingerprint(&"ab".repeat(33)).is_err());
        assert!(parse_fingerprint(&"xy".repeat(32)).is_err());
        assert!(parse_fingerprint(&format!("{}a", "ab".repeat(31))).is_err());
    }
}
