//! A world in a folder, shared by any number of processes.
//!
//! Each call: take the lock, read what others appended, decide, append own events as one line, let go. A process may
//! be killed at any byte: a last line without its end is no line, and the next holder of the lock cuts it off. When
//! the journal has grown, its holder writes the state as a new file and renames it over the old one; others notice
//! that the file is another.
//!
//! It survives killed processes, not a lost disk cache: the simulated cloud flushes nothing, since after a power cut a
//! vanished simulated machine is fair.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::settings::Settings;
use super::world::World;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::error::Error;

/// A journal smaller than this is never compacted, bytes.
const COMPACT_FROM: u64 = 16 << 20;

/// A shared world and this process's view of it.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    lock: File,
    settings: Arc<Settings>,
    catalogue: Catalogue,
    open: Option<Open>,
    compact_from: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    /// Bytes that `world` has taken in.
    offset: u64,
    /// Length of the first line when it is a snapshot.
    snapshot: u64,
    world: World,
}

impl Journal {
    /// The world in `directory`, which is made when it is not there.
    pub(super) fn open(directory: &Path, settings: Arc<Settings>, catalogue: Catalogue) -> Result<Self, Error> {
        let failed = |error| Error::failed("open the simulated cloud's folder", &error);
        fs::create_dir_all(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = options.open(directory.join("lock")).map_err(failed)?;
        let directory = directory.to_owned();
        Ok(Self {
            directory,
            lock,
            settings,
            catalogue,
            open: None,
            compact_from: COMPACT_FROM,
        })
    }

    /// Runs `work` on the present world and keeps what it did. When that cannot be kept, it did not happen.
    pub(super) fn with<T>(&mut self, clock: &dyn Clock, work: impl FnOnce(&mut World, i64) -> T) -> Result<T, Error> {
        flock(&self.lock, FlockOperation::LockExclusive)
            .map_err(|error| Error::failed("lock the simulated cloud", &error))?;
        let result = self.locked(clock, work);
        if result.is_err() {
            // What is in memory may be ahead of the file; read it again next time.
            self.open = None;
        }
        // Letting go cannot fail for a lock that is held; closing the file would let go as well.
        _ = flock(&self.lock, FlockOperation::Unlock);
        result.map_err(|error| Error::failed("keep the simulated cloud's journal", &error))
    }

    fn locked<T>(&mut self, clock: &dyn Clock, work: impl FnOnce(&mut World, i64) -> T) -> Result<T, std::io::Error> {
        let mut open = self.current()?;
        let now_us = clock.now_us();
        open.world.begin(now_us);
        let result = work(&mut open.world, now_us);
        open.append()?;
        if open.offset - open.snapshot > self.compact_from.max(open.snapshot) {
            open = self.compact(open, now_us)?;
        }
        self.open = Some(open);
        Ok(result)
    }

    fn path(&self) -> PathBuf {
        self.directory.join("journal.jsonl")
    }

    /// The world as the file has it now.
    fn current(&mut self) -> Result<Open, std::io::Error> {
        let inode = fs::metadata(self.path()).ok().map(|metadata| metadata.ino());
        let mut open = match self.open.take() {
            // An old file cannot lend its inode to a new one while we hold it open.
            Some(open) if Some(open.inode) == inode => open,
            _ => Open::new(
                &self.path(),
                World::new(self.settings.clone(), self.catalogue.clone(), true),
            )?,
        };
        open.catch_up()?;
        Ok(open)
    }

    fn compact(&self, mut open: Open, now_us: i64) -> Result<Open, std::io::Error> {
        open.world.forget(now_us);
        let line = open.world.snapshot()?;
        let new = self.directory.join("journal.tmp");
        fs::write(&new, &line)?;
        fs::rename(&new, self.path())?;
        let mut open = Open::new(&self.path(), open.world)?;
        open.offset = line.len() as u64;
        open.snapshot = open.offset;
        Ok(open)
    }

    #[cfg(test)]
    pub(super) fn compact_from(mut self, bytes: u64) -> Self {
        self.compact_from = bytes;
        self
    }
}

impl Open {
    fn new(path: &Path, world: World) -> Result<Self, std::io::Error> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self {
            file,
            inode,
            offset: 0,
            snapshot: 0,
            world,
        })
    }

    /// Takes in what others wrote, and cuts off what a killed one left half-written.
    fn catch_up(&mut self) -> Result<(), std::io::Error> {
        if self.file.metadata()?.len() == self.offset {
            return Ok(());
        }
        let mut news = Vec::new();
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.file.read_to_end(&mut news)?;
        let whole = news.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in news[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.world.replay(line)?;
            if self.offset == 0 && line.starts_with(b"{\"snapshot\"") {
                self.snapshot = line.len() as u64;
            }
            self.offset += line.len() as u64;
        }
        if whole < news.len() {
            tracing::warn!(
                bytes = news.len() - whole,
                "cut off a half-written line of the simulated cloud's journal"
            );
            self.file.set_len(self.offset)?;
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), std::io::Error> {
        let line = self.world.take_events();
        if !line.is_empty() {
            self.file.write_all(&line)?;
            self.offset += line.len() as u64;
        }
        Ok(())
    }
}
