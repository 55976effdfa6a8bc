//! What a simulated machine tells of itself: the agent protocol's `Facts`, plausible for its size.
//!
//! The shape is written here by hand because this crate does not know the protocol; a test of the whole house reads
//! these facts with the protocol's own types.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::dice::Dice;
use crate::catalogue::{Catalogue, Size};

/// What the facts of one machine are made from.
pub(super) struct Recipe {
    pub(super) number: u64,
    pub(super) token: String,
    pub(super) address: Ipv4Addr,
    pub(super) hostname: String,
    pub(super) size: String,
    pub(super) booted_us: i64,
}

impl Recipe {
    /// The facts; `null` for a size that was taken out of the catalogue after the machine was launched.
    pub(super) fn make(&self, catalogue: &Catalogue) -> Value {
        catalogue.get(&self.size).map_or(Value::Null, |size| self.facts(size))
    }

    fn facts(&self, size: &Size) -> Value {
        let octets = self.address.octets();
        let mac = format!(
            "02:00:{:02x}:{:02x}:{:02x}:{:02x}",
            octets[0], octets[1], octets[2], octets[3]
        );
        let mut facts = json!({
            "hostname": self.hostname,
            "architecture": if size.name.starts_with("hpc7g") { "aarch64" } else { "x86_64" },
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
                "addresses": [format!("{}/8", self.address)],
                "speed_mbps": if size.vcpus >= 64 { 100_000 } else { 25_000 },
            }],
            "gpus": self.gpus(size),
            "booted_us": self.booted_us,
        });
        if size.gpus > 0 {
            facts["gpu_driver"] = Value::from("570.0.0-fake");
        }
        facts
    }

    fn gpus(&self, size: &Size) -> Vec<Value> {
        let gpu = |index: u32| {
            let dice = Dice {
                seed: self.number,
                subject: &self.token,
                turn: u64::from(index),
            };
            json!({
                "index": index,
                "uuid": gpu_uuid(dice.bits("gpu high"), dice.bits("gpu low")),
                "model": size.gpu_model,
                "memory_bytes": size.gpu_memory_bytes,
            })
        };
        (0..size.gpus).map(gpu).collect()
    }
}

fn gpu_uuid(high: u64, low: u64) -> String {
    let (first, second, third) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (fourth, fifth) = (low >> 52, low & 0xffff_ffff_ffff);
    format!("GPU-{first:08x}-{second:04x}-4{third:03x}-8{fourth:03x}-{fifth:012x}")
}

/// Firmware and kernel keep a little of what the size promises.
fn visible_memory(memory_bytes: u64) -> u64 {
    memory_bytes / 64 * 63
}

fn cpu_model(size: &str) -> &'static str {
    let amd = [
        "Standard_HB",
        "Standard_HX",
        "as_v5",
        "as_v6",
        "asr_v4",
        "A100_v4",
        "ads_",
        "adms_",
        "adis_",
        "as_T4",
        "hpc6a.",
        "hpc7a.",
        "g5.",
        "g6.",
        "p5",
    ];
    if size.starts_with("hpc7g") {
        "Simulated Arm Neoverse"
    } else if amd.iter().any(|part| size.contains(part)) {
        "Simulated AMD EPYC"
    } else {
        "Simulated Intel Xeon"
    }
}
