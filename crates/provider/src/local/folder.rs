//! What a machine is on disk.
//!
//! ```text
//! STATE_DIR/.lock             held while folders are made
//! STATE_DIR/.released/TOKEN   the record of a machine that was released, for a day
//! STATE_DIR/TOKEN/machine.json   what it is and what is wished of it
//! STATE_DIR/TOKEN/spawning       there before the process is started
//! STATE_DIR/TOKEN/process.json   which process it is, written after the process has started
//! STATE_DIR/TOKEN/lock           held by whoever starts, stops or releases it
//! STATE_DIR/TOKEN/join-token     readable by us only
//! STATE_DIR/TOKEN/log            standard output and error of the process
//! STATE_DIR/TOKEN/state/         the agent's own folder
//! ```
//!
//! A folder appears whole and goes whole, by a rename from `.making-TOKEN` and to `.removing-TOKEN`. Files are replaced
//! by a rename as well, so nobody reads half a file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failed;
use super::process::Identity;
use crate::error::Error;
use crate::machines::{Launch, check_token, hostname_of, tags_of};

const REMEMBER_RELEASED_SECONDS: i64 = 24 * 3600;

/// What a machine is and what is wished of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) token: String,
    pub(super) size: String,
    pub(super) address: Ipv4Addr,
    pub(super) hostname: String,
    pub(super) launched_at_us: i64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) server_url: String,
    pub(super) ca_sha256: Option<String>,
    pub(super) wish: Wish,
}

/// What is wished of a machine, and since when (microseconds since 1970 UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    On,
    Off { since_us: i64 },
    Release,
}

impl Record {
    pub(super) fn new(launch: &Launch, size: String, address: Ipv4Addr, now_us: i64) -> Self {
        Self {
            token: launch.token.clone(),
            size,
            address,
            hostname: launch.boot.hostname.clone().unwrap_or_else(|| hostname_of(address)),
            launched_at_us: now_us,
            tags: tags_of(launch),
            server_url: launch.boot.server_url.clone(),
            ca_sha256: launch.boot.ca_sha256.clone(),
            wish: Wish::On,
        }
    }
}

