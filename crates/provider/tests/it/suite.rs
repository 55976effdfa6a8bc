//! The contract of `Machines`, for every provider.

use std::collections::HashSet;

use reeve_provider::machines::hostname_of;
use reeve_provider::{ErrorKind, Machine, State};

use crate::support::Harness;

/// Makes one test per behaviour for a provider.
#[macro_export]
macro_rules! behaviors {
    ($harness:expr; $($behavior:ident)*) => {
        $(
            #[tokio::test]
            async fn $behavior() {
                let harness = $harness;
                $crate::suite::$behavior(&harness).await;
                harness.finish().await;
            }
        )*
    };
    ($harness:expr) => {
        $crate::behaviors! { $harness;
            machines_come_up_with_own_addresses_in_the_order_asked
            one_token_is_one_machine
            describe_answers_in_order_and_none_for_the_unknown
            a_stopped_machine_keeps_its_address_and_starts_again
            a_released_machine_is_gone_and_its_token_is_spent
            orders_to_unknown_machines_are_not_found_but_releases_are_gone
            list_shows_every_machine_once_whatever_the_page
            a_bad_request_does_not_spoil_the_batch
            empty_batches_are_fine
            quota_has_an_entry_for_every_family
            every_size_can_be_had
            secrets_do_not_show
        }
    };
}

fn tokens(tokens: &[&str]) -> Vec<String> {
    tokens.iter().map(|token| (*token).to_owned()).collect()
}

pub(crate) async fn machines_come_up_with_own_addresses_in_the_order_asked(harness: &Harness) {
    let launched = harness.launched(&["b", "a", "c"]).await;
    assert_eq!(
        launched
            .iter()
            .map(|machine| machine.token.as_str())
            .collect::<Vec<_>>(),
        ["b", "a", "c"]
    );
    let mut seen = HashSet::new();
    for token in ["a", "b", "c"] {
        let machine = harness.reaches(token, State::Running).await.expect("there");
        let address = machine.address.expect("a running machine has an address");
        assert!(seen.insert(address), "{address} twice");
        assert_eq!(machine.hostname, Some(hostname_of(address)));
        assert_eq!(machine.size, harness.size);
        assert_eq!(machine.tags["team"], "blue");
        assert_eq!(machine.tags["reeve-node-id"], format!("id-of-{token}"));
        assert_eq!(machine.tags["reeve-node-name"], format!("node-{token}"));
        assert_eq!(machine.tags["reeve-cluster"], "demo");
        assert!(!machine.request_id.is_empty());
    }
}

pub(crate) async fn one_token_is_one_machine(harness: &Harness) {
    let twice = harness.launched(&["a", "a"]).await;
    assert_eq!(twice[0].id, twice[1].id);
    let up = harness.reaches("a", State::Running).await.expect("there");
    let again = harness.launched(&["a"]).await.remove(0);
    assert_eq!(
        (again.id, again.address, again.state),
        (up.id, up.address, State::Running)
    );
    assert_eq!(harness.machines.list(None, 10).await.expect("listed").machines.len(), 1);
}

pub(crate) async fn describe_answers_in_order_and_none_for_the_unknown(harness: &Harness) {
    harness.launched(&["a", "b"]).await;
    let asked = tokens(&["b", "nobody", "a", "not a token"]);
    let seen = harness.machines.describe(&asked).await.expect("described");
    assert_eq!(seen.iter().map(|(token, _)| token.clone()).collect::<Vec<_>>(), asked);
    let there: Vec<bool> = seen.iter().map(|(_, machine)| machine.is_some()).collect();
    assert_eq!(there, [true, false, true, false]);
}

pub(crate) async fn a_stopped_machine_keeps_its_address_and_starts_again(harness: &Harness) {
    let address = harness.launched(&["a"]).await[0].address;
    harness.reaches("a", State::Running).await;
    let asked = tokens(&["a"]);
    let state = harness.machines.stop(&asked).await.remove(0).expect("stopped");
    assert!(matches!(state, State::Stopping | State::Stopped), "{state:?}");
    let stopped = harness.reaches("a", State::Stopped).await.expect("there");
    assert_eq!(stopped.address, address);
    assert_eq!(harness.machines.stop(&asked).await, [Ok(State::Stopped)]);
    let state = harness.machines.start(&asked).await.remove(0).expect("started");
    assert!(matches!(state, State::Pending | State::Running), "{state:?}");
    let running = harness.reaches("a", State::Running).await.expect("there");
    assert_eq!(running.address, address);
    assert_eq!(harness.machines.start(&asked).await, [Ok(State::Running)]);
}

