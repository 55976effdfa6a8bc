//! What an account is told; values only, read by whoever wires it up.

use std::time::Duration;

use crate::secret::Secret;

/// Settings of one account in one region.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Region, for example `eu-west-1`.
    pub region: String,
    /// URL of the service; absent for the region's own.
    pub endpoint: Option<String>,
    /// Whose machines these are: a tag on all of them. Deployments that share a cloud account must differ in it, or
    /// each sees the other's machines as ones that nothing explains.
    pub owner: String,
    /// Machine image.
    pub image: String,
    /// Subnet of the machines; absent for the account's default.
    pub subnet: Option<String>,
    /// Security groups, by id.
    pub security_groups: Vec<String>,
    /// Key pair that people sign in with.
    pub key_name: Option<String>,
    /// Name of the profile whose rights the machines have.
    pub instance_profile: Option<String>,
    /// Keys; absent to use those that the instance metadata service lends.
    pub keys: Option<GivenKeys>,
    /// URL of the instance metadata service.
    pub metadata: String,
    /// How long the cloud's view may lag behind its effects.
    pub settle: Duration,
    /// How long a placement group of ours may stand empty before it is removed.
    pub group_idle: Duration,
    /// Quota cores of regular machines that the core may plan with.
    pub cores_max: u64,
    /// Quota cores of spot machines that the core may plan with.
    pub spot_cores_max: u64,
    /// What the machines fetch and run.
    pub program: Program,
}

/// Keys that a person gave.
#[derive(Debug, Clone)]
pub struct GivenKeys {
    /// Public half.
    pub id: String,
    /// Secret half.
    pub secret: Secret,
    /// Goes with keys that expire.
    pub session: Option<Secret>,
}

/// The program that the server hands out.
#[derive(Debug, Clone)]
pub struct Program {
    /// Architecture as the route of the program names it.
    pub architecture: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

impl Settings {
    /// The defaults, for this region, owner, image and program.
    #[must_use]
    pub fn new(
        region: impl Into<String>,
        owner: impl Into<String>,
        image: impl Into<String>,
        program: Program,
    ) -> Self {
        Self {
            region: region.into(),
            endpoint: None,
            owner: owner.into(),
            image: image.into(),
            subnet: None,
            security_groups: Vec::new(),
            key_name: None,
            instance_profile: None,
            keys: None,
            metadata: "http://169.254.169.254".into(),
            settle: Duration::from_secs(30),
            group_idle: Duration::from_secs(300),
            cores_max: 1_000_000,
            spot_cores_max: 1_000_000,
            program,
        }
    }
}
