//! Block devices that are hardware, or look like it to this machine.
//!
//! Loop, RAM, device-mapper and RAID devices lie on top of others or of memory; counting them would count the
//! same bytes twice. What has a device behind it in `/sys` is a disk, the rest is not.

use std::path::Path;

use reeve_wire::agent::Disk;

use super::{names, number};

const BLOCK: &str = "/sys/block";
/// `/sys` counts in sectors of 512 bytes, whatever the disk's own sector size is.
const SECTOR_BYTES: u64 = 512;

/// Kernel names of the disks, sorted.
pub(in crate::node) fn physical() -> Vec<String> {
    let optical = |name: &String| name.starts_with("sr") || name.starts_with("fd");
    let mut found = names(Path::new(BLOCK));
    found.retain(|name| Path::new(BLOCK).join(name).join("device").exists() && !optical(name));
    found
}

/// The disks with their sizes; one without a medium is left out.
pub(super) fn look() -> Vec<Disk> {
    physical().into_iter().filter_map(describe).collect()
}

fn describe(name: String) -> Option<Disk> {
    let folder = Path::new(BLOCK).join(&name);
    let sectors: u64 = number(&folder.join("size"))?;
    let rotational = number::<u8>(&folder.join("queue/rotational")) == Some(1);
    (sectors > 0).then(|| Disk {
        name,
        size_bytes: sectors.saturating_mul(SECTOR_BYTES),
        rotational,
    })
}
