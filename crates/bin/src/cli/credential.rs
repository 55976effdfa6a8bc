//! `reeve credential`: users, applications and API keys.
//!
//! Secrets go to standard output once, when they are made, and nowhere else.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use reeve_wire::native::{Credential, CredentialCreate, CredentialCreated};

use super::client::Client;
use super::failure::Failure;
use super::login::first_line;
use super::output::{Record, or_dash};
use super::session::{Session, Watching, parse_time};
use super::watch;

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Make a credential and print its secret this once
    Create {
        /// What it is
        #[arg(long, value_enum)]
        kind: Kind,
        /// Its name
        #[arg(long)]
        name: String,
        /// What it may do, e.g. admin, operator, viewer
        #[arg(long)]
        role: String,
        /// Where it may: FOLDER or FOLDER/CLUSTER; everywhere when absent
        #[arg(long, value_name = "PATH")]
        scope: Option<String>,
        /// How long it works, e.g. 90s, 10m, 2h, 30d; until revoked when absent
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        expires_in: Option<Duration>,
        /// Read a user's password from the first line of standard input; made up when absent
        #[arg(long)]
        password_stdin: bool,
    },
    /// List credentials, without their secrets
    List {
        #[command(flatten)]
        watching: Watching,
    },
    /// End a credential at once
    Revoke {
        /// Its id
        id: String,
    },
}

/// Kinds of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A person with a password
    User,
    /// A program with a client id and a secret
    Application,
    /// A program with one key
    ApiKey,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Application => "application",
            Self::ApiKey => "api-key",
        }
    }
}

impl Record for Credential {
    const COLUMNS: &'static [&'static str] = &["ID", "KIND", "NAME", "ROLES", "STATE"];
    const MORE: &'static [&'static str] = &["CREATED", "EXPIRES", "REVOKED"];

    fn name(&self) -> String {
        self.id.clone()
    }

    fn cells(&self) -> Vec<String> {
        let roles: Vec<String> = self
            .roles
            .iter()
            .map(|at| format!("{} at {}", at.role, at.scope))
            .collect();
        let state = if self.revoked_at.is_some() { "revoked" } else { "active" };
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.name.clone(),
            or_dash(Some(&roles.join(", "))),
            state.to_owned(),
        ]
    }

    fn more(&self) -> Vec<String> {
        vec![
            self.created_at.clone(),
            or_dash(self.expires_at.as_deref()),
            or_dash(self.revoked_at.as_deref()),
        ]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create {
            kind,
            name,
            role,
            scope,
            expires_in,
            password_stdin,
        } => {
            let password = if password_stdin {
                Some(first_line(&mut std::io::stdin().lock())?)
            } else {
                None
            };
            let body = CredentialCreate {
                kind: kind.word().to_owned(),
                name,
                role,
                scope,
                expires_in_s: expires_in.map(|time| time.as_secs()),
                password,
            };
            let doing = format!("make the {} {:?}", body.kind, body.name);
            let created: CredentialCreated = session.client.post(&doing, &["credentials"], &body).await?;
            session.print_one(&created)
        }
        Command::List { watching } => {
            watch::show(session, &watching, async |client: &Client| {
                client
                    .list::<Credential>("list the credentials", &["credentials"], &[], None)
                    .await
            })
            .await
        }
        Command::Revoke { id } => {
            session
                .client
                .delete(&format!("revoke credential {id}"), &["credentials", &id])
                .await?;
            session.print_outcome(
                &format!("credential {id} revoked"),
                &id,
                &serde_json::json!({ "revoked": id }),
            )
        }
    }
}

impl Record for CredentialCreated {
    const COLUMNS: &'static [&'static str] = &["ID", "KIND", "NAME"];
    const MORE: &'static [&'static str] = &["CLIENT-ID", "CLIENT-SECRET", "API-KEY", "PASSWORD"];

    fn name(&self) -> String {
        self.id.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![self.id.clone(), self.kind.clone(), self.name.clone()]
    }

    /// Empty cells are left out where one thing is shown, so each kind shows only the secrets it has.
    fn more(&self) -> Vec<String> {
        [&self.client_id, &self.client_secret, &self.api_key, &self.password]
            .map(|secret| secret.clone().unwrap_or_default())
            .to_vec()
    }
}
