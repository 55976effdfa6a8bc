//! Which servers an agent trusts.

use axum_server::tls_rustls::RustlsConfig;
use reeve_agent::exit;
use reeve_agent::node::{Config, Ended};
use reeve_wire::agent::Wish;

use crate::harness::{Folder, Server, config, goals, run};

/// A server with a certificate of its own making; also the certificate's fingerprint and its PEM text.
async fn secure_server(names: &[&str]) -> (Server, String, String) {
    secure_server_of(names, 2000..2100).await
}

/// The same, with the years between which its certificate is good.
async fn secure_server_of(names: &[&str], years: std::ops::Range<i32>) -> (Server, String, String) {
    // Somebody has to choose the process's provider before the server's side of TLS is set up.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut wanted = rcgen::CertificateParams::new(names).unwrap();
    wanted.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let cert = wanted.self_signed(&signing_key).unwrap();
    let pem = cert.pem();
    let key = signing_key.serialize_pem().into_bytes();
    let tls = RustlsConfig::from_pem(pem.clone().into_bytes(), key).await.unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, cert.der());
    let fingerprint = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":");
    (
        Server::start_with(goals(1, Wish::Run, &[]), Some(tls)),
        fingerprint,
        pem,
    )
}

fn once(server: &Server, folder: &Folder) -> Config {
    Config {
        once: true,
        ..config(server, folder)
    }
}

#[tokio::test]
async fn a_pinned_certificate_is_trusted_whatever_its_name() {
    let ((server, fingerprint, _), folder) = (secure_server(&["elsewhere.example"]).await, Folder::new());
    let ended = run(Config {
        ca_sha256: Some(fingerprint),
        ..once(&server, &folder)
    })
    .await;
    assert!(matches!(ended, Ok(Ended::Enrolled { .. })), "{ended:?}");
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_gets_no_token() {
    let ((server, _, _), folder) = (secure_server(&["127.0.0.1"]).await, Folder::new());
    let ended = run(Config {
        ca_sha256: Some("ab".repeat(32)),
        ..once(&server, &folder)
    })
    .await;
    assert_eq!(exit::code(&ended), 11);
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("ca_sha256"), "{message}");
    assert!(server.seen().enrolls.is_empty());
}

#[tokio::test]
async fn the_authorities_in_a_file_are_trusted_for_their_names() {
    let ((server, _, pem), folder) = (secure_server(&["127.0.0.1"]).await, Folder::new());
    let file = Folder::new();
    file.write("ca.pem", &pem);
    let ca_file = Some(file.path().join("ca.pem"));
    let ended = run(Config {
        ca_file,
        ..once(&server, &folder)
    })
    .await;
    assert!(matches!(ended, Ok(Ended::Enrolled { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_machine_in_another_year_trusts_a_pinned_certificate_and_is_told_of_its_clock_otherwise() {
    for (years, words) in [
        (2000..2001, "certificate expired"),
        (2100..2101, "certificate not valid yet"),
    ] {
        let ((server, fingerprint, pem), folder) = (secure_server_of(&["127.0.0.1"], years).await, Folder::new());
        folder.write("ca.pem", &pem);
        let ended = run(Config {
            ca_file: Some(folder.path().join("ca.pem")),
            ..once(&server, &folder)
        })
        .await;
        assert_eq!(exit::code(&ended), 11, "{ended:?}");
        let message = ended.unwrap_err().to_string();
        assert!(
            message.contains(words) && message.contains("this machine's clock is wrong"),
            "{message}"
        );
        assert!(server.seen().enrolls.is_empty());
        let ended = run(Config {
            ca_sha256: Some(fingerprint),
            ..once(&server, &folder)
        })
        .await;
        assert!(matches!(ended, Ok(Ended::Enrolled { .. })), "{ended:?}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_named() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let base = once(&server, &folder);
    let https = server.url().replace("http", "https");
    for (name, config) in [
        (
            "ca_sha256",
            Config {
                server: https.clone(),
                ca_sha256: Some("abc".to_owned()),
                ..base.clone()
            },
        ),
        (
            "ca_file",
            Config {
                server: https,
                ca_file: Some("/no/such/file".into()),
                ..base.clone()
            },
        ),
        (
            "server",
            Config {
                server: "reeve.example".to_owned(),
                ..base.clone()
            },
        ),
        (
            "join_token",
            Config {
                join_token: reeve_agent::Secret::default(),
                ..base
            },
        ),
    ] {
        let message = run(config).await.unwrap_err().to_string();
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
    }
}
