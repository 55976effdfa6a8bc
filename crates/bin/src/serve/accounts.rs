//! Provider accounts: `local` and `fake`, which are always there, and those of the configuration file.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, anyhow};
use reeve_control::Account;
use reeve_provider::{Catalogue, Clock, Fake, Local, Machines, fake, local::LocalSettings};

use crate::config::{Config, Host, Provider};

/// Opens every account, each in a folder of its own name in the data folder.
pub(super) async fn open(data: &Path, config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Vec<Account>> {
    let catalogue = catalogue(config.catalogue.as_deref())?;
    let host = Provider::Local(Host::default());
    let cloud = Provider::Fake(Box::default());
    let always = [("local", &host), ("fake", &cloud)];
    let always = always
        .into_iter()
        .filter(|(name, _)| !config.provider.contains_key(*name));
    let declared = config.provider.iter().map(|(name, provider)| (name.as_str(), provider));
    let mut accounts = Vec::new();
    for (name, provider) in always.chain(declared) {
        let machines = machines(&data.join(name), provider, &catalogue, clock).await;
        accounts.push(Account {
            name: name.to_owned(),
            machines: machines.with_context(|| format!("provider account \"{name}\" can not be used"))?,
        });
    }
    Ok(accounts)
}

fn catalogue(file: Option<&Path>) -> anyhow::Result<Catalogue> {
    let Some(file) = file else {
        return Ok(Catalogue::builtin());
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    Catalogue::with_overrides(&text).with_context(|| format!("{} can not be used", file.display()))
}

async fn machines(
    folder: &Path,
    provider: &Provider,
    catalogue: &Catalogue,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Machines>> {
    let clock = Arc::clone(clock);
    let opened: Result<Arc<dyn Machines>, _> = match provider {
        Provider::Fake(settings) => Fake::open(folder, fake::Settings::clone(settings), catalogue.clone(), clock)
            .map(|fake| Arc::new(fake) as Arc<dyn Machines>),
        Provider::Local(host) => {
            Local::open(local(folder, host)?, clock).map(|local| Arc::new(local) as Arc<dyn Machines>)
        }
        #[cfg(feature = "ec2")]
        Provider::Ec2(told) => return super::ec2::open(told, catalogue, clock).await,
        #[cfg(not(feature = "ec2"))]
        Provider::Ec2(_) => return Err(anyhow!("this program was built without the feature ec2")),
    };
    opened.map_err(|error| anyhow!("{}", error.message))
}

fn local(folder: &Path, host: &Host) -> anyhow::Result<LocalSettings> {
    let binary = match &host.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().context("can not find this program's own file")?,
    };
    let folder = host.state_dir.as_deref().unwrap_or(folder);
    let folder = std::path::absolute(folder)?;
    let mut settings = LocalSettings::new(binary, folder);
    settings.machines_max = host.machines_max.unwrap_or(settings.machines_max);
    settings.any_size = host.any_size.unwrap_or(settings.any_size);
    settings.stop_grace_ms = host.stop_grace_ms.unwrap_or(settings.stop_grace_ms);
    Ok(settings)
}
