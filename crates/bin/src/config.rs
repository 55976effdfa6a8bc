//! The server's configuration file: its shape, its commented default, and the command that checks one.

mod ec2;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use reeve_control::secret::issuer::IssuerSettings;
use reeve_provider::fake;
use serde::Deserialize;

use crate::cli;

pub(crate) use self::ec2::Ec2;

/// The commented default.
const DEFAULT: &str = include_str!("config.toml");

/// What can be done with a configuration file.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say whether a configuration file can be used
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a configuration file with every setting and its default
    Default,
}

/// A configuration file. What it does not name has the default that the commented file shows.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Address and port to listen on.
    pub(crate) listen: Option<String>,
    /// As `--tls`.
    pub(crate) tls: Option<String>,
    /// As `--allow-plaintext`.
    pub(crate) allow_plaintext: bool,
    /// As `--database`.
    pub(crate) database: Option<String>,
    /// URL at which agents reach this server.
    pub(crate) public_url: Option<String>,
    /// Seconds between beats.
    pub(crate) beat_interval_s: Option<u32>,
    /// Seconds a token is valid.
    pub(crate) token_life_s: Option<u32>,
    /// Region of pools that name none.
    pub(crate) region_default: Option<String>,
    /// Most nodes one request may make.
    pub(crate) create_max: Option<u32>,
    /// File with machine sizes.
    pub(crate) catalogue: Option<PathBuf>,
    /// Provider accounts by name.
    pub(crate) provider: BTreeMap<String, Provider>,
    /// Who vouches for callers beside this server.
    pub(crate) identity: Identity,
}

/// Trust in tokens that others issue.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Identity {
    /// PEM file of the authorities that issuers' certificates are checked against, in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// The issuers.
    pub(crate) issuer: Vec<IssuerSettings>,
}

/// A provider account.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Provider {
    /// A simulated cloud.
    Fake(Box<fake::Settings>),
    /// This host.
    Local(Host),
    /// EC2 instances.
    Ec2(Box<Ec2>),
}

/// This host as a provider.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// Most machines at once.
    pub(crate) machines_max: Option<u64>,
    /// Take every size of the catalogue.
    pub(crate) any_size: Option<bool>,
    /// Milliseconds a stopped process may take to end.
    pub(crate) stop_grace_ms: Option<u64>,
    /// Program to start instead of this one.
    pub(crate) binary: Option<PathBuf>,
    /// Folder of all machines.
    pub(crate) state_dir: Option<PathBuf>,
}

impl Config {
    /// Reads a file, or answers the defaults when there is none to read.
    ///
    /// # Errors
    /// When it can not be read, is no TOML, or has a key or value that means nothing.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("can not read the configuration file {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("the configuration file {} can not be used", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        if config.beat_interval_s == Some(0) || config.token_life_s == Some(0) {
            anyhow::bail!("beat_interval_s and token_life_s are numbers from 1");
        }
        for (name, provider) in &config.provider {
            let legal = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
            if name.is_empty() || name.len() > 63 || !name.chars().all(legal) {
                anyhow::bail!("\"{name}\" is no name of a provider account: 1 to 63 of A-Z a-z 0-9 - _");
            }
            let checked = match provider {
                Provider::Fake(settings) => settings.check().map_err(|error| anyhow::anyhow!("{}", error.message)),
                Provider::Ec2(settings) => settings.check(),
                Provider::Local(_) => Ok(()),
            };
            checked.map_err(|error| anyhow::anyhow!("provider.{name}: {error}"))?;
        }
        config.identity.check()?;
        Ok(config)
    }
}

impl Identity {
    fn check(&self) -> anyhow::Result<()> {
        for (at, issuer) in self.issuer.iter().enumerate() {
            let name = &issuer.issuer;
            for address in std::iter::once(name).chain(&issuer.jwks_url) {
                if !is_safe(address) {
                    anyhow::bail!("identity.issuer: \"{address}\" is no https:// address, nor http:// on loopback");
                }
            }
            if issuer.audience.is_empty() {
                anyhow::bail!("identity.issuer: {name} needs the audience that its tokens for this server carry");
            }
            if self.issuer[..at].iter().any(|earlier| earlier.issuer == *name) {
                anyhow::bail!("identity.issuer: {name} is named twice");
            }
            for given in issuer.given() {
                let given = given.role_at();
                if given.scope.split('/').filter(|part| !part.is_empty()).count() > 2 {
                    anyhow::bail!(
                        "identity.issuer: {name}: \"{}\" is no scope: FOLDER or FOLDER/CLUSTER",
                        given.scope
                    );
                }
                if !role_names().any(|known| known.eq_ignore_ascii_case(&given.role)) {
                    let known = role_names().collect::<Vec<_>>().join(", ");
                    anyhow::bail!(
                        "identity.issuer: {name}: there is no role \"{}\"; known are: {known}",
                        given.role
                    );
                }
            }
        }
        Ok(())
    }
}

