//! The saved context: which server, signed in as whom. One file, for its owner's eyes only.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Failure, USAGE, environment};

/// What `reeve login` saves.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    /// URL of the server.
    pub(super) server: String,
    /// Who signs in.
    pub(super) user: String,
    /// Their password.
    pub(super) password: String,
    /// Certificate authorities to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<PathBuf>,
    /// Any certificate is trusted.
    #[serde(default)]
    pub(super) insecure: bool,
}

impl Context {
    /// Reads the saved context, if there is one.
    pub(super) fn load() -> Result<Option<Self>, Failure> {
        let Some(file) = file() else { return Ok(None) };
        let unusable = |why: String| {
            Failure::new(
                USAGE,
                format!(
                    "{} can not be used: {why}; sign in anew with reeve login",
                    file.display()
                ),
            )
        };
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| unusable(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// Saves it; answers where.
    pub(super) fn save(&self) -> Result<PathBuf, Failure> {
        let file = file().ok_or_else(|| Failure::new(USAGE, "neither XDG_CONFIG_HOME nor HOME says where to save"))?;
        let write = || {
            if let Some(folder) = file.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            // A new file each time, so that an old one's wider mode is not kept.
            let fresh = file.with_extension("new");
            let _ = std::fs::remove_file(&fresh);
            let mut open = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            open.write_all(&serde_json::to_vec_pretty(self)?)?;
            open.sync_all()?;
            std::fs::rename(&fresh, &file)
        };
        write().map_err(|error: std::io::Error| {
            Failure::new(USAGE, format!("can not write {}: {error}", file.display()))
        })?;
        Ok(file)
    }
}

fn file() -> Option<PathBuf> {
    let folder = environment("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(folder.join("reeve").join("context.json"))
}
