//! EC2 instances: the shared behaviour on moto's server, and on a stub what that can not bring about.

mod moto;
mod refusals;
mod stub;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reeve_provider::ec2::{GivenKeys, Program, Settings};
use reeve_provider::{Catalogue, Ec2, Machines, Secret, State, SystemClock};

use self::moto::Moto;
use crate::support::{Harness, launch};

const REGION: &str = "us-east-1";

/// Settings for a cloud at this URL, with an owner that no other test has.
fn settings(url: &str) -> Settings {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let program = Program {
        architecture: "amd64".into(),
        sha256: "0".repeat(64),
    };
    let owner = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut settings = Settings::new(REGION, owner, "ami-12c6146b", program);
    settings.endpoint = Some(url.to_owned());
    settings.settle = Duration::ZERO;
    settings.keys = Some(GivenKeys {
        id: "AKIDEXAMPLE".into(),
        secret: Secret::new("very-secret-key"),
        session: None,
    });
    settings
}

fn open(settings: Settings) -> Ec2 {
    Ec2::open(settings, &Catalogue::builtin(), Arc::new(SystemClock)).expect("the settings make sense")
}

fn harness() -> Harness {
    let moto = Moto::shared();
    Harness {
        machines: Box::new(open(settings(&moto.url))),
        clock: None,
        size: "m5.large",
        region: REGION,
        folder: None,
        keep: Some(moto),
    }
}

crate::behaviors! { harness() }

#[tokio::test]
async fn accounts_with_other_owners_do_not_see_each_others_machines() {
    let (one, other) = (harness(), harness());
    one.launched(&["a"]).await;
    other.launched(&["b"]).await;
    assert_eq!(other.describe("a").await, None);
    let listed = other.machines.list(None, 100).await.expect("listed").machines;
    assert_eq!(
        listed.iter().map(|machine| machine.token.as_str()).collect::<Vec<_>>(),
        ["b"]
    );
    assert_eq!(other.machines.release(&["a".to_owned()]).await, [Ok(State::Gone)]);
    assert!(
        one.describe("a")
            .await
            .is_some_and(|machine| machine.state == State::Running)
    );
    one.finish().await;
    other.finish().await;
}

#[tokio::test]
async fn a_server_that_starts_anew_finds_every_machine_and_makes_none_twice() {
    let moto = Moto::shared();
    let settings = settings(&moto.url);
    let requests: Vec<_> = (0..60)
        .map(|number| {
            let mut request = launch(&format!("node-{number}"), "m5.large");
            request.region = REGION.into();
            request
        })
        .collect();
    // The first one ends half way, and nobody has heard of the machines it made.
    let first = open(settings.clone());
    assert!(first.launch(&requests[..25]).await.iter().all(Result::is_ok));
    drop(first);
    let second = open(settings);
    for answer in second.launch(&requests).await {
        answer.expect("launched");
    }
    let mut tokens = Vec::new();
    let mut cursor = None;
    loop {
        let page = second.list(cursor, 25).await.expect("listed");
        tokens.extend(page.machines.into_iter().map(|machine| machine.token));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    tokens.sort();
    let mut expected: Vec<String> = requests.iter().map(|request| request.token.clone()).collect();
    expected.sort();
    assert_eq!(tokens, expected);
    assert!(second.release(&tokens).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_spot_machine_can_be_had_and_a_foreign_region_can_not() {
    let harness = harness();
    let mut request = harness.launch("s");
    request.spot = true;
    request.max_price = Some(0.05);
    let machine = harness
        .machines
        .launch(&[request.clone()])
        .await
        .remove(0)
        .expect("launched");
    assert_eq!(machine.token, "s");
    request.token = "t".into();
    request.region = "eu-west-1".into();
    let error = harness
        .machines
        .launch(&[request])
        .await
        .remove(0)
        .expect_err("elsewhere");
    assert!(
        error.message.contains("us-east-1") && error.message.contains("eu-west-1"),
        "{error}"
    );
    harness.finish().await;
}
