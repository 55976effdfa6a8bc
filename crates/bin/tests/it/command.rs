//! The built command line, run as a person or a script runs it: with an environment that holds nothing but what it is
//! given, and a home of its own.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{
    server::{Folder, PASSWORD, Server, program},
    wait::BOUND,
};

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its standard output as JSON.
    ///
    /// # Panics
    /// When it failed or printed something else.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Somebody with a home, who may have signed in.
pub(crate) struct Person {
    home: Folder,
    environment: Vec<(String, String)>,
}

impl Person {
    /// Who has not signed in anywhere.
    pub(crate) fn new() -> Self {
        Self {
            home: Folder::new(),
            environment: Vec::new(),
        }
    }

    /// Who has the administrator's password of a server in the environment, and its certificate if it made one.
    pub(crate) fn admin(server: &Server) -> Self {
        let mut person = Self::new()
            .with("REEVE_URL", server.url())
            .with("REEVE_USER", "admin")
            .with("REEVE_PASSWORD", PASSWORD);
        if server.url().starts_with("https://") {
            person = person.with(
                "REEVE_CA_FILE",
                &server.data().join("tls/cert.pem").display().to_string(),
            );
        }
        person
    }

    /// With one more variable of the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs one command to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub(crate) async fn reeve(&self, arguments: &[&str]) -> Ran {
        self.reeve_reading(arguments, "").await
    }

    /// The same with something on standard input.
    pub(crate) async fn reeve_reading(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = Command::new(program())
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("start the command");
        let mut stdin = child.stdin.take().expect("its input");
        // A command that does not read may have ended already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = timeout(BOUND, child.wait_with_output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
            .expect("its output");
        Ran {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
