//! What a simulated machine tells of itself: the agent protocol's `Facts`, plausible for its size.
//!
//! The shape is written here by hand because this crate does not know the protocol; a test of the whole house reads
//! these facts with the protocol's own types.

use serde_json::{Value, json};

use super::dice::Dice;
use super::record::Record;
use crate::catalogue::Size;

/// Facts of `record` as a machine of `size` that booted at `booted_us`.
pub(super) fn of(record: &Record, hostname: &str, size: &Size, booted_us: i64) -> Value {
    let arm = size.name.starts_with("hpc7g");
    let octets = record.address.octets();
    let mac = format!("02:00:{:02x}:{:02x}:{:02x}:{:02x}", octets[0], octets[1], octets[2], octets[3]);
    let mut facts = json!({
        "hostname": hostname,
        "architecture": if arm { "aarch64" } else { "x86_64" },
        "kernel": "6.8.0-fake",
        "os": "Simulated Linux 1",
        "cpu_model": cpu_model(&size.name),
        "cpus": size.vcpus,
        "cores": size.pcpus,
        "memory_bytes": visible_memory(size.memory_bytes),
        "disks": [{ "name": "nvme0n1", "size_bytes": 128_u64 << 30, "rotational": false }],
        "nics": [{
            "name": "eth0",
            "mac": mac,
            "addresses": [format!("{}/8", record.address)],
            "speed_mbps": if size.vcpus >= 64 { 100_000 } else { 25_000 },
        }],
        "gpus": gpus(record, size),
        "booted_us": booted_us,
    });
    if size.gpus > 0 {
        facts["gpu_driver"] = Value::from("570.0.0-fake");
    }
    facts
}

/// Firmware and kernel keep a little of what the size promises.
fn visible_memory(memory_bytes: u64) -> u64 {
    memory_bytes / 64 * 63
}

fn gpus(record: &Record, size: &Size) -> Vec<Value> {
    let dice = |turn| Dice { seed: record.number, subject: &record.asked.token, turn };
    (0..size.gpus)
        .map(|index| {
            let (high, low) = (dice(u64::from(index)).bits("gpu high"), dice(u64::from(index)).bits("gpu low"));
            let uuid = format!(
                "GPU-{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff
            );
            json!({
                "index": index,
                "uuid": uuid,
                "model": size.gpu_model,
                "memory_bytes": size.gpu_memory_bytes,
            })
        })
        .collect()
}

fn cpu_model(size: &str) -> &'static str {
    let amd = ["Standard_HB", "Standard_HX", "as_v5", "as_v6", "A100_v4", "NC40ads", "NC80adis", "as_T4", "hpc6a", "hpc7a", "g5.", "g6.", "p5"];
    if size.starts_with("hpc7g") {
        "Simulated Arm Neoverse"
    } else if amd.iter().any(|part| size.contains(part)) {
        "Simulated AMD EPYC"
    } else {
        "Simulated Intel Xeon"
    }
}
