//! The closed vocabularies of the status object, with their literal wire texts.
//!
//! Clients compare or display these strings, so they are spelled here once and nowhere else.

macro_rules! vocabulary {
    ($(#[$note:meta])* $name:ident { $($(#[$variant_note:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$note])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_note])* $variant,)*
        }

        impl $name {
            /// The text on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The value that a wire text stands for.
            pub fn from_wire(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

vocabulary! {
    /// What a condition says.
    Truth {
        /// It holds.
        True => "True",
        /// It does not hold, or not yet.
        False => "False",
        /// It holds in part; polling scripts read this as a partial success.
        Unknown => "Unknown",
    }
}

vocabulary! {
    /// How far a cluster as a whole has come.
    Provision {
        /// From creation until the first provisioning ends.
        InProgress => "CLUSTER_PROVISION_INPROGRESS",
        /// The first provisioning succeeded; stays during later work.
        Complete => "CLUSTER_PROVISION_COMPLETE",
        /// The first provisioning failed.
        Failed => "CLUSTER_PROVISION_FAILED",
        /// The cluster is being torn down.
        DeletionInProgress => "CLUSTER_DELETION_INPROGRESS",
        /// A hard error stopped the teardown.
        DeletionFailed => "CLUSTER_DELETION_FAILED",
    }
}

vocabulary! {
    /// How far one node has come.
    NodeStatus {
        /// Declared; the installer has not run.
        Pending => "PENDING",
        /// The installer ran and a hard precheck failed.
        PretestFailed => "PRETEST_FAILED",
        /// Registered, waits for approval.
        Discovered => "DISCOVERED",
        /// Approved, waits for its turn.
        Approved => "APPROVED",
        /// Kubernetes is being installed or joined.
        Provisioning => "PROVISIONING",
        /// The Kubernetes node is Ready.
        Ready => "READY",
        /// Provisioned, but not Ready or silent.
        NotReady => "NOT_READY",
        /// A version change is in progress.
        Upgrading => "UPGRADING",
        /// Being drained, removed, reset.
        Deleting => "DELETING",
        /// The provisioning step failed.
        ProvisionFailed => "PROVISION_FAILED",
        /// The upgrade step failed.
        UpgradeFailed => "UPGRADE_FAILED",
        /// The removal failed; an operator is needed.
        DeleteFailed => "DELETE_FAILED",
    }
}

vocabulary! {
    /// One piece of work of a taskset.
    OperationName {
        /// First apply.
        ClusterCreation => "ClusterCreation",
        /// The add-ons of the blueprint are brought in; runs on after its taskset is complete.
        BlueprintSync => "BlueprintSync",
        /// The Kubernetes version was raised.
        ClusterUpgrade => "ClusterUpgrade",
        /// The blueprint or its version was changed.
        BlueprintUpdation => "BlueprintUpdation",
        /// A node appeared in the document.
        NodeAddition => "NodeAddition",
        /// A node vanished from the document.
        NodeDeletion => "NodeDeletion",
        /// Labels, annotations, taints or kubelet settings of one node.
        NodeUpdation => "NodeUpdation",
        /// Cluster-level kubelet settings, control-plane overrides, proxy, placement.
        ClusterUpdation => "ClusterUpdation",
        /// The platform version was raised.
        PlatformUpgrade => "PlatformUpgrade",
        /// The cluster was deleted.
        ClusterDeletion => "ClusterDeletion",
    }
}

vocabulary! {
    /// How far one operation has come.
    OperationState {
        /// Not started.
        Pending => "PROVISION_TASK_STATUS_PENDING",
        /// Running.
        InProgress => "PROVISION_TASK_STATUS_INPROGRESS",
        /// Done.
        Success => "PROVISION_TASK_STATUS_SUCCESS",
        /// Failed.
        Failed => "PROVISION_TASK_STATUS_FAILED",
    }
}

vocabulary! {
    /// How far a taskset has come; it ends in COMPLETE where its operations end in SUCCESS.
    TasksetState {
        /// Nothing started.
        Pending => "PROVISION_TASKSET_STATUS_PENDING",
        /// Under way.
        InProgress => "PROVISION_TASKSET_STATUS_INPROGRESS",
        /// Everything required is done.
        Complete => "PROVISION_TASKSET_STATUS_COMPLETE",
        /// Something required failed and nothing runs any more.
        Failed => "PROVISION_TASKSET_STATUS_FAILED",
    }
}

impl TasksetState {
    /// The remark that goes with the state.
    pub fn comments(self) -> &'static str {
        match self {
            Self::Pending => "The status of the operations can be fetched using taskset_id",
            Self::InProgress => "Configuration is being applied to the cluster",
            Self::Complete => "Configuration is applied to the cluster successfully",
            Self::Failed => "Configuration could not be applied to the cluster",
        }
    }
}

/// The six conditions, in the order of the wire, each with its reason once it is true.
pub const CONDITIONS: [(&str, &str); 6] = [
    ("ClusterRegisterSucceeded", "registered"),
    ("ClusterCheckInSucceeded", "checked in"),
    ("ClusterNodeSyncSucceeded", "all nodes synced"),
    ("ClusterNamespaceSyncSucceeded", "all namespaces synced"),
    ("ClusterBlueprintSyncSucceeded", "all tasks/workloads synced"),
    ("ClusterReady", "blueprint synced"),
];

/// The reason of every condition before the control plane exists.
pub const PENDING: &str = "pending";
/// The reason of condition 5 when a blueprint sync has begun.
pub const PLACEMENT_CREATED: &str = "blueprint placement created";
/// The reason of condition 5 while a blueprint sync runs.
pub const PLACEMENT_PROCESSED: &str = "blueprint placement processed";
