//! The state directory: what an agent must still know after it was killed at any moment.
//!
//! | file | content |
//! | --- | --- |
//! | `lock` | locked while an agent runs here |
//! | `instance` | random id made before the first call, so that a lost answer can be asked for again |
//! | `identity.json` | server, node, cluster and credential (mode 0600) |
//! | `init.json` | which scripts of which `init_run` have ended, and how |
//! | `running.json` | process group of the script that runs now |
//! | `scripts/` | the scripts and their output |
//!
//! **Invariant:** a file is replaced by renaming a finished, flushed one, and the folder is flushed before the
//! content is relied upon; so every file is either whole or absent. This module knows nothing of the protocol.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Failure;
use crate::Secret;

/// How often the agent looks whether its folder is still there.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Whether other agents may be at work in the same folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nobody else: this agent is going to work here.
    Exclusive,
    /// Somebody else may be at work, provided that the machine has enrolled already.
    Shared,
}

/// Membership of this machine, saved once the server has granted it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Scheme, host and port of the server.
    pub(super) server: String,
    /// Pinned certificate in use when enrolling, if any: the same pin means the same server at a new address.
    #[serde(default)]
    pub(super) ca_sha256: Option<String>,
    /// Node id.
    pub(super) node_id: String,
    /// Node name.
    pub(super) node_name: String,
    /// Cluster name.
    pub(super) cluster: String,
    /// Credential for beats.
    credential: String,
    /// SHA-256 of the join token that was used, to notice a different one.
    token_sha256: String,
}

impl Identity {
    /// Membership as granted for `token`.
    pub(super) fn new(
        server: String,
        ca_sha256: Option<String>,
        token: &Secret,
        granted: &reeve_wire::agent::Enrolled,
    ) -> Self {
        Self {
            server,
            ca_sha256,
            node_id: granted.node_id.clone(),
            node_name: granted.node_name.clone(),
            cluster: granted.cluster.clone(),
            credential: granted.credential.clone(),
            token_sha256: fingerprint(token),
        }
    }

    /// Credential for beats.
    pub(super) fn credential(&self) -> Secret {
        Secret::new(&self.credential)
    }

    /// True when `token` is the one this machine enrolled with.
    pub(super) fn came_from(&self, token: &Secret) -> bool {
        self.token_sha256 == fingerprint(token)
    }
}

fn fingerprint(token: &Secret) -> String {
    let hash = digest::digest(&digest::SHA256, token.reveal().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The opened state directory.
pub(super) struct StateDir {
    path: PathBuf,
    instance: String,
    /// Device and inode: a folder made anew under the same name is not this one.
    identity: (u64, u64),
    /// Held open for its lock.
    _lock: Option<File>,
}

impl StateDir {
    /// Opens the folder, makes it when missing, takes the lock and saves the instance id.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, Failure> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Failure::State { doing, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make folder", path))?;
        let path = path.canonicalize().map_err(failed("open folder", path))?;
        let metadata = fs::metadata(&path).map_err(failed("open folder", &path))?;
        let lock = lock(&path, access)?;
        let instance = instance(&path)?;
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            path,
            instance,
            _lock: lock,
        })
    }

    /// Where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Random id of this folder.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Reads a file, or nothing when it does not exist. A file that cannot be understood is an error: guessing
    /// could enroll a machine twice.
    pub(super) fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.path.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Failure::State {
                    doing: "read",
                    path,
                    source,
                });
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Failure::State {
                doing: "understand",
                path,
                source: error.into(),
            }),
        }
    }

    /// Replaces a file; when this returns, the new content survives a power cut. Mode 0600.
    pub(super) fn save(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.path.join(name);
        let written = serde_json::to_vec(value)
            .map_err(io::Error::from)
            .and_then(|bytes| replace(&path, &bytes));
        written.map_err(|source| Failure::State {
            doing: "write",
            path,
            source,
        })
    }

    /// Removes a file if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Failure::State {
                doing: "remove",
                path,
                source,
            }),
            _ => Ok(()),
        }
    }

    /// A watch on the existence of the folder.
    pub(super) fn watch(&self) -> Watch {
        let mut ticks = interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch {
            path: self.path.clone(),
            identity: self.identity,
            ticks,
        }
    }
}

/// Notices that the state directory is gone.
pub(super) struct Watch {
    path: PathBuf,
    identity: (u64, u64),
    ticks: Interval,
}

impl Watch {
    /// Resolves once the folder is gone. Cancel-safe.
    pub(super) async fn gone(&mut self) {
        while self.is_there() {
            self.ticks.tick().await;
        }
    }

    /// True unless the folder is certainly gone.
    fn is_there(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()) == self.identity,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

fn lock(folder: &Path, access: Access) -> Result<Option<File>, Failure> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(|source| Failure::State {
        doing: "open",
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) if access == Access::Shared && folder.join("identity.json").exists() => Ok(None),
        Err(TryLockError::WouldBlock) => Err(Failure::Busy {
            state_dir: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Failure::State {
            doing: "lock",
            path,
            source,
        }),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the instance id has to be random: it is what makes two machines differ"
)]
fn instance(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("instance");
    match fs::read_to_string(&path) {
        Ok(text) if uuid::Uuid::try_parse(text.trim()).is_ok() => return Ok(text.trim().to_owned()),
        Ok(_) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it does not hold an instance id");
            return Err(Failure::State {
                doing: "understand",
                path,
                source,
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(Failure::State {
                doing: "read",
                path,
                source,
            });
        }
    }
    let id = uuid::Uuid::new_v4().to_string();
    replace(&path, id.as_bytes()).map_err(|source| Failure::State {
        doing: "write",
        path,
        source,
    })?;
    Ok(id)
}

/// Writes a new file beside the old one, flushes it, renames it over, flushes the folder.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(folder)?.sync_all()
}
