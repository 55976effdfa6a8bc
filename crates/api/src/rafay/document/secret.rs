//! Write-only values, kept apart from the document that is echoed.

/// A secret text that prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for storing it encrypted.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// The write-only values of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// `spec.config.ssh.passphrase`.
    pub cluster_passphrase: Option<Secret>,
    /// `ssh.passphrase` of nodes, by host name, in document order.
    pub node_passphrases: Vec<(String, Secret)>,
    /// `spec.proxy.proxyAuth`.
    pub proxy_auth: Option<Secret>,
}

impl Secrets {
    /// Fills what an update left out from what is stored, since an absent secret means "keep".
    ///
    /// Passphrases of hosts that are not in `hostnames` are let go.
    pub fn inherit(&mut self, stored: &Secrets, hostnames: &[&str]) {
        self.cluster_passphrase = self
            .cluster_passphrase
            .take()
            .or_else(|| stored.cluster_passphrase.clone());
        self.proxy_auth = self.proxy_auth.take().or_else(|| stored.proxy_auth.clone());
        for (hostname, secret) in &stored.node_passphrases {
            let missing = !self.node_passphrases.iter().any(|(name, _)| name == hostname);
            if missing && hostnames.contains(&hostname.as_str()) {
                self.node_passphrases.push((hostname.clone(), secret.clone()));
            }
        }
    }

    /// Whether this document sends a secret that differs from the stored one.
    pub(super) fn changes(&self, stored: &Secrets) -> bool {
        let differs = |sent: &Option<Secret>, kept: &Option<Secret>| sent.is_some() && sent != kept;
        differs(&self.cluster_passphrase, &stored.cluster_passphrase)
            || self.changes_proxy(stored)
            || self
                .node_passphrases
                .iter()
                .any(|entry| !stored.node_passphrases.contains(entry))
    }

    /// Whether this document sends another proxy credential, which nodes have to learn of.
    pub(super) fn changes_proxy(&self, stored: &Secrets) -> bool {
        self.proxy_auth.is_some() && self.proxy_auth != stored.proxy_auth
    }
}
