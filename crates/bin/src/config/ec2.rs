//! `[provider.NAME]` with `kind = "ec2"`: what the file may say, whether or not this program was built with it.

use std::path::PathBuf;

use reeve_provider::Secret;
use serde::{Deserialize, Deserializer};

/// An account of EC2 machines: one region, one owner.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(feature = "ec2"),
    expect(
        dead_code,
        reason = "a file is checked alike by every build; only one with the feature opens the account"
    )
)]
pub(crate) struct Ec2 {
    /// Region.
    pub(crate) region: String,
    /// Machine image.
    pub(crate) image: String,
    /// Tag on all machines; another for every deployment that shares the cloud account, since machines of this owner
    /// that no node explains are released.
    pub(crate) owner: String,
    /// URL of the service.
    pub(crate) endpoint: Option<String>,
    /// Subnet of the machines.
    pub(crate) subnet: Option<String>,
    /// Security groups, by id.
    #[serde(default)]
    pub(crate) security_groups: Vec<String>,
    /// Key pair that people sign in with.
    pub(crate) key_name: Option<String>,
    /// Profile whose rights the machines have.
    pub(crate) instance_profile: Option<String>,
    /// Public half of the keys.
    pub(crate) access_key_id: Option<String>,
    /// Secret half.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) secret_access_key: Option<Secret>,
    /// File with the secret half.
    pub(crate) secret_access_key_file: Option<PathBuf>,
    /// How far the cloud's view may lag, seconds.
    pub(crate) settle_s: Option<u32>,
    /// Quota cores to plan with.
    pub(crate) cores_max: Option<u64>,
    /// Quota cores of spot machines to plan with.
    pub(crate) spot_cores_max: Option<u64>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

impl Ec2 {
    /// What can be told without the cloud.
    ///
    /// # Errors
    /// Keys of which one half is missing, or has two sources.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let sources =
            usize::from(self.secret_access_key.is_some()) + usize::from(self.secret_access_key_file.is_some());
        match (&self.access_key_id, sources) {
            (_, 2) => anyhow::bail!("secret_access_key and secret_access_key_file: give one of them"),
            (Some(_), 0) => anyhow::bail!("access_key_id needs secret_access_key or secret_access_key_file"),
            (None, 1) => anyhow::bail!("the secret key needs access_key_id"),
            _ => Ok(()),
        }
    }
}
