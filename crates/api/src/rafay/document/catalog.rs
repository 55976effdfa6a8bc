//! What a server offers, as far as a document can name it.
//!
//! Lists only: every choice that the published API leaves to the server sits here, to be changed in one place.

/// The values that documents may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Installable Kubernetes versions with their leading `v`; empty means every well-formed version.
    pub kubernetes_versions: Vec<String>,
    /// Operating system tokens, compared without case and spaces.
    pub operating_systems: Vec<String>,
    /// Network plug-ins, compared without case.
    pub networks: Vec<String>,
    /// Blueprint names.
    pub blueprints: Vec<String>,
}

impl Default for Catalog {
    /// Linux systems only: nothing here can set up a Windows node.
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            kubernetes_versions: Vec::new(),
            operating_systems: owned(&[
                "Ubuntu20.04",
                "Ubuntu22.04",
                "Ubuntu24.04",
                "RHEL8",
                "RHEL9",
                "RHEL10",
                "AlmaLinux9",
                "Rocky9",
                "Flatcar",
                "Debian12",
                "Debian13",
            ]),
            networks: owned(&["Calico", "Cilium"]),
            blueprints: owned(&["minimal", "default", "default-upstream"]),
        }
    }
}

impl Catalog {
    pub(super) fn has_operating_system(&self, token: &str) -> bool {
        self.operating_systems
            .iter()
            .any(|known| folded_system(known) == folded_system(token))
    }

    pub(super) fn has_network(&self, name: &str) -> bool {
        self.networks.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(super) fn has_version(&self, version: &str) -> bool {
        self.kubernetes_versions.is_empty() || self.kubernetes_versions.iter().any(|known| known == version)
    }
}

/// An operating system token as it is compared: case and spaces carry no meaning.
pub(super) fn folded_system(token: &str) -> String {
    token
        .chars()
        .filter(|character| *character != ' ')
        .flat_map(char::to_lowercase)
        .collect()
}
