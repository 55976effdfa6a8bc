//! What the machine is.
//!
//! Everything comes from `/proc`, `/sys`, a netlink question and, where there is one, the GPU driver. What cannot
//! be found out is absent, never zero, and never an error: an agent in a container with half of `/sys` missing
//! must still report the other half. How the machine is *doing* is in [`super::sample`].

mod addresses;
mod disks;
mod gpus;
mod nics;
mod processor;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use procfs::{Current, Meminfo};
use reeve_wire::agent::{Facts, GpuSample};

pub(super) use disks::physical as physical_disks;

/// Looks at the machine; keeps what need not be looked up twice.
pub(super) struct Probe {
    hostname: Option<String>,
    source_address: Option<Ipv4Addr>,
    gpus: gpus::Gpus,
    /// Kept from the first look: the kernel derives it from the clock, so it wanders by a second when that is set.
    booted_us: Option<i64>,
}

impl Probe {
    /// Loads the GPU driver's library when there is one, which may take seconds; all else is quick.
    pub(super) async fn new(hostname: Option<String>, source_address: Option<Ipv4Addr>) -> Self {
        let booted = procfs::boot_time_secs()
            .ok()
            .and_then(|seconds| i64::try_from(seconds).ok());
        Self {
            hostname,
            source_address,
            gpus: gpus::Gpus::load().await,
            booted_us: booted.map(|seconds| seconds.saturating_mul(1_000_000)),
        }
    }

    /// What the machine is at this moment.
    pub(super) fn facts(&self) -> Facts {
        let processor = processor::look();
        let kernel = rustix::system::uname();
        let mut facts = Facts {
            hostname: self.hostname.clone().or_else(hostname).unwrap_or_default(),
            architecture: kernel.machine().to_string_lossy().into_owned(),
            kernel: kernel.release().to_string_lossy().into_owned(),
            os: os_name().unwrap_or_default(),
            cpu_model: processor.model,
            cpus: processor.cpus,
            cores: processor.cores,
            memory_bytes: Meminfo::current()
                .ok()
                .map(|memory| memory.mem_total)
                .filter(|bytes| *bytes > 0),
            disks: disks::look(),
            nics: nics::look(self.source_address),
            booted_us: self.booted_us,
            ..Facts::default()
        };
        self.gpus.describe(&mut facts);
        facts
    }

    /// How the GPUs are doing.
    pub(super) fn gpu_samples(&self) -> Vec<GpuSample> {
        self.gpus.samples()
    }
}

/// The machine's own id, when the system has one.
pub(super) fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| text(Path::new(path)))
}

/// Host name without domain.
fn hostname() -> Option<String> {
    let name = text(Path::new("/proc/sys/kernel/hostname"))?;
    name.split('.')
        .next()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

fn os_name() -> Option<String> {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| text(Path::new(path)))?;
    pretty_name(&release)
}

fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Content of a small file without surrounding white space; absent when there is none.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Content of a small file that holds a number.
fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// Names in a folder, sorted; empty when there is none.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pretty_name_loses_its_quotes() {
        let release = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(release).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(pretty_name("ID=debian\n"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_memory_and_processors() {
        let probe = Probe {
            hostname: None,
            source_address: None,
            gpus: gpus::Gpus::none(),
            booted_us: None,
        };
        let facts = probe.facts();
        assert!(!facts.kernel.is_empty());
        assert!(!facts.hostname.contains('.'), "{}", facts.hostname);
        assert!(facts.memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{facts:?}");
        assert!(facts.cpus.is_some_and(|cpus| cpus > 0), "{facts:?}");
        assert!(
            facts.cores.is_none_or(|cores| cores > 0 && Some(cores) <= facts.cpus),
            "{facts:?}"
        );
        assert!(facts.disks.iter().all(|disk| disk.size_bytes > 0), "{facts:?}");
    }
}
