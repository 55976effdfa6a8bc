//! Tasksets: the work of one apply, and how its state follows from that of its operations.

use serde_json::{Map, Value};

use super::vocabulary::{OperationName, OperationState, TasksetState};

/// One piece of work of a taskset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What is done.
    pub name: OperationName,
    /// To what: the cluster's name, or the host name for node operations.
    pub resource: String,
    /// How far it has come.
    pub state: OperationState,
    /// Why it failed, for the user; rendered only while the state is `Failed`.
    pub error: Option<String>,
}

/// The work of one apply, operations in the order they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taskset {
    /// Seven characters of `[0-9a-z]`.
    pub id: String,
    /// The operations.
    pub operations: Vec<Operation>,
}

impl Taskset {
    /// The state that follows from the operations.
    ///
    /// A `BlueprintSync` is not required: it neither holds a taskset back nor fails it.
    pub fn state(&self) -> TasksetState {
        let all = |state| self.operations.iter().all(|operation| operation.state == state);
        let required = || {
            self.operations
                .iter()
                .filter(|operation| operation.name != OperationName::BlueprintSync)
        };
        let runs = self
            .operations
            .iter()
            .any(|operation| operation.state == OperationState::InProgress);
        if all(OperationState::Pending) {
            TasksetState::Pending
        } else if required().all(|operation| operation.state == OperationState::Success) {
            TasksetState::Complete
        } else if !runs && required().any(|operation| operation.state == OperationState::Failed) {
            TasksetState::Failed
        } else {
            TasksetState::InProgress
        }
    }

    /// The failures of required operations, one after the other; `None` unless the taskset failed.
    pub fn error_summary(&self) -> Option<String> {
        let mut summaries: Vec<&str> = Vec::new();
        for operation in &self.operations {
            let counts = operation.name != OperationName::BlueprintSync && operation.state == OperationState::Failed;
            if let Some(error) = operation
                .error
                .as_deref()
                .filter(|error| counts && !summaries.contains(error))
            {
                summaries.push(error);
            }
        }
        (self.state() == TasksetState::Failed && !summaries.is_empty()).then(|| summaries.join("; "))
    }

    pub(super) fn render(&self) -> Value {
        let state = self.state();
        let mut fields = Map::new();
        fields.insert("tasksetId".into(), self.id.as_str().into());
        fields.insert(
            "tasksetOperations".into(),
            self.operations.iter().map(Operation::render).collect(),
        );
        fields.insert("tasksetStatus".into(), state.as_str().into());
        fields.insert("comments".into(), state.comments().into());
        if let Some(summary) = self.error_summary() {
            fields.insert("errorSummary".into(), summary.into());
        }
        fields.into()
    }
}

impl Operation {
    fn render(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("operationName".into(), self.name.as_str().into());
        fields.insert("resourceName".into(), self.resource.as_str().into());
        fields.insert("operationStatus".into(), self.state.as_str().into());
        if let Some(error) = self.error.as_deref().filter(|_| self.state == OperationState::Failed) {
            fields.insert("errorSummary".into(), error.into());
        }
        fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(states: &[(OperationName, OperationState)]) -> TasksetState {
        let operation = |(name, state): &(OperationName, OperationState)| Operation {
            name: *name,
            resource: "edge-lab".into(),
            state: *state,
            error: None,
        };
        Taskset {
            id: "q8r2m5t".into(),
            operations: states.iter().map(operation).collect(),
        }
        .state()
    }

    #[test]
    fn a_taskset_is_complete_while_its_blueprint_sync_still_waits_runs_or_fails() {
        for sync in [
            OperationState::Pending,
            OperationState::InProgress,
            OperationState::Failed,
        ] {
            let states = [
                (OperationName::ClusterCreation, OperationState::Success),
                (OperationName::BlueprintSync, sync),
            ];
            assert_eq!(state_of(&states), TasksetState::Complete);
        }
    }

    #[test]
    fn a_failure_counts_only_when_nothing_runs_any_more() {
        let failed = (OperationName::NodeAddition, OperationState::Failed);
        let running = (OperationName::NodeAddition, OperationState::InProgress);
        assert_eq!(state_of(&[failed, running]), TasksetState::InProgress);
        assert_eq!(
            state_of(&[failed, (OperationName::BlueprintUpdation, OperationState::Pending)]),
            TasksetState::Failed
        );
    }

    #[test]
    fn a_taskset_between_two_operations_is_in_progress() {
        let done = (OperationName::NodeDeletion, OperationState::Success);
        assert_eq!(
            state_of(&[done, (OperationName::NodeAddition, OperationState::Pending)]),
            TasksetState::InProgress
        );
    }
}
