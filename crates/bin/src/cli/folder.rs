//! `reeve folder`: where clusters lie, and where rights are given.

use clap::Subcommand;
use reeve_wire::native::{Folder, FolderCreate, Page};

use super::client::Client;
use super::failure::Failure;
use super::output::Record;
use super::session::{Session, Watching};
use super::watch;

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List folders, oldest first
    List {
        #[command(flatten)]
        watching: Watching,
    },
    /// Make a folder
    Create {
        /// Its name: 1 to 63 letters, digits, and - _ .
        name: String,
    },
}

impl Record for Folder {
    const COLUMNS: &'static [&'static str] = &["NAME", "CREATED"];
    const MORE: &'static [&'static str] = &["ID"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.created_at.clone()]
    }

    fn more(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
}

/// Runs a command.
///
/// # Errors
/// When the server refuses or cannot be reached.
pub(super) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { watching } => {
            watch::show(session, &watching, async |client: &Client| {
                let page: Page<Folder> = client.get("list the folders", &["folders"]).await?;
                Ok(page.items)
            })
            .await
        }
        Command::Create { name } => {
            let doing = format!("make the folder {name:?}");
            let made: Folder = session
                .client
                .post(&doing, &["folders"], &FolderCreate { name })
                .await?;
            session.print_one(&made)
        }
    }
}