pub(crate) async fn a_released_machine_is_gone_and_its_token_is_spent(harness: &Harness) {
    let id = harness.launched(&["a"]).await.remove(0).id;
    harness.reaches("a", State::Running).await;
    let asked = tokens(&["a"]);
    let state = harness.machines.release(&asked).await.remove(0).expect("released");
    assert!(matches!(state, State::Releasing | State::Gone), "{state:?}");
    harness.reaches("a", State::Gone).await;
    assert_eq!(harness.machines.release(&asked).await, [Ok(State::Gone)]);
    let again = harness.launched(&["a"]).await.remove(0);
    assert_eq!((again.id, again.state, again.address), (id, State::Gone, None));
    assert_eq!(harness.machines.list(None, 10).await.expect("listed").machines, []);
    let kind = harness
        .machines
        .start(&asked)
        .await
        .remove(0)
        .map_err(|error| error.kind);
    assert_eq!(kind, Err(ErrorKind::NotFound));
}

pub(crate) async fn orders_to_unknown_machines_are_not_found_but_releases_are_gone(harness: &Harness) {
    harness.launched(&["a"]).await;
    harness.reaches("a", State::Running).await;
    let asked = tokens(&["nobody", "a"]);
    let stopped = harness.machines.stop(&asked).await;
    assert_eq!(
        stopped[0].as_ref().map_err(|error| error.kind),
        Err(ErrorKind::NotFound)
    );
    assert!(stopped[1].is_ok());
    let started = harness.machines.start(&asked[..1]).await.remove(0);
    assert_eq!(started.map_err(|error| error.kind), Err(ErrorKind::NotFound));
    assert_eq!(harness.machines.release(&asked[..1]).await, [Ok(State::Gone)]);
}

pub(crate) async fn list_shows_every_machine_once_whatever_the_page(harness: &Harness) {
    let names = ["a", "b", "c", "d", "e"];
    harness.launched(&names).await;
    for limit in [1, 2, 5, 9] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = harness.machines.list(cursor, limit).await.expect("listed");
            assert!(page.machines.len() <= limit);
            seen.extend(page.machines.into_iter().map(|machine: Machine| machine.token));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        seen.sort();
        assert_eq!(seen, names, "pages of {limit}");
    }
}

pub(crate) async fn a_bad_request_does_not_spoil_the_batch(harness: &Harness) {
    let mut requests = vec![
        harness.launch("a"),
        harness.launch("b"),
        harness.launch("../c"),
        harness.launch("d"),
    ];
    requests[1].size = "no-such-size".into();
    let answers = harness.machines.launch(&requests).await;
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(|error| error.kind))
        .collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Invalid), Some(ErrorKind::Invalid), None]);
}

pub(crate) async fn empty_batches_are_fine(harness: &Harness) {
    assert!(harness.machines.launch(&[]).await.is_empty());
    assert!(harness.machines.describe(&[]).await.expect("nothing").is_empty());
    assert!(harness.machines.stop(&[]).await.is_empty());
    assert!(harness.machines.start(&[]).await.is_empty());
    assert!(harness.machines.release(&[]).await.is_empty());
}

pub(crate) async fn quota_has_an_entry_for_every_family(harness: &Harness) {
    let quota = harness.machines.quota(harness.region).await.expect("known");
    for size in harness.machines.catalogue().sizes() {
        assert!(
            quota.family_cores[&size.family] >= u64::from(size.quota_vcpus),
            "{}",
            size.name
        );
    }
    assert!(quota.regional_cores > 0 && quota.regional_cores < 1 << 31);
}

pub(crate) async fn every_size_can_be_had(harness: &Harness) {
    let sizes = harness.machines.catalogue().sizes();
    let mut requests = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        let mut request = harness.launch(&format!("size-{index}"));
        request.size = size.name.to_ascii_uppercase();
        requests.push(request);
    }
    let answers = harness.machines.launch(&requests).await;
    for (size, answer) in sizes.iter().zip(answers) {
        assert_eq!(answer.expect("launched").size, size.name);
    }
}

pub(crate) async fn secrets_do_not_show(harness: &Harness) {
    let request = harness.launch("a");
    let answers = harness.machines.launch(std::slice::from_ref(&request)).await;
    let seen = format!("{request:?} {answers:?} {:?}", harness.describe("a").await);
    assert!(!seen.contains("join-me-quietly"), "{seen}");
}
