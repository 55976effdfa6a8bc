//! Processor model and counts.
//!
//! Physical cores come from the topology in `/sys`, because `/proc/cpuinfo` tells them on x86 only.

use std::collections::BTreeSet;
use std::path::Path;

use procfs::{CpuInfo, Current, CurrentSI};

use super::{names, number};

/// What is known about the processors.
#[derive(Debug, Default)]
pub(super) struct Processor {
    pub(super) model: Option<String>,
    pub(super) cpus: Option<u32>,
    pub(super) cores: Option<u32>,
}

/// Looks at the processors that are online.
pub(super) fn look() -> Processor {
    let info = CpuInfo::current().ok();
    let model = info
        .as_ref()
        .and_then(|info| info.model_name(0))
        .map(|name| name.trim().to_owned());
    let cpus = info
        .map(|info| info.num_cores())
        .filter(|count| *count > 0)
        .or_else(count_in_stat);
    Processor {
        model: model.filter(|name| !name.is_empty() && name != "unknown"),
        cpus: cpus.and_then(|count| u32::try_from(count).ok()),
        cores: cores(Path::new("/sys/devices/system/cpu")),
    }
}

fn count_in_stat() -> Option<usize> {
    procfs::KernelStats::current()
        .ok()
        .map(|stat| stat.cpu_time.len())
        .filter(|count| *count > 0)
}

/// Different pairs of package and core; absent when the topology is not told.
fn cores(folder: &Path) -> Option<u32> {
    let is_processor = |name: &String| {
        let digits = name.strip_prefix("cpu").unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let pairs: BTreeSet<(i64, i64)> = names(folder)
        .iter()
        .filter(|name| is_processor(name))
        .filter_map(|name| {
            let topology = folder.join(name).join("topology");
            Some((
                number(&topology.join("physical_package_id"))?,
                number(&topology.join("core_id"))?,
            ))
        })
        .collect();
    u32::try_from(pairs.len()).ok().filter(|count| *count > 0)
}
