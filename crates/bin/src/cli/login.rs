//! `reeve login`: asks for what is missing, tries it, saves it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::{
    Connection, Failure, USAGE,
    client::{Client, Credential, Target},
    context::Context,
    environment, output,
};

/// Flags of `reeve login`.
#[derive(Args)]
pub(crate) struct Login {
    /// Who signs in
    #[arg(long, env = "REEVE_USER")]
    user: Option<String>,
}

/// Signs in and saves the context.
pub(super) async fn run(connection: &Connection, flags: Login) -> Result<(), Failure> {
    let user = match flags.user {
        Some(user) => user,
        None => ask("user: ")?,
    };
    let password = match environment("REEVE_PASSWORD") {
        Some(password) => password,
        None => hidden(|| ask("password: "))?,
    };
    let mut target = Target::find(connection)?;
    target.credential = Some(Credential::Basic(user.clone(), password.clone()));
    let (server, insecure) = (target.server.clone(), target.insecure);
    let ca_file = target
        .ca_file
        .clone()
        .map(|file| std::path::absolute(&file).unwrap_or(file));
    Client::new(target)?.get(&["status"]).await?;
    let saved = Context {
        server: server.clone(),
        user: user.clone(),
        password,
        ca_file,
        insecure,
    }
    .save()?;
    output::print(&format!(
        "signed in to {server} as {user}; saved in {}\n",
        saved.display()
    ))
}

/// Reads one line.
fn ask(question: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(USAGE, format!("can not read an answer: {error}"));
    if std::io::stdin().is_terminal() {
        eprint!("{question}");
        std::io::stderr().flush().map_err(failed)?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    let line = line.trim_end_matches(['\n', '\r']).to_owned();
    if line.is_empty() {
        return Err(Failure::new(
            USAGE,
            format!("no answer to \"{}\"", question.trim_end_matches([':', ' '])),
        ));
    }
    Ok(line)
}

/// Runs `ask` while the terminal shows nothing of what is typed.
fn hidden<T>(ask: impl FnOnce() -> T) -> T {
    let terminal = std::io::stdin().is_terminal();
    // A terminal that can not be told shows the password, which is still better than not getting in.
    let echo = |flag: &str| {
        if terminal {
            let _ = std::process::Command::new("stty").arg(flag).status();
        }
    };
    echo("-echo");
    let answer = ask();
    echo("echo");
    if terminal {
        eprintln!();
    }
    answer
}
