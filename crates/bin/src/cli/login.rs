//! `reeve login`: tries a credential and keeps what it can be exchanged for, in a file that only its owner can read.
//!
//! A password becomes a token that ends by itself, unless the user wants the password kept.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use reeve_wire::native::{Status, Token};
use reqwest::Method;

use super::Connection;
use super::client::Client;
use super::context::{Context, Contexts, Credentials, DEFAULT_CONTEXT, Environment, Target, from_environment, resolve};
use super::failure::{Failure, Kind};

/// Signs in and keeps it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Login {
    /// Name of the user, or client id of the application [default: REEVE_USER]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from the first line of standard input instead of REEVE_PASSWORD
    #[arg(long, conflicts_with = "token_stdin")]
    password_stdin: bool,
    /// Read a token from the first line of standard input instead of REEVE_TOKEN
    #[arg(long, conflicts_with = "user")]
    token_stdin: bool,
    /// Keep the password itself, not a token that ends after a while
    #[arg(long)]
    pub(super) keep_password: bool,
    /// Name to keep it under
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CONTEXT)]
    name: String,
}

/// Runs the command.
///
/// # Errors
/// When there is no credential, the server does not take it, or it cannot be saved.
pub(super) async fn run(login: Login, globals: &Connection, environment: &Environment) -> Result<(), Failure> {
    let credentials = credentials(&login, environment, &mut std::io::stdin().lock())?;
    let words = keep(&login, credentials, globals, environment).await?;
    println!("{words}");
    Ok(())
}

/// Tries the credential, saves it as the current context and says so.
pub(super) async fn keep(
    login: &Login,
    credentials: Credentials,
    globals: &Connection,
    environment: &Environment,
) -> Result<String, Failure> {
    let mut saved = Contexts::load(environment)?;
    // The flag names the context to write here, so a context of this name need not exist yet.
    let globals = Connection {
        context: None,
        ..globals.clone()
    };
    let nobody = Environment {
        settings: environment.settings.clone(),
        ..Environment::default()
    };
    let Target {
        server,
        insecure,
        ca_file,
        ..
    } = resolve(&globals, &nobody, &saved)?;
    // The file must work from every folder.
    let ca_file = ca_file.map(|path| std::path::absolute(&path).unwrap_or(path));
    let client = Client::new(Target {
        server: server.clone(),
        credentials: Some(credentials.clone()),
        insecure,
        ca_file: ca_file.clone(),
    })?;
    let _: Status = client.get("sign in", &["status"]).await?;
    let mut until = String::new();
    let (user, password, token) = match credentials {
        Credentials::Password { user, password } if login.keep_password => (Some(user), Some(password), None),
        Credentials::Password { user, .. } => {
            let token: Token = client
                .ask("exchange the password for a token", Method::POST, &["token"])
                .await?;
            until = format!(" for {} min", token.expires_in / 60);
            (Some(user), None, Some(token.access_token))
        }
        Credentials::Token(token) => (None, None, Some(token)),
    };
    let who = user.clone().unwrap_or_else(|| "the owner of the token".to_owned());
    saved.contexts.insert(
        login.name.clone(),
        Context {
            server: server.clone(),
            user,
            password,
            token,
            insecure,
            ca_file,
        },
    );
    saved.current = Some(login.name.clone());
    let path = saved.save(environment)?;
    Ok(format!(
        "signed in to {server} as {who}{until}; kept as {:?} in {}",
        login.name,
        path.display()
    ))
}

/// Puts the credential together from flags, environment and standard input.
fn credentials(login: &Login, environment: &Environment, input: &mut dyn BufRead) -> Result<Credentials, Failure> {
    if login.token_stdin {
        return Ok(Credentials::Token(first_line(input)?));
    }
    let Some(user) = login
        .user
        .clone()
        .or_else(|| environment.user.clone().filter(|_| login.password_stdin))
    else {
        return from_environment(environment)?.ok_or_else(|| {
            missing(
                "no credential was given",
                "set REEVE_USER and REEVE_PASSWORD, or REEVE_TOKEN, or pass --user and --password-stdin",
            )
        });
    };
    if login.password_stdin {
        return Ok(Credentials::Password {
            user,
            password: first_line(input)?,
        });
    }
    let password = environment
        .password
        .clone()
        .ok_or_else(|| missing("no password was given", "set REEVE_PASSWORD, or pass --password-stdin"))?;
    Ok(Credentials::Password { user, password })
}

/// Reads a secret that never was an argument, which other users of this host could see.
pub(super) fn first_line(input: &mut dyn BufRead) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("reeve: type the secret and press Enter; it is shown as you type");
    }
    let mut line = String::new();
    input
        .read_line(&mut line)
        .map_err(|error| missing(&error.to_string(), "send the secret to standard input"))?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(missing("standard input was empty", "send the secret to standard input"));
    }
    Ok(secret.to_owned())
}

fn missing(why: &str, next: &str) -> Failure {
    Failure::new(Kind::Credentials, "sign in", why, next)
}

#[cfg(test)]
impl Login {
    /// Flags of a test that gives the credential itself.
    pub(super) fn named(name: &str) -> Self {
        Self {
            user: None,
            password_stdin: false,
            token_stdin: false,
            keep_password: false,
            name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: Option<&str>, password_stdin: bool, token_stdin: bool) -> Login {
        Login {
            user: user.map(str::to_owned),
            password_stdin,
            token_stdin,
            keep_password: false,
            name: DEFAULT_CONTEXT.to_owned(),
        }
    }

    #[test]
    fn a_secret_is_the_first_line_of_standard_input() {
        let found = credentials(
            &login(Some("ada"), true, false),
            &Environment::default(),
            &mut &b"se cret \r\nmore"[..],
        );
        assert!(
            matches!(found, Ok(Credentials::Password { user, password }) if user == "ada" && password == "se cret ")
        );
        let found = credentials(&login(None, false, true), &Environment::default(), &mut &b"token\n"[..]);
        assert!(matches!(found, Ok(Credentials::Token(token)) if token == "token"));
    }

    #[test]
    fn nothing_to_sign_in_with_is_a_failure_of_credentials() {
        for login in [
            login(None, false, false),
            login(Some("ada"), false, false),
            login(Some("ada"), true, false),
        ] {
            let failure = credentials(&login, &Environment::default(), &mut &b""[..])
                .err()
                .unwrap();
            assert_eq!(failure.kind, Kind::Credentials);
        }
    }
}
