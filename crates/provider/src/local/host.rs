//! This host as a machine size: what its kernel says it has.

use std::fs;

use crate::catalogue::Size;
use crate::error::Error;

/// The size called `local`. It costs nothing; GPUs are counted by the driver's folder and described by the agent.
pub(super) fn size() -> Result<Size, Error> {
    let vcpus = std::thread::available_parallelism()
        .map_err(|error| Error::failed("count this host's processors", &error))?
        .get() as u32;
    let memory = fs::read_to_string("/proc/meminfo").map_err(|error| Error::failed("read /proc/meminfo", &error))?;
    let memory_bytes = memory_bytes(&memory)
        .ok_or_else(|| Error::failed("read /proc/meminfo", &"it does not say how much memory there is"))?;
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let gpus = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count) as u32;
    Ok(Size {
        name: "local".into(),
        cloud: "local".into(),
        family: "local".into(),
        vcpus,
        pcpus: physical_cores(&processors).unwrap_or(vcpus).clamp(1, vcpus),
        quota_vcpus: vcpus,
        memory_bytes,
        gpus,
        gpu_model: None,
        gpu_memory_bytes: 0,
        infiniband: fs::read_dir("/sys/class/infiniband").is_ok_and(|mut devices| devices.next().is_some()),
        price_hour_usd: 0.0,
        spot_price_hour_usd: 0.0,
        regions: vec!["local".into()],
    })
}

fn memory_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Distinct pairs of socket and core; absent on processors that do not list them.
fn physical_cores(text: &str) -> Option<u32> {
    let mut cores = std::collections::BTreeSet::new();
    for block in text.split("\n\n") {
        let field = |name: &str| {
            block.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        if let Some(core) = field("core id") {
            cores.insert((field("physical id"), core));
        }
    }
    (!cores.is_empty()).then_some(cores.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::{memory_bytes, physical_cores};

    #[test]
    fn two_threads_of_one_core_are_one_physical_core() {
        let text = "processor : 0\nphysical id : 0\ncore id : 3\n\nprocessor : 1\nphysical id : 0\ncore id : 3\n\n\
                    processor : 2\nphysical id : 1\ncore id : 3\n";
        assert_eq!(physical_cores(text), Some(2));
        assert_eq!(physical_cores("processor : 0\n"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16_384));
        assert_eq!(memory_bytes("nothing"), None);
    }
}
