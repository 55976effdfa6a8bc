//! The command line: a client of the native API and nothing more. It holds no rule; what it shows is what the server
//! said, and its exit status is a contract with scripts.

mod client;
mod commands;
mod context;
mod login;
mod output;
mod wait;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use reqwest::StatusCode;

pub(crate) use commands::Command;

/// Exit status: the command line, or what it asks for, makes no sense.
pub(crate) const USAGE: u8 = 1;
/// Exit status: the server can not be reached, failed, or the operation failed.
pub(crate) const SERVER: u8 = 2;
/// Exit status: not signed in, or not allowed.
const AUTH: u8 = 3;
/// Exit status: there is no such thing.
const NOT_FOUND: u8 = 4;
/// Exit status: it is there already, or the state of things forbids it.
const CONFLICT: u8 = 5;
/// Exit status: it did not happen in time.
const TIMEOUT: u8 = 6;

/// How the server is found and what answers look like.
#[derive(Args, Clone)]
#[command(next_help_heading = "Client options")]
pub(crate) struct Connection {
    /// URL of the server
    #[arg(long, global = true, env = "REEVE_URL", value_name = "URL")]
    server: Option<String>,
    /// Certificate authorities to trust besides the system's, PEM
    #[arg(long, global = true, env = "REEVE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long, global = true)]
    insecure: bool,
    /// Shape of the answer
    #[arg(long, short, global = true, value_enum, default_value_t)]
    output: output::Format,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The exit status for an answer of the server.
    fn code_of(status: StatusCode) -> u8 {
        match status.as_u16() {
            400 | 405 | 413 | 415 | 422 => USAGE,
            401 | 403 => AUTH,
            404 | 410 => NOT_FOUND,
            409 | 412 => CONFLICT,
            408 | 504 => TIMEOUT,
            _ => SERVER,
        }
    }
}

/// Runs a command of the client.
pub(crate) async fn run(connection: Connection, command: Command) -> ExitCode {
    match commands::run(&connection, command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("reeve: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// A variable of the environment, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "bin reads the environment for everybody")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{AUTH, CONFLICT, Failure, NOT_FOUND, SERVER, TIMEOUT, USAGE};
    use reqwest::StatusCode;

    #[test]
    fn every_answer_has_the_exit_status_that_scripts_expect() {
        let cases = [
            (StatusCode::BAD_REQUEST, USAGE),
            (StatusCode::UNAUTHORIZED, AUTH),
            (StatusCode::FORBIDDEN, AUTH),
            (StatusCode::NOT_FOUND, NOT_FOUND),
            (StatusCode::CONFLICT, CONFLICT),
            (StatusCode::GATEWAY_TIMEOUT, TIMEOUT),
            (StatusCode::SERVICE_UNAVAILABLE, SERVER),
        ];
        for (status, code) in cases {
            assert_eq!(Failure::code_of(status), code, "{status}");
        }
    }
}
