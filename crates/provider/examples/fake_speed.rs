//! How fast the simulated cloud is: launch and describe of 10,000 machines, in memory and on a journal.
//!
//! `cargo run --release -p reeve-provider --example fake_speed [FOLDER]`; the folder is for the journal and stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use reeve_provider::fake::Settings;
use reeve_provider::{Boot, Catalogue, Fake, Launch, Machines, ManualClock, Secret};

const MACHINES: usize = 10_000;

#[expect(clippy::disallowed_methods, reason = "a program of its own may read its arguments")]
fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "fake-speed.tmp".into());
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    for size in ["Standard_F4s_v2", "Standard_ND96isr_H100_v5"] {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let memory = Fake::in_memory(Settings::default(), Catalogue::builtin(), clock.clone()).expect("settings");
        runtime.block_on(measure(&format!("{size} in memory"), &memory, &clock, size));
        let folder = std::path::Path::new(&folder).join(format!("{size}-{}", std::process::id()));
        let journal = Fake::open(&folder, Settings::default(), Catalogue::builtin(), clock.clone()).expect("opens");
        runtime.block_on(measure(&format!("{size} on a journal"), &journal, &clock, size));
    }
}

async fn measure(what: &str, fake: &Fake, clock: &ManualClock, size: &str) {
    let launches: Vec<Launch> = (0..MACHINES).map(|number| launch(number, size)).collect();
    let tokens: Vec<String> = launches.iter().map(|launch| launch.token.clone()).collect();
    let begun = Instant::now();
    assert!(fake.launch(&launches).await.iter().all(Result::is_ok));
    println!(
        "{what}: launch of {MACHINES} took {:.1} ms",
        begun.elapsed().as_secs_f64() * 1e3
    );
    clock.advance_ms(10_000);
    for look in ["first", "second"] {
        let begun = Instant::now();
        let seen = fake.describe(&tokens).await.expect("described");
        assert!(
            seen.iter()
                .all(|(_, machine)| machine.as_ref().is_some_and(|machine| machine.guest.is_some()))
        );
        println!(
            "{what}: {look} describe of {MACHINES} took {:.1} ms",
            begun.elapsed().as_secs_f64() * 1e3
        );
    }
}

fn launch(number: usize, size: &str) -> Launch {
    Launch {
        token: format!("00000000-0000-4000-8000-{number:012}"),
        node_id: format!("11111111-0000-4000-8000-{number:012}"),
        node_name: format!("htc-{number}"),
        cluster_name: "speed".into(),
        size: size.into(),
        region: "eastus".into(),
        zone: None,
        spot: false,
        max_price: None,
        placement_group: None,
        tags: BTreeMap::new(),
        boot: Boot {
            server_url: "http://127.0.0.1:8080".into(),
            join_token: Secret::new("secret"),
            ca_sha256: None,
            hostname: None,
        },
    }
}
