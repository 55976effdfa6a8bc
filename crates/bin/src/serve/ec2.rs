//! Opens an account of EC2 machines: settings, keys and the program that the machines fetch.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use reeve_provider::{
    Catalogue, Clock, Ec2, Machines, Secret,
    ec2::{GivenKeys, Program, Settings},
};

use crate::{cli::environment, config};

/// Opens the account; the cloud is not called.
pub(super) async fn open(
    told: &config::Ec2,
    catalogue: &Catalogue,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Machines>> {
    let sha256 = reeve_api::program::sha256().await;
    let program = Program {
        architecture: reeve_api::program::architecture().to_owned(),
        sha256: sha256.map_err(|error| anyhow!("{}", error.message))?.to_owned(),
    };
    let mut settings = Settings::new(&told.region, &told.owner, &told.image, program);
    settings.endpoint.clone_from(&told.endpoint);
    settings.subnet.clone_from(&told.subnet);
    settings.security_groups.clone_from(&told.security_groups);
    settings.key_name.clone_from(&told.key_name);
    settings.instance_profile.clone_from(&told.instance_profile);
    settings.keys = keys(told)?;
    if let Some(seconds) = told.settle_s {
        settings.settle = std::time::Duration::from_secs(seconds.into());
    }
    settings.cores_max = told.cores_max.unwrap_or(settings.cores_max);
    settings.spot_cores_max = told.spot_cores_max.unwrap_or(settings.spot_cores_max);
    let opened = Ec2::open(settings, catalogue, clock).map_err(|error| anyhow!("{}", error.message))?;
    Ok(Arc::new(opened))
}

/// Keys of the file, else of the environment, else none: then the instance metadata service lends them.
fn keys(told: &config::Ec2) -> anyhow::Result<Option<GivenKeys>> {
    if let Some(id) = &told.access_key_id {
        let secret = match (&told.secret_access_key, &told.secret_access_key_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("can not read the secret key in {}", file.display()))?;
                Secret::new(text.trim())
            }
            (None, None) => anyhow::bail!("access_key_id needs secret_access_key or secret_access_key_file"),
        };
        let (id, session) = (id.clone(), None);
        return Ok(Some(GivenKeys { id, secret, session }));
    }
    let found = (environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"));
    Ok(match found {
        (Some(id), Some(secret)) => Some(GivenKeys {
            id,
            secret: Secret::new(secret),
            session: environment("AWS_SESSION_TOKEN").map(Secret::new),
        }),
        _ => None,
    })
}
