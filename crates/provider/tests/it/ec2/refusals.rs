//! What the cloud refuses, loses or takes back, on a stub.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reeve_provider::{Ec2, Error, ErrorKind, Launch, Machine, Machines, State};

use super::stub::{Call, Reply, Stub, refusal};
use super::{REGION, open, settings};
use crate::support::launch;

const NOTHING: &str =
    "<DescribeInstancesResponse><requestId>r</requestId><reservationSet/></DescribeInstancesResponse>";

fn request(token: &str) -> Launch {
    let mut request = launch(token, "m5.large");
    request.region = REGION.into();
    request
}

/// An instance as the cloud tells of it.
fn instance(token: &str, state: &str, reason: &str) -> String {
    format!(
        "<item><instanceId>i-{token}</instanceId><instanceType>m5.large</instanceType><instanceState><name>{state}</name>\
         </instanceState><stateReason><code>{reason}</code><message>{reason}: taken back</message></stateReason>\
         <tagSet><item><key>reeve-token</key><value>{token}</value></item></tagSet></item>"
    )
}

fn ran(call: &Call) -> Reply {
    let items = instance(&call.parameters["ClientToken"], "pending", "");
    Reply::Answer(
        200,
        format!("<R><requestId>run-1</requestId><instancesSet>{items}</instancesSet></R>"),
    )
}

fn described(items: &str) -> Reply {
    let text = format!("<R><reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet></R>");
    Reply::Answer(200, text)
}