/// Keys fetched over plain HTTP could be anybody's, unless they never leave this host.
fn is_safe(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else {
        return false;
    };
    match url.scheme() {
        "https" => url.has_host(),
        "http" => url.host_str().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }),
        _ => false,
    }
}

fn role_names() -> impl Iterator<Item = String> {
    let roles = reeve_model::permission::core_roles()
        .into_iter()
        .chain(reeve_api::roles());
    roles.map(|role| role.name)
}

/// Runs `reeve config …`.
pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Default => print!("{DEFAULT}"),
        Command::Check { file } => match Config::load(Some(file)) {
            Ok(_) => println!("{} can be used", file.display()),
            Err(error) => {
                eprintln!("reeve: {error:#}");
                return ExitCode::from(cli::USAGE);
            }
        },
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::{Config, DEFAULT, Provider};

    #[test]
    fn the_default_file_is_understood_with_and_without_its_comment_marks() {
        Config::parse(DEFAULT).expect("all commented out");
        let bare = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        let text = DEFAULT.lines().map(bare).collect::<Vec<_>>().join("\n");
        let config = Config::parse(&text).expect("every setting in it is one");
        assert_eq!(config.listen.as_deref(), Some("127.0.0.1:8080"));
        assert!(matches!(config.provider["local"], Provider::Local(_)));
        assert!(matches!(config.provider["chaos"], Provider::Fake(_)));
        assert!(matches!(config.provider["cloud"], Provider::Ec2(_)));
        assert_eq!(config.identity.issuer[0].roles.len(), 2);
    }

    #[test]
    fn a_misspelled_key_is_refused() {
        assert!(Config::parse("lisen = \"127.0.0.1:1\"").is_err());
        assert!(Config::parse("[provider.a]\nkind = \"fake\"\nlaunch_failure = 1.0").is_err());
        assert!(Config::parse("[provider.a]\nkind = \"local\"\nmachine_max = 1").is_err());
    }

    #[test]
    fn an_issuer_that_could_not_be_trusted_is_refused_with_the_reason() {
        let refused = |change: &str| {
            let issuer = "issuer = \"https://login.example\"\naudience = \"reeve\"";
            let text = format!("[[identity.issuer]]\n{issuer}\n{change}");
            Config::parse(&text).expect_err(change).to_string()
        };
        for (change, reason) in [
            ("jwks_url = \"http://login.example/keys\"", "https://"),
            ("everybody = \"bos\"", "there is no role \"bos\""),
            ("roles = { ops = { role = \"viewer\", scope = \"a/b/c\" } }", "no scope"),
            (
                "[[identity.issuer]]\nissuer = \"https://login.example\"\naudience = \"b\"",
                "twice",
            ),
            (
                "[[identity.issuer]]\nissuer = \"https://b.example\"\naudience = \"\"",
                "audience",
            ),
            ("role = \"viewer\"", "unknown field"),
        ] {
            let told = refused(change);
            assert!(told.contains(reason), "{change}: {told}");
        }
    }

    #[test]
    fn an_account_of_ec2_says_whose_machines_it_has_and_keeps_its_secret() {
        let start = "[provider.a]\nkind = \"ec2\"\nregion = \"eu-west-1\"\nimage = \"ami-1\"\n";
        assert!(Config::parse(start).is_err(), "without an owner");
        let keys = format!("{start}owner = \"lab\"\naccess_key_id = \"AKIA\"\n");
        let error = Config::parse(&keys).expect_err("half of the keys").to_string();
        assert!(
            error.contains("provider.a") && error.contains("secret_access_key_file"),
            "{error}"
        );
        let config = Config::parse(&format!("{keys}secret_access_key = \"hunter2\"")).expect("whole");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let wrong = Config::parse("[provider.a]\nkind = \"fake\"\nlaunch_failures = 2.0").expect_err("a share");
        assert!(wrong.to_string().contains("launch_failures"), "{wrong}");
    }
}
