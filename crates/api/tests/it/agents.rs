//! Agents that are not as they should be: with a clock that is wrong, of a newer protocol, or with a token whose time
//! is over.

use std::time::Duration;

use reeve_control::{cluster::Selector, host};
use reeve_model::Timestamp;
use serde_json::{Value, json};

use crate::world::{Caller, World, furnished};

const HOST: &str = "/reeve/v1/clusters/edge-lab/nodes/lab-n1";
const ENROLL: &str = "/reeve/agent/v1/enroll";
const BEAT: &str = "/reeve/agent/v1/beat";
const SECOND: i64 = 1_000_000;
const LIFE: Duration = Duration::from_secs(3600);

/// A token for the hosts of the managed cluster, and when its time is over.
async fn token(world: &World) -> (String, Timestamp) {
    let which = Selector::Name("edge-lab".into());
    let (_, token, ends) = host::join_token(&world.ctx, &which, LIFE).await.expect("a token");
    (token, ends)
}

/// Posts as an agent does; answers status and body.
async fn say(world: &World, path: &str, secret: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let answer = world.send(None, "POST", path, &headers, body.to_string()).await;
    let said = serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (answer.status.as_u16(), said)
}

/// What an agent with this clock says first.
fn ask(clock_us: i64) -> Value {
    json!({
        "protocol": 1, "agent_version": "0", "instance": "instance-1", "machine_id": "machine-1",
        "clock_us": clock_us, "facts": facts(clock_us),
    })
}

/// A machine that booted a minute ago.
fn facts(clock_us: i64) -> Value {
    json!({"hostname": "lab-n1", "booted_us": clock_us.saturating_sub(60 * SECOND)})
}

/// A beat whose measurement is two seconds old.
fn beat(clock_us: i64) -> Value {
    json!({
        "protocol": 1, "sequence": 1, "clock_us": clock_us, "epoch_seen": 0, "facts": facts(clock_us),
        "sample": {"at_us": clock_us.saturating_sub(2 * SECOND), "load_1m": 0.5},
        "init": {"run": "", "state": "pending"},
    })
}

#[tokio::test]
async fn an_agent_whose_clock_is_wrong_is_let_in_and_all_of_it_is_dated_by_the_servers_clock() {
    let world = furnished().await;
    let admin = world.caller("somebody", "admin", "/").await;
    let (token, _) = token(&world).await;
    for years in [-56_i64, -1, 0, 1, 200] {
        world.clock.advance_ms(10_000);
        let now = world.app.now().0;
        let wrong = now + years * 365 * 86_400 * SECOND;
        let (status, enrolled) = say(&world, ENROLL, &token, &ask(wrong)).await;
        assert_eq!((status, &enrolled["clock_us"]), (200, &json!(now)), "{enrolled}");
        let seen = shown(&world, &admin).await;
        assert_eq!(seen["facts"]["booted_us"], now - 60 * SECOND, "{years}: {seen}");

        let credential = enrolled["credential"].as_str().expect("a credential");
        let (status, goals) = say(&world, BEAT, credential, &beat(wrong)).await;
        assert_eq!(status, 200, "{goals}");
        let seen = shown(&world, &admin).await;
        assert_eq!(seen["sample"]["at_us"], now - 2 * SECOND, "{years}: {seen}");
        assert_eq!(seen["facts"]["booted_us"], now - 60 * SECOND, "{years}: {seen}");
        assert_eq!(
            seen["agent"]["lastSeen"],
            world.app.now().rfc3339_micros(),
            "{years}: {seen}"
        );
    }
    // Nonsense is no reason to fall over.
    for nonsense in [i64::MIN, i64::MAX] {
        let (status, enrolled) = say(&world, ENROLL, &token, &ask(nonsense)).await;
        assert_eq!(status, 200, "{enrolled}");
        let credential = enrolled["credential"].as_str().expect("a credential");
        let (status, goals) = say(&world, BEAT, credential, &beat(nonsense)).await;
        assert_eq!(status, 200, "{goals}");
        let at = shown(&world, &admin).await["sample"]["at_us"]
            .as_i64()
            .expect("a moment");
        let age = world.app.now().0 - at;
        assert!((0..=3600 * SECOND).contains(&age), "{age}");
    }
}

async fn shown(world: &World, admin: &Caller) -> Value {
    let answer = world.call(Some(admin), "GET", HOST, "").await;
    assert!(answer.status.is_success(), "{answer:?}");
    serde_json::from_str(&answer.text).expect("the host is JSON")
}

#[tokio::test]
async fn an_agent_of_a_newer_protocol_is_told_so_whatever_else_it_says_and_nothing_is_let_in() {
    let world = furnished().await;
    let admin = world.caller("somebody", "admin", "/").await;
    let (token, _) = token(&world).await;
    let before = shown(&world, &admin).await;
    let newer = |mut body: Value| {
        body["protocol"] = json!(2);
        body
    };
    let strange = json!({"protocol": 2, "who": {"anything": "else"}, "clock_us": "noon"});
    for (path, body) in [
        (ENROLL, newer(ask(0))),
        (ENROLL, strange.clone()),
        (BEAT, newer(beat(0))),
        (BEAT, strange),
    ] {
        let (status, said) = say(&world, path, &token, &body).await;
        assert_eq!((status, &said["code"]), (400, &json!("unsupported_protocol")), "{said}");
        let message = said["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("speaks version 1") && message.contains("the agent version 2"),
            "{message}"
        );
        assert!(message.contains("upgrade the server first"), "{message}");
        assert_eq!(said["retryable"], false);
    }
    assert_eq!(shown(&world, &admin).await, before);
    // Its token was not used up: an agent that fits still gets in.
    let (status, said) = say(&world, ENROLL, &token, &ask(0)).await;
    assert_eq!(status, 200, "{said}");
    let (status, said) = say(&world, BEAT, &token, &json!({"sequence": 1})).await;
    assert_eq!((status, &said["code"]), (400, &json!("invalid")), "{said}");
}

#[tokio::test]
async fn a_join_token_opens_the_door_until_its_last_moment_and_not_after_it() {
    let world = furnished().await;
    let admin = world.caller("somebody", "admin", "/").await;
    let (token, ends) = token(&world).await;
    let left = u64::try_from((ends.0 - world.app.now().0) / 1000).expect("its time is not over");
    world.clock.advance_ms(left - 1);
    let (status, said) = say(&world, ENROLL, &token, &ask(0)).await;
    assert_eq!(status, 200, "{said}");
    let before = shown(&world, &admin).await;
    world.clock.advance_ms(1);
    let mut second = ask(0);
    second["instance"] = json!("instance-2");
    let bearer = format!("Bearer {token}");
    let path = "/reeve/agent/v1/binary/x86_64";
    let program = world.send(None, "GET", path, &[("authorization", &*bearer)], "").await;
    let program = (
        program.status.as_u16(),
        serde_json::from_str(&program.text).expect("a refusal"),
    );
    for (status, said) in [say(&world, ENROLL, &token, &second).await, program] {
        assert_eq!((status, &said["code"]), (401, &json!("token_expired")), "{said}");
        assert_eq!(said.as_object().map(serde_json::Map::len), Some(3), "{said}");
    }
    assert_eq!(shown(&world, &admin).await, before);
}
