//! How the machine is doing: one measurement per beat.
//!
//! Counters are handed on as they are (since boot); only the processors' busy share is a difference, so the
//! sampler remembers the last reading. What cannot be read is absent.

use procfs::{CpuTime, Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use reeve_wire::agent::Sample;

use super::clock::now_us;
use super::facts::{Probe, physical_disks};

/// The kernel counts disk traffic in sectors of 512 bytes.
const SECTOR_BYTES: u64 = 512;

/// Takes measurements.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last: Option<Ticks>,
}

/// Processor time since boot.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl Sampler {
    /// Measures now.
    pub(super) fn take(&mut self, probe: &Probe) -> Sample {
        let disk = rustix::fs::statvfs("/").ok().filter(|space| space.f_blocks > 0);
        let (disk_read_bytes, disk_written_bytes) = disk_traffic().unzip();
        let (net_received_bytes, net_sent_bytes) = net_traffic().unzip();
        Sample {
            at_us: now_us(),
            cpu_busy: self.cpu_busy(),
            load_1m: LoadAverage::current().ok().map(|load| hundredths(load.one)),
            memory_used_bytes: memory_used(),
            disk_used_bytes: disk
                .as_ref()
                .map(|space| (space.f_blocks - space.f_bfree.min(space.f_blocks)) * space.f_frsize),
            disk_size_bytes: disk.as_ref().map(|space| space.f_blocks * space.f_frsize),
            disk_read_bytes,
            disk_written_bytes,
            net_received_bytes,
            net_sent_bytes,
            gpus: probe.gpu_samples(),
        }
    }

    fn cpu_busy(&mut self) -> Option<f64> {
        let now = Ticks::of(&KernelStats::current().ok()?.total);
        let last = self.last.replace(now)?;
        busy_share(last, now)
    }
}

impl Ticks {
    /// Guest time is part of user time already.
    fn of(time: &CpuTime) -> Self {
        let waiting = time.idle + time.iowait.unwrap_or(0);
        let serving = time.irq.unwrap_or(0) + time.softirq.unwrap_or(0) + time.steal.unwrap_or(0);
        let busy = time.user + time.nice + time.system + serving;
        Self {
            busy,
            total: busy + waiting,
        }
    }
}

/// Absent when no time has passed, or when the counters went backwards (they may, for idle time).
fn busy_share(last: Ticks, now: Ticks) -> Option<f64> {
    let total = now.total.checked_sub(last.total).filter(|ticks| *ticks > 0)?;
    let busy = now.busy.checked_sub(last.busy)?;
    Some((busy as f64 / total as f64).clamp(0.0, 1.0))
}

/// The kernel prints two decimals; going through a narrower type must not invent more.
fn hundredths(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}

fn memory_used() -> Option<u64> {
    let memory = Meminfo::current().ok()?;
    memory.mem_total.checked_sub(memory.mem_available?)
}

/// Bytes read and written by all disks.
fn disk_traffic() -> Option<(u64, u64)> {
    let disks = physical_disks();
    let stats = procfs::diskstats().ok()?;
    let mut own = stats.iter().filter(|stat| disks.contains(&stat.name)).peekable();
    own.peek()?;
    Some(own.fold((0, 0), |(read, written), stat| {
        (
            read + stat.sectors_read * SECTOR_BYTES,
            written + stat.sectors_written * SECTOR_BYTES,
        )
    }))
}

/// Bytes received and sent by all interfaces but loopback.
fn net_traffic() -> Option<(u64, u64)> {
    let interfaces = procfs::net::dev_status().ok()?;
    let mut own = interfaces.values().filter(|status| status.name != "lo").peekable();
    own.peek()?;
    Some(own.fold((0, 0), |(received, sent), status| {
        (received + status.recv_bytes, sent + status.sent_bytes)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_share_is_the_part_of_the_time_that_passed() {
        let (last, now) = (Ticks { busy: 100, total: 1000 }, Ticks { busy: 150, total: 1200 });
        assert_eq!(busy_share(last, now), Some(0.25));
        assert_eq!(busy_share(now, now), None);
        assert_eq!(busy_share(now, last), None);
    }

    #[tokio::test]
    async fn the_first_sample_has_no_busy_share() {
        let probe = Probe::new(None, None).await;
        let mut sampler = Sampler::default();
        let sample = sampler.take(&probe);
        assert_eq!(sample.cpu_busy, None);
        assert!(sample.memory_used_bytes.is_some_and(|bytes| bytes > 0), "{sample:?}");
        assert!(sample.disk_used_bytes <= sample.disk_size_bytes, "{sample:?}");
    }
}
