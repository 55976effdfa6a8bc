//! `cargo xtask deps`: rules about what the lock file may hold.
//!
//! One TLS stack, one HTTP client, one async runtime, one time crate, and no crate twice unless the table below says
//! why we cannot help it. Reads `Cargo.lock` alone, so it needs no network and no other tool.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates that must not come in, however indirectly, and what we have instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls with ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    ("hyper-tls", "TLS is rustls with ring"),
    ("boring", "TLS is rustls with ring"),
    ("aws-lc-rs", "rustls uses ring here; enable only its `ring` feature"),
    ("aws-lc-sys", "rustls uses ring here; enable only its `ring` feature"),
    ("chrono", "the time crate is `time`"),
    ("jiff", "the time crate is `time`"),
    ("async-std", "the async runtime is tokio"),
    ("smol", "the async runtime is tokio"),
    ("async-global-executor", "the async runtime is tokio"),
    ("ureq", "the HTTP client is reqwest"),
    ("isahc", "the HTTP client is reqwest"),
    ("attohttpc", "the HTTP client is reqwest"),
    ("curl", "the HTTP client is reqwest"),
];

const RUSTCRYPTO: &str =
    "jsonwebtoken and sqlx's type descriptions are one RustCrypto generation behind argon2 and sqlx-postgres";
const RANDOM: &str = "jsonwebtoken, rsa and ring still take randomness from the generation before uuid's and sqlx's";
const DERIVES: &str =
    "build time only: derive macros moved from syn 2 to syn 3, sqlx and the certificate parser have not";

/// Crates that may be in the lock file in more than one version. An entry that is no longer needed is an error too,
/// so the list stays true.
const DUPLICATES: &[(&str, &str)] = &[
    (
        "base64",
        "reqwest and the YAML parser moved on, jsonwebtoken and sqlx have not",
    ),
    ("block-buffer", RUSTCRYPTO),
    ("cpufeatures", RUSTCRYPTO),
    ("crypto-common", RUSTCRYPTO),
    ("digest", RUSTCRYPTO),
    ("getrandom", RANDOM),
    ("hashbrown", "sqlx's cache is one version behind indexmap"),
    ("hkdf", RUSTCRYPTO),
    ("hmac", RUSTCRYPTO),
    ("pem", "rcgen moved on, jsonwebtoken has not"),
    ("rand", RANDOM),
    ("rand_core", RANDOM),
    ("sha2", RUSTCRYPTO),
    ("syn", DERIVES),
    ("synstructure", DERIVES),
    ("thiserror", "nvml-wrapper uses version 1"),
    ("thiserror-impl", "nvml-wrapper uses thiserror version 1"),
    ("tower-http", "reqwest is one version behind our server side"),
    (
        "windows-sys",
        "never compiled where we run; ring names an older version",
    ),
];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Checks `Cargo.lock` below `root`.
///
/// # Errors
/// When the lock file cannot be read or breaks a rule; every breach is printed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let path = root.join("Cargo.lock");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let findings = check(&text, FORBIDDEN, DUPLICATES)?;
    for finding in &findings {
        eprintln!("deps: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} dependency rule(s) broken", findings.len());
    }
    println!("deps: ok");
    Ok(())
}

fn check(lock: &str, forbidden: &[(&str, &str)], duplicates: &[(&str, &str)]) -> Result<Vec<String>> {
    let lock: Lock = toml::from_str(lock).context("parse Cargo.lock")?;
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &lock.package {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut findings = Vec::new();
    for (name, instead) in forbidden.iter().filter(|(name, _)| versions.contains_key(name)) {
        findings.push(format!(
            "{name} is forbidden: {instead}; needed by {}",
            needed_by(&lock, name, None)
        ));
    }
    for (name, found) in versions
        .iter()
        .filter(|(name, found)| found.len() > 1 && !is_listed(duplicates, name))
    {
        let parents = found
            .iter()
            .map(|version| format!("{version} by {}", needed_by(&lock, name, Some(version))));
        let parents = parents.collect::<Vec<_>>().join("; ");
        findings.push(format!(
            "{name} is there {} times without a reason: {parents}",
            found.len()
        ));
    }
    for (name, _) in duplicates
        .iter()
        .filter(|(name, _)| versions.get(name).is_none_or(|found| found.len() < 2))
    {
        findings.push(format!(
            "{name} is excused for being there twice, and is not any more: drop the excuse"
        ));
    }
    Ok(findings)
}

fn is_listed(duplicates: &[(&str, &str)], name: &str) -> bool {
    duplicates.iter().any(|(listed, _)| *listed == name)
}

/// Names of the crates that depend on `name`, in `version` when given. A lock file names the version only where
/// there are several.
fn needed_by(lock: &Lock, name: &str, version: Option<&str>) -> String {
    let names = |dependency: &String| {
        let mut words = dependency.split(' ');
        words.next() == Some(name)
            && words
                .next()
                .is_none_or(|found| version.is_none_or(|wanted| found == wanted))
    };
    let parents = lock
        .package
        .iter()
        .filter(|package| package.dependencies.iter().any(names));
    parents
        .map(|package| package.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "house"
        version = "0.1.0"
        dependencies = ["brick 1.0.0", "wall"]
        [[package]]
        name = "wall"
        version = "3.0.0"
        dependencies = ["brick 2.0.0"]
        [[package]]
        name = "brick"
        version = "1.0.0"
        [[package]]
        name = "brick"
        version = "2.0.0"
    "#;

    #[test]
    fn a_crate_in_two_versions_is_reported_with_those_who_need_each() {
        let findings = check(LOCK, &[], &[]).expect("the lock file parses");
        assert_eq!(
            findings,
            ["brick is there 2 times without a reason: 1.0.0 by house; 2.0.0 by wall"]
        );
    }

    #[test]
    fn an_excused_duplicate_passes() {
        assert!(
            check(LOCK, &[], &[("brick", "because")])
                .expect("the lock file parses")
                .is_empty()
        );
    }

    #[test]
    fn an_excuse_that_is_no_longer_needed_is_reported() {
        let findings = check(LOCK, &[], &[("brick", "because"), ("wall", "because")]).expect("the lock file parses");
        assert_eq!(
            findings,
            ["wall is excused for being there twice, and is not any more: drop the excuse"]
        );
    }

    #[test]
    fn a_forbidden_crate_is_reported_with_what_to_use_instead() {
        let findings = check(LOCK, &[("wall", "use a hedge")], &[("brick", "because")]).expect("the lock file parses");
        assert_eq!(findings, ["wall is forbidden: use a hedge; needed by house"]);
    }
}
