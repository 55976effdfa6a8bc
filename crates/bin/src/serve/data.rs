//! The data folder and the database in it, with the words for what can be wrong with either.

use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context as _, anyhow, bail};
use reeve_store::engine::{Database, Error, Settings, Store};

/// Reading connections: enough that a slow list does not hold up a beat.
const READERS: u32 = 4;

/// Makes the data folder, for its owner alone.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    private(folder).with_context(|| format!("can not make the data folder {}", folder.display()))?;
    let mode = std::fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "other users of this host can look into the data folder; chmod 700 it");
    }
    Ok(())
}

/// Makes a folder of mode 0700 with its parents.
pub(super) fn private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens the database that `chosen` names.
pub(super) async fn open(folder: &Path, chosen: Option<&str>) -> anyhow::Result<Store> {
    let database = match chosen.unwrap_or("sqlite") {
        "sqlite" => Database::Sqlite {
            path: folder.join("reeve.db"),
        },
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Database::Postgres { url: url.to_owned() }
        }
        // The text may hold a password, so it is not shown.
        _ => bail!("--database is \"sqlite\" or a URL like postgres://user:password@host:5432/database"),
    };
    Store::open(&Settings {
        database,
        readers: READERS,
    })
    .await
    .map_err(|error| explain(&error, folder))
}

fn explain(error: &Error, folder: &Path) -> anyhow::Error {
    let folder = folder.display();
    match error {
        Error::InUse(holder) => anyhow!(
            "the data folder {folder} is in use by another reeve ({holder}); \
             stop that one, or choose another folder with --data-dir"
        ),
        Error::Newer { found, known } => anyhow!(
            "a newer reeve wrote this database (schema version {found}, this program knows {known}); \
             nothing was changed: start that newer program"
        ),
        Error::Full(_) => anyhow!("the disk under the database is full; make room and start again"),
        Error::Lost(why) => anyhow!("the database can not be reached: {why}"),
        Error::Corrupt(why) => anyhow!("the database in {folder} is damaged; restore it from a backup: {why}"),
        Error::Busy(why) => anyhow!("the database did not answer in time, try again: {why}"),
        Error::Unique { .. } | Error::Other(_) => anyhow!("the database can not be opened: {error}"),
    }
}
