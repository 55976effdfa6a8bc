//! Becoming a node, staying it, and being refused.

use std::os::unix::fs::PermissionsExt;

use reeve_agent::node::{Config, Ended, Failure};
use reeve_agent::{Precheck, Secret, exit};
use reeve_wire::agent::{PROTOCOL, Wish};

use crate::harness::{Folder, Planned, Running, Server, config, goals, refusal, run};

#[tokio::test]
async fn an_agent_enrolls_saves_its_credential_and_beats() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    let beat = server
        .beat("the goals to be acknowledged", |beat| {
            beat.epoch_seen == 1 && beat.sequence > 1
        })
        .await;
    assert_eq!(beat.protocol, PROTOCOL);
    assert!(beat.wait_ms > 0 && beat.wait_ms <= 20_000, "{}", beat.wait_ms);
    assert!(beat.sample.is_some_and(|sample| sample.memory_used_bytes.is_some()));

    let seen = server.seen();
    let (token, enroll) = &seen.enrolls[0];
    assert_eq!((token.as_str(), enroll.machine_id.as_str()), ("token-1", "machine-1"));
    assert_eq!(enroll.facts.hostname, "host-1");
    assert!(enroll.facts.memory_bytes.is_some() && enroll.facts.gpu_error.is_none());
    assert_eq!(seen.beats[0].0, "credential-1");
    assert_eq!(seen.beats[0].1.sequence, 1);
    assert_eq!(
        seen.beats[0].1.facts, None,
        "the server was told the facts when enrolling"
    );

    let saved = folder.path().join("identity.json");
    assert_eq!(std::fs::metadata(saved).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        !folder.text("identity.json").contains("token-1"),
        "the join token is not kept"
    );
    assert_eq!(agent.stop().await.unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn a_long_body_is_compressed() {
    let (server, folder) = (
        Server::start(goals(1, Wish::Run, &[("long", "seq 1 2000")])),
        Folder::new(),
    );
    let agent = Running::start(config(&server, &folder));
    server
        .until("a compressed body", |seen| (seen.compressed > 0).then_some(()))
        .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_as_the_same_instance() {
    let (server, folder) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new());
    server.plan_enroll(Planned::Lose);
    server.plan_enroll(Planned::Page);
    let agent = Running::start(config(&server, &folder));
    let (credential, _) = server.until("a beat", |seen| seen.beats.first().cloned()).await;
    assert_eq!(credential, "credential-3");
    let instances: Vec<_> = server
        .seen()
        .enrolls
        .into_iter()
        .map(|(_, enroll)| enroll.instance)
        .collect();
    assert_eq!(instances.len(), 3);
    assert!(
        instances.iter().all(|instance| *instance == folder.text("instance")),
        "{instances:?}"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_restarted_agent_uses_its_saved_credential_and_tells_its_facts() {
    let (server, folder) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server.until("a beat", |seen| seen.last().map(|_| ())).await;
    agent.stop().await.unwrap();
    let before = server.seen().beats.len();

    let agent = Running::start(Config {
        join_token: Secret::default(),
        ..config(&server, &folder)
    });
    let (credential, beat) = server
        .until("a beat after the restart", |seen| seen.beats.get(before).cloned())
        .await;
    assert_eq!(
        (credential.as_str(), beat.sequence, beat.epoch_seen),
        ("credential-1", 1, 0)
    );
    assert!(beat.facts.is_some());
    server
        .beat("facts to be sent only once", |beat| {
            beat.sequence > 1 && beat.facts.is_none()
        })
        .await;
    assert_eq!(server.seen().enrolls.len(), 1);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_revoked_credential_is_replaced_once_with_the_token() {
    let (server, folder) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new());
    server.plan_beat(refusal("credential_revoked"));
    let mut agent = Running::start(config(&server, &folder));
    let new = |(credential, _): &(String, _)| credential == "credential-2";
    server
        .until("a beat with the new credential", |seen| {
            seen.beats.iter().any(new).then_some(())
        })
        .await;
    server.plan_beat(refusal("credential_revoked"));
    let ended = agent.ended().await;
    assert_eq!(exit::code(&ended), 12, "{ended:?}");
    assert_eq!(server.seen().enrolls.len(), 2);
}

#[tokio::test]
async fn a_revoked_credential_without_a_token_ends_the_agent() {
    let (server, folder) = (Server::start(goals(1, Wish::Stand, &[])), Folder::new());
    run(Config {
        once: true,
        ..config(&server, &folder)
    })
    .await
    .unwrap();
    server.plan_beat(refusal("credential_revoked"));
    let ended = run(Config {
        join_token: Secret::default(),
        ..config(&server, &folder)
    })
    .await;
    assert!(
        matches!(&ended, Err(Failure::Refused { code, .. }) if code == "credential_revoked"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn enrolling_once_ends_and_the_second_time_changes_nothing() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let once = Config {
        once: true,
        ..config(&server, &folder)
    };
    let (node_name, cluster) = ("worker-1".to_owned(), "demo".to_owned());
    let expected = Ended::Enrolled {
        node_name: node_name.clone(),
        cluster: cluster.clone(),
    };
    assert_eq!(run(once.clone()).await.unwrap(), expected);
    assert_eq!(run(once).await.unwrap(), Ended::AlreadyEnrolled { node_name, cluster });
    assert_eq!((server.seen().enrolls.len(), server.seen().beats.len()), (1, 0));
}

#[tokio::test]
async fn enrolling_once_beside_a_running_agent_reports_what_is() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let agent = Running::start(config(&server, &folder));
    server.until("a beat", |seen| seen.last().map(|_| ())).await;
    let beside = run(Config {
        once: true,
        ..config(&server, &folder)
    })
    .await;
    assert!(matches!(beside, Ok(Ended::AlreadyEnrolled { .. })), "{beside:?}");
    let second = run(config(&server, &folder)).await;
    assert!(matches!(second, Err(Failure::Busy { .. })), "{second:?}");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_agent_takes_over_the_credential_that_an_installer_got_beside_it() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let agent = Running::start(Config {
        join_token: Secret::new("token-1"),
        ..config(&server, &folder)
    });
    server.until("a beat", |seen| seen.last().map(|_| ())).await;
    let installer = Config {
        once: true,
        join_token: Secret::new("token-2"),
        ..config(&server, &folder)
    };
    assert!(matches!(run(installer).await, Ok(Ended::AlreadyEnrolled { .. })));
    server.plan_beat(refusal("credential_revoked"));
    let new = |(credential, _): &(String, _)| credential == "credential-2";
    server
        .until("a beat with the new credential", |seen| {
            seen.beats.iter().any(new).then_some(())
        })
        .await;
    assert_eq!(server.seen().enrolls.len(), 2, "the agent itself did not enroll again");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_machine_of_another_cluster_or_server_is_left_alone() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let once = Config {
        once: true,
        ..config(&server, &folder)
    };
    run(once.clone()).await.unwrap();
    let before = folder.text("identity.json");

    server.set_cluster("other");
    let other_token = Config {
        join_token: Secret::new("token-2"),
        ..once.clone()
    };
    let ended = run(other_token.clone()).await;
    assert_eq!(exit::code(&ended), 13, "{ended:?}");
    server.plan_enroll(refusal("wrong_cluster"));
    assert_eq!(exit::code(&run(other_token).await), 13);

    let other_server = Server::start(goals(1, Wish::Run, &[]));
    let ended = run(Config {
        server: other_server.url(),
        ..once
    })
    .await;
    assert_eq!(exit::code(&ended), 13, "{ended:?}");
    assert!(other_server.seen().enrolls.is_empty());
    assert_eq!(folder.text("identity.json"), before);
}

#[tokio::test]
async fn a_refused_token_ends_with_its_own_status() {
    let server = Server::start(goals(1, Wish::Run, &[]));
    for code in ["token_expired", "token_used", "token_unknown", "wrong_cluster"] {
        server.plan_enroll(refusal(code));
        let ended = run(config(&server, &Folder::new())).await;
        assert_eq!(exit::code(&ended), 12, "{ended:?}");
    }
    server.plan_enroll(refusal("invalid"));
    assert_eq!(exit::code(&run(config(&server, &Folder::new())).await), 1);
}

#[tokio::test]
async fn a_failed_hard_precheck_forbids_enrolling() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    let check = |id: &str, passed, hard| {
        let (name, detail) = ("enough memory".to_owned(), "1 GiB found, 2 GiB needed".to_owned());
        Precheck {
            id: id.to_owned(),
            name,
            passed,
            hard,
            detail,
        }
    };
    let once = Config {
        once: true,
        ..config(&server, &folder)
    };
    let ended = run(Config {
        prechecks: vec![check("P1", true, true), check("P2", false, true)],
        ..once.clone()
    })
    .await;
    assert_eq!(exit::code(&ended), 10);
    assert!(ended.unwrap_err().to_string().contains("P2 enough memory: 1 GiB found"));
    assert!(server.seen().enrolls.is_empty());

    run(Config {
        prechecks: vec![check("P3", false, false)],
        ..once
    })
    .await
    .unwrap();
    assert_eq!(server.seen().enrolls[0].1.prechecks[0].id, "P3");
}

#[tokio::test]
async fn a_server_that_is_away_is_reported_when_enrolling_once() {
    let (mut server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    server.down().await;
    let ended = run(Config {
        once: true,
        ..config(&server, &folder)
    })
    .await;
    assert_eq!(exit::code(&ended), 11, "{ended:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_our_protocol_is_named_as_the_reason() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    server.plan_enroll(refusal("unsupported_protocol"));
    let ended = run(config(&server, &folder)).await;
    assert_eq!(exit::code(&ended), 1);
    let message = ended.unwrap_err().to_string();
    assert!(
        message.contains("does not speak version 1 of the agent protocol"),
        "{message}"
    );

    server.plan_beat(refusal("unsupported_protocol"));
    let ended = run(config(&server, &folder)).await;
    assert!(matches!(ended, Err(Failure::UnsupportedProtocol { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_damaged_state_directory_is_refused_rather_than_guessed_at() {
    let (server, folder) = (Server::start(goals(1, Wish::Run, &[])), Folder::new());
    folder.write("identity.json", "{\"server\":");
    let ended = run(config(&server, &folder)).await;
    assert!(
        matches!(
            ended,
            Err(Failure::State {
                doing: "understand",
                ..
            })
        ),
        "{ended:?}"
    );
    assert!(server.seen().enrolls.is_empty());
}
