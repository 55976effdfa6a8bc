//! What every verb means in every state, cell by cell.

use super::{super::verb::Verdict, *};
use crate::{node::verb::decide, operation::Verb};

/// What a cell of the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Error.
    Err,
    /// Accepted, nothing to do.
    Same,
    /// The record goes at once.
    Now,
    /// Accepted, a new goal.
    To(Goal),
}

use Cell::{Err, Now, Same, To};

const TO_ABSENT: Cell = To(Goal::Absent);
const TO_OFF: Cell = To(Goal::Off);
const TO_DEALLOCATED: Cell = To(Goal::Deallocated);
const TO_STARTED: Cell = To(Goal::Started);

/// One row: the goals and phases it stands for, then deallocate, terminate (array), terminate (fixed), shutdown
/// (terminate), shutdown (deallocate), remove (array), remove (fixed), remove (single), start.
type Row = (&'static [(Goal, Phase)], [Cell; 9]);

const ROWS: &[Row] = &[
    (
        &[(Goal::Off, Phase::Off)],
        [Err, Same, Same, Same, Same, Now, Now, Err, TO_STARTED],
    ),
    (
        &[
            (Goal::Started, Phase::Reserved),
            (Goal::Started, Phase::Booting),
            (Goal::Started, Phase::Initializing),
            (Goal::Started, Phase::Running),
            (Goal::Started, Phase::Failed),
            (Goal::Started, Phase::Resuming),
            (Goal::Started, Phase::Releasing),
        ],
        [
            TO_DEALLOCATED,
            TO_ABSENT,
            TO_OFF,
            TO_ABSENT,
            TO_DEALLOCATED,
            TO_ABSENT,
            Err,
            Err,
            Same,
        ],
    ),
    (
        &[
            (Goal::Deallocated, Phase::Booting),
            (Goal::Deallocated, Phase::Draining),
            (Goal::Deallocated, Phase::Stopping),
            (Goal::Deallocated, Phase::Failed),
        ],
        [Same, TO_ABSENT, TO_OFF, TO_ABSENT, Same, TO_ABSENT, Err, Err, Err],
    ),
    (
        &[(Goal::Deallocated, Phase::Stopped)],
        [
            Same, TO_ABSENT, TO_OFF, TO_ABSENT, Same, TO_ABSENT, Err, Err, TO_STARTED,
        ],
    ),
    (
        &[
            (Goal::Absent, Phase::Running),
            (Goal::Absent, Phase::Draining),
            (Goal::Absent, Phase::Releasing),
            (Goal::Absent, Phase::Failed),
            (Goal::Absent, Phase::Off),
        ],
        [Err, Same, Same, Same, Same, Same, Err, Err, Err],
    ),
];

fn cell(verb: Verb, node: &Node) -> Cell {
    match decide(verb, node) {
        Verdict::Refuse(text) => {
            assert!(!text.is_empty(), "a refusal says why");
            Err
        }
        Verdict::Nothing => Same,
        Verdict::RemoveNow => Now,
        Verdict::Change(goal) => To(goal),
    }
}

#[test]
fn every_verb_means_in_every_state_what_the_table_says() {
    for (states, cells) in ROWS {
        for (goal, phase) in *states {
            let array = node_in(*goal, *phase);
            let fixed = Node {
                fixed: true,
                ..array.clone()
            };
            let single = Node {
                single: true,
                ..array.clone()
            };
            let sleeper = Node {
                shutdown_policy: ShutdownPolicy::Deallocate,
                ..array.clone()
            };
            let found = [
                cell(Verb::Deallocate, &array),
                cell(Verb::Terminate, &array),
                cell(Verb::Terminate, &fixed),
                cell(Verb::Shutdown, &array),
                cell(Verb::Shutdown, &sleeper),
                cell(Verb::Remove, &array),
                cell(Verb::Remove, &fixed),
                cell(Verb::Remove, &single),
                cell(Verb::Start, &array),
            ];
            assert_eq!(found, *cells, "{goal:?} {phase:?}");
            assert_eq!(
                cell(Verb::Terminate, &single),
                cell(Verb::Terminate, &fixed),
                "{goal:?} {phase:?}"
            );
        }
    }
}

#[test]
fn a_protected_node_refuses_to_be_stopped_in_every_state_but_off() {
    for (states, cells) in ROWS {
        for (goal, phase) in *states {
            let node = Node {
                keep_alive: true,
                ..node_in(*goal, *phase)
            };
            for verb in [Verb::Deallocate, Verb::Terminate, Verb::Shutdown, Verb::Remove] {
                if (*goal, *phase) != (Goal::Off, Phase::Off) {
                    let text = "This node has KeepAlive set and cannot be stopped".to_owned();
                    assert_eq!(
                        decide(verb, &node),
                        Verdict::Refuse(text),
                        "{verb:?} {goal:?} {phase:?}"
                    );
                }
            }
            assert_eq!(cell(Verb::Start, &node), cells[8], "{goal:?} {phase:?}");
        }
    }
}

#[test]
fn removing_a_fixed_node_that_is_not_off_says_what_to_do_first() {
    let node = Node {
        fixed: true,
        ..node_in(Goal::Started, Phase::Running)
    };
    let text = "This node must be terminated before it can be removed".to_owned();
    assert_eq!(decide(Verb::Remove, &node), Verdict::Refuse(text));
}

#[test]
fn only_failed_nodes_that_are_wanted_start_over() {
    for (states, _) in ROWS {
        for (goal, phase) in *states {
            let retried = (*goal, *phase) == (Goal::Started, Phase::Failed);
            let expected = if retried { TO_STARTED } else { Same };
            assert_eq!(
                cell(Verb::Retry, &node_in(*goal, *phase)),
                expected,
                "{goal:?} {phase:?}"
            );
        }
    }
}
