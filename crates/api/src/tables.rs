//! Two tables that everybody can read, kept as golden files: what each dialect calls every state of a node, and what it
//! answers to every kind of error. `UPDATE_EXPECT=1` writes them anew.

use std::fmt::Write as _;

use axum::{
    body::to_bytes,
    response::{IntoResponse as _, Response},
};
use reeve_model::{
    Error, Kind,
    condition::Reason,
    node::{Goal, Phase},
};
use serde_json::Value;

use crate::{agents, cyclecloud, native, rafay, runai};

fn line(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn head(cells: &[&str]) -> String {
    line(cells) + &line(&vec!["---"; cells.len()])
}

#[test]
fn the_words_for_states_of_nodes_change_only_on_purpose() {
    let mut text = String::from(
        "# What each dialect calls a node\n\nMachines that Reeve makes, by wish and phase; CycleCloud: `State` > \
         `TargetState` (`Status`).\nA running node whose agent is silent is `Unknown` in Run:ai.\n\n",
    );
    text += &head(&["goal", "phase", "CycleCloud", "Run:ai"]);
    for goal in Goal::EVERY {
        for phase in Phase::EVERY {
            let words = cyclecloud::states::of(*goal, *phase, true);
            let state = words.state.unwrap_or("-");
            let shown = format!("{state} > {} ({})", words.target, words.status);
            text += &line(&[goal.word(), phase.word(), &shown, runai::shown::node(*goal, *phase)]);
        }
    }
    text += "\nHosts that people bring, by the reason of their condition.\n\n";
    text += &head(&["reason", "Rafay"]);
    for reason in Reason::EVERY {
        text += &line(&[reason.code(), rafay::shown::host(*reason)]);
    }
    expect_test::expect_file!["../tests/golden/node-states.md"].assert_eq(&text);
}

#[tokio::test]
async fn the_answers_to_errors_change_only_on_purpose() {
    let mut text = String::from(
        "# What each dialect answers to an error\n\nStatus, then the fields of the body; the message of every error here \
         is `MESSAGE`.\nThe agent protocol has words of its own for refusals; these are the errors of the core.\n\n",
    );
    text += &head(&["kind", "native", "agents", "Run:ai", "Rafay", "CycleCloud"]);
    for kind in Kind::every() {
        let error = || Error::new(kind.clone(), "MESSAGE");
        let rafay = rafay::shown::error(&error());
        let cells = [
            kind.code().to_owned(),
            cell(read(native::error::shown(error())).await),
            cell(read(agents::refusal::Refusal::from(error()).into_response()).await),
            cell(read(runai::shown::error(error())).await),
            cell(rafay),
            cell(read(cyclecloud::error::Failure::from(error()).into_response()).await),
        ];
        text += &line(&cells.each_ref().map(String::as_str));
    }
    expect_test::expect_file!["../tests/golden/errors.md"].assert_eq(&text);
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

fn cell((status, body): (u16, Value)) -> String {
    let mut text = status.to_string();
    for (name, value) in body.as_object().expect("an object") {
        // Writing to a string can not fail.
        let _ = write!(text, " `{name}: {value}`");
    }
    text
}