/// A cloud that has nothing yet and answers launches so.
async fn cloud(run: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> (Stub, Ec2) {
    let stub = Stub::start(move |call| match call.action() {
        "RunInstances" => run(call),
        _ => Reply::Answer(200, NOTHING.to_owned()),
    })
    .await;
    let ec2 = open(settings(&stub.url));
    (stub, ec2)
}

async fn one(ec2: &Ec2, token: &str) -> Result<Machine, Error> {
    ec2.launch(&[request(token)]).await.remove(0)
}

#[tokio::test]
async fn each_refusal_keeps_its_reason_its_words_and_the_request_id() {
    for (status, code, kind) in [
        (500, "InsufficientInstanceCapacity", ErrorKind::OutOfCapacity),
        (400, "SpotMaxPriceTooLow", ErrorKind::OutOfCapacity),
        (400, "VcpuLimitExceeded", ErrorKind::QuotaExceeded),
        (400, "InvalidAMIID.NotFound", ErrorKind::Invalid),
        (403, "UnauthorizedOperation", ErrorKind::Failed),
        (500, "InternalError", ErrorKind::Unanswered),
    ] {
        let (_stub, ec2) = cloud(move |_| refusal(status, code)).await;
        let error = one(&ec2, "a").await.expect_err("refused");
        assert_eq!(error.kind, kind, "{code}");
        assert_eq!(error.request_id, Some(format!("request-of-{code}")));
        assert_eq!(
            error.message,
            format!("RunInstances was refused: {code}: because of {code}")
        );
    }
}

#[tokio::test]
async fn of_a_batch_some_are_had_and_the_rest_hears_that_there_is_no_capacity() {
    let left = AtomicU32::new(3);
    let (_stub, ec2) = cloud(move |call| {
        let had = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        had.map_or_else(|_| refusal(500, "InsufficientInstanceCapacity"), |_| ran(call))
    })
    .await;
    let requests: Vec<Launch> = (0..8).map(|number| request(&format!("n-{number}"))).collect();
    let answers = ec2.launch(&requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let errors: Vec<_> = answers
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.kind)
        .collect();
    assert_eq!(errors, [ErrorKind::OutOfCapacity; 5]);
}

#[tokio::test]
async fn a_throttled_action_is_not_asked_again_at_once_and_the_wait_grows() {
    let (stub, ec2) = cloud(|_| refusal(503, "RequestLimitExceeded")).await;
    let wait = |answer: Result<Machine, Error>| match answer.expect_err("throttled").kind {
        ErrorKind::Throttled { retry_after } => retry_after,
        kind => panic!("{kind:?}"),
    };
    let first = wait(one(&ec2, "a").await);
    assert!(
        first >= Duration::from_millis(400) && first <= Duration::from_secs(1),
        "{first:?}"
    );
    let again = wait(one(&ec2, "a").await);
    assert!(again <= first, "{again:?}");
    assert_eq!(stub.calls("RunInstances").len(), 1, "the gate is closed");
    tokio::time::timeout(Duration::from_secs(10), async {
        while stub.calls("RunInstances").len() < 2 {
            let grown = wait(one(&ec2, "a").await);
            if stub.calls("RunInstances").len() == 2 {
                assert!(grown >= Duration::from_millis(900), "{grown:?}");
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the gate opens again");
}

#[tokio::test]
async fn a_lost_answer_is_unanswered_and_the_same_key_is_sent_again() {
    let passes = AtomicU32::new(0);
    let (stub, ec2) = cloud(move |call| match passes.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Hang,
        _ => ran(call),
    })
    .await;
    let error = one(&ec2, "a").await.expect_err("lost");
    assert_eq!((error.kind, error.request_id), (ErrorKind::Unanswered, None));
    let machine = one(&ec2, "a").await.expect("launched");
    assert_eq!((machine.id.as_str(), machine.request_id.as_str()), ("i-a", "run-1"));
    let keys: Vec<_> = stub
        .calls("RunInstances")
        .into_iter()
        .map(|call| call.parameters["ClientToken"].clone())
        .collect();
    assert_eq!(keys, ["a", "a"]);
}

#[tokio::test]
async fn nobody_there_is_unanswered() {
    let ec2 = open(settings("http://127.0.0.1:9"));
    let error = ec2.describe(&["a".to_owned()]).await.expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Unanswered);
}

#[tokio::test]
async fn a_launch_says_everything_that_was_asked_for_and_is_signed() {
    let stub = Stub::start(|call| match call.action() {
        "RunInstances" => ran(call),
        _ => Reply::Answer(200, NOTHING.to_owned()),
    })
    .await;
    let mut settings = settings(&stub.url);
    settings.subnet = Some("subnet-1".into());
    settings.security_groups = vec!["sg-1".into(), "sg-2".into()];
    settings.instance_profile = Some("nodes".into());
    settings.owner = "lab".into();
    let ec2 = open(settings);
    let mut wanted = request("a");
    wanted.spot = true;
    wanted.max_price = Some(0.25);
    wanted.zone = Some("us-east-1b".into());
    wanted.placement_group = Some("pg0".into());
    ec2.launch(&[wanted.clone()]).await.remove(0).expect("launched");
    wanted.token = "b".into();
    ec2.launch(&[wanted]).await.remove(0).expect("launched");
    assert_eq!(stub.calls("CreatePlacementGroup").len(), 1, "a group is made once");
    let call = stub.calls("RunInstances").remove(0);
    for (name, value) in [
        ("ClientToken", "a"),
        ("MaxCount", "1"),
        ("InstanceType", "m5.large"),
        ("SubnetId", "subnet-1"),
        ("SecurityGroupId.2", "sg-2"),
        ("IamInstanceProfile.Name", "nodes"),
        ("Placement.AvailabilityZone", "us-east-1b"),
        ("Placement.GroupName", "lab-demo-pg0"),
        ("InstanceMarketOptions.MarketType", "spot"),
        ("InstanceMarketOptions.SpotOptions.MaxPrice", "0.25"),
    ] {
        assert_eq!(call.parameters.get(name).map(String::as_str), Some(value), "{name}");
    }
    let tags: Vec<_> = (1..=7)
        .map(|index| {
            let part = |part: &str| call.parameters[&format!("TagSpecification.1.Tag.{index}.{part}")].clone();
            (part("Key"), part("Value"))
        })
        .collect();
    for tag in [
        ("reeve-token", "a"),
        ("reeve-owner", "lab"),
        ("reeve-node-name", "node-a"),
        ("team", "blue"),
        ("Name", "demo/node-a"),
    ] {
        assert!(tags.contains(&(tag.0.to_owned(), tag.1.to_owned())), "{tags:?}");
    }
    let signature = &call.headers["authorization"];
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && signature.contains("/us-east-1/ec2/"),
        "{signature}"
    );
    assert!(!format!("{call:?}").contains("very-secret-key"));
}

#[tokio::test]
async fn a_spot_machine_taken_back_is_evicted_until_it_is_released() {
    let stub = Stub::start(|call| match call.action() {
        "DescribeInstances" => described(&instance("a", "shutting-down", "Server.SpotInstanceTermination")),
        _ => Reply::Answer(
            200,
            "<R><instancesSet><item><instanceId>i-a</instanceId><currentState><name>terminated</name></currentState>\
             </item></instancesSet></R>"
                .into(),
        ),
    })
    .await;
    let ec2 = open(settings(&stub.url));
    let tokens = ["a".to_owned()];
    let seen = ec2
        .describe(&tokens)
        .await
        .expect("described")
        .remove(0)
        .1
        .expect("known");
    assert_eq!(seen.state, State::Evicted);
    assert_eq!(
        seen.reason.as_deref(),
        Some("Server.SpotInstanceTermination: taken back")
    );
    assert_eq!(
        ec2.stop(&tokens).await.remove(0).map_err(|error| error.kind),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(ec2.release(&tokens).await, [Ok(State::Gone)]);
    assert_eq!(stub.calls("TerminateInstances")[0].parameters["InstanceId.1"], "i-a");
}

#[tokio::test]
async fn one_instance_that_went_away_does_not_spoil_the_release_of_the_others() {
    let stub = Stub::start(|call| match call.action() {
        "DescribeInstances" => {
            let items: String = ["a", "b", "c"].iter().map(|token| instance(token, "running", "")).collect();
            described(&items)
        }
        _ if call.parameters.values().any(|value| value == "i-b") => refusal(400, "InvalidInstanceID.NotFound"),
        _ => {
            let ids = call.parameters.iter().filter(|(name, _)| name.starts_with("InstanceId."));
            let items: String = ids
                .map(|(_, id)| {
                    format!("<item><instanceId>{id}</instanceId><currentState><name>shutting-down</name></currentState></item>")
                })
                .collect();
            Reply::Answer(200, format!("<R><instancesSet>{items}</instancesSet></R>"))
        }
    })
    .await;
    let ec2 = open(settings(&stub.url));
    let tokens: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let answers = ec2.release(&tokens).await;
    assert_eq!(answers, [Ok(State::Releasing), Ok(State::Gone), Ok(State::Releasing)]);
}

#[tokio::test]
async fn a_key_that_was_used_for_something_else_finds_the_machine_it_made() {
    let looks = AtomicU32::new(0);
    let stub = Stub::start(move |call| match call.action() {
        "RunInstances" => refusal(400, "IdempotentParameterMismatch"),
        // The first look lags behind, as the real cloud's may.
        _ if looks.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Answer(200, NOTHING.to_owned()),
        _ => described(&instance("a", "running", "")),
    })
    .await;
    let ec2 = open(settings(&stub.url));
    assert_eq!(one(&ec2, "a").await.expect("found").id, "i-a");
}

#[tokio::test]
async fn placement_groups_that_stand_empty_are_removed_and_those_in_use_stay() {
    let stub = Stub::start(|call| match call.action() {
        "DescribePlacementGroups" => Reply::Answer(
            200,
            "<R><placementGroupSet><item><groupName>empty</groupName></item><item><groupName>full</groupName></item>\
             </placementGroupSet></R>"
                .into(),
        ),
        "DeletePlacementGroup" if call.parameters["GroupName"] == "full" => refusal(400, "InvalidPlacementGroup.InUse"),
        _ => Reply::Answer(200, NOTHING.to_owned()),
    })
    .await;
    let mut settings = settings(&stub.url);
    settings.group_idle = Duration::ZERO;
    let ec2 = open(settings);
    assert_eq!(ec2.list(None, 1000).await.expect("listed").machines, []);
    let asked: Vec<_> = stub
        .calls("DeletePlacementGroup")
        .into_iter()
        .map(|call| call.parameters["GroupName"].clone())
        .collect();
    assert_eq!(asked, ["empty", "full"]);
}

#[tokio::test]
async fn keys_are_lent_by_the_metadata_service_where_none_are_given() {
    let stub = Stub::start(|call| match call.path.as_str() {
        "/latest/api/token" => Reply::Answer(200, "session-1".into()),
        "/latest/meta-data/iam/security-credentials/" if call.headers["x-aws-ec2-metadata-token"] == "session-1" => {
            Reply::Answer(200, "nodes\n".into())
        }
        "/latest/meta-data/iam/security-credentials/nodes" => Reply::Answer(
            200,
            r#"{"Code":"Success","AccessKeyId":"ASIALENT","SecretAccessKey":"s","Token":"lent-token","Expiration":"2099-01-01T00:00:00Z"}"#
                .into(),
        ),
        _ => Reply::Answer(200, NOTHING.to_owned()),
    })
    .await;
    let mut settings = settings(&stub.url);
    settings.keys = None;
    settings.metadata = stub.url.clone();
    let ec2 = open(settings);
    for _ in 0..2 {
        ec2.describe(&["a".to_owned()]).await.expect("described");
    }
    let calls = stub.calls("DescribeInstances");
    assert_eq!(calls[0].headers["x-amz-security-token"], "lent-token");
    assert!(calls[0].headers["authorization"].contains("Credential=ASIALENT/"));
    assert_eq!(stub.calls("").len(), 3, "keys are fetched once: session, role, keys");
}