/// The folder of all machines.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path.join(".released")).map_err(|error| failed("make", path, &error))?;
        // One spelling, however the folder was named: it decides the addresses and marks the processes.
        let path = path.canonicalize().map_err(|error| failed("open", path, &error))?;
        let root = Self { path };
        root.clear();
        Ok(root)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of one machine.
    pub(super) fn machine(&self, token: &str) -> PathBuf {
        self.path.join(token)
    }

    /// Holds the right to make folders until the file is dropped.
    pub(super) fn lock(&self) -> Result<File, Error> {
        lock_file(&self.path.join(".lock"))
    }

    /// Holds the right to change one machine, or `None` when there is no such machine. Whoever waited must look again
    /// whether the machine is still there: its lock may have been removed with it.
    pub(super) fn lock_machine(&self, token: &str) -> Result<Option<File>, Error> {
        if check_token(token).is_err() {
            return Ok(None);
        }
        let path = self.machine(token).join("lock");
        let lock = match OpenOptions::new().write(true).open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &path, &error)),
        };
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed("lock", &path, &error))?;
        Ok(Some(lock))
    }

    /// Whether the token has, or had, a machine.
    pub(super) fn known(&self, token: &str) -> bool {
        self.machine(token).join("machine.json").exists() || self.released_path(token).exists()
    }

    /// Tokens of all folders, in no order.
    pub(super) fn tokens(&self) -> Result<Vec<String>, Error> {
        let entries = fs::read_dir(&self.path).map_err(|error| failed("read", &self.path, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| check_token(name).is_ok()).collect())
    }

    /// What a machine is; `None` when there is none. A text that is no token has no machine.
    pub(super) fn record(&self, token: &str) -> Result<Option<Record>, Error> {
        if check_token(token).is_err() {
            return Ok(None);
        }
        read_json(&self.machine(token).join("machine.json"))
    }

    /// What a machine was that has been released.
    pub(super) fn released(&self, token: &str) -> Result<Option<Record>, Error> {
        if check_token(token).is_err() {
            return Ok(None);
        }
        read_json(&self.released_path(token))
    }

    fn released_path(&self, token: &str) -> PathBuf {
        self.path.join(".released").join(token)
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), Error> {
        write_json(&self.machine(&record.token).join("machine.json"), record)
    }

    pub(super) fn process(&self, token: &str) -> Result<Option<Identity>, Error> {
        read_json(&self.machine(token).join("process.json"))
    }

    pub(super) fn write_process(&self, token: &str, identity: &Identity) -> Result<(), Error> {
        write_json(&self.machine(token).join("process.json"), identity)
    }

    /// Notes that a process is about to be started; until it is recorded, it has to be looked for.
    pub(super) fn begin_spawn(&self, token: &str) -> Result<(), Error> {
        let path = self.machine(token).join("spawning");
        File::create(&path)
            .map(|_| ())
            .map_err(|error| failed("write", &path, &error))
    }

    /// Whether a process may have been started without being recorded.
    pub(super) fn spawn_begun(&self, token: &str) -> bool {
        self.machine(token).join("spawning").exists()
    }

    /// Forgets the process that was, and that one was to be.
    pub(super) fn forget_process(&self, token: &str) -> Result<(), Error> {
        for name in ["process.json", "spawning"] {
            let path = self.machine(token).join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != IoErrorKind::NotFound => return Err(failed("remove", &path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a machine's folder, all at once. The caller holds the lock of the whole.
    pub(super) fn make(&self, record: &Record) -> Result<(), Error> {
        let making = self.path.join(format!(".making-{}", record.token));
        let there = self.machine(&record.token);
        let make = || -> std::io::Result<()> {
            if making.exists() {
                fs::remove_dir_all(&making)?;
            }
            fs::create_dir_all(making.join("state"))?;
            fs::write(making.join("lock"), "")?;
            fs::write(making.join("machine.json"), serde_json::to_vec_pretty(record)?)?;
            fs::rename(&making, &there)
        };
        make().map_err(|error| failed("make", &there, &error))
    }

    /// Writes the join token where only we can read it.
    pub(super) fn write_join_token(&self, token: &str, secret: &str) -> Result<(), Error> {
        replace(&self.machine(token).join("join-token"), secret.as_bytes())
    }

    /// Removes a machine's folder and remembers that its token is spent. The caller holds the machine's lock, and its
    /// processes are gone.
    pub(super) fn remove(&self, token: &str) -> Result<(), Error> {
        let (there, removing) = (self.machine(token), self.path.join(format!(".removing-{token}")));
        if let Some(record) = self.record(token)? {
            write_json(&self.released_path(token), &record)?;
        }
        let remove = || match fs::rename(&there, &removing).and_then(|()| fs::remove_dir_all(&removing)) {
            Err(error) if error.kind() != IoErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        remove().map_err(|error| failed("remove", &there, &error))
    }

    /// Forgets tokens that were released more than a day ago by the files' own times, and removes what a killed server
    /// left of folders it was making or removing. Whatever fails here is tried again with the next release.
    pub(super) fn tidy(&self, now_us: i64) {
        let oldest = now_us / 1_000_000 - REMEMBER_RELEASED_SECONDS;
        for entry in entries(&self.path.join(".released")) {
            if entry.metadata().is_ok_and(|metadata| metadata.mtime() < oldest) {
                _ = fs::remove_file(entry.path());
            }
        }
        self.clear();
    }

    /// Removes what a killed server left of folders it was making or removing. Nobody is making one while we hold the
    /// lock for that; when it is held already, there will be another time.
    fn clear(&self) {
        let making = File::create(self.path.join(".lock")).ok();
        let making = making.filter(|lock| flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        for entry in entries(&self.path) {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b".removing-") || (making.is_some() && name.starts_with(b".making-")) {
                _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// What is in a folder; nothing when it can not be read.
fn entries(path: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(path).into_iter().flatten().flatten()
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| failed("open", path, &error))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed("lock", path, &error))?;
    Ok(file)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| failed("understand", path, &error)),
        Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed("write", path, &error))?;
    replace(path, &text)
}

/// Replaces a file in one step. The caller holds a lock, so one name for the new file is enough.
fn replace(path: &Path, text: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text)?;
        fs::rename(&new, path)
    };
    write().map_err(|error| failed("write", path, &error))
}
