//! Conditions: why something is as it is, in a word for programs and a sentence for people.

use crate::timestamp::Timestamp;

/// Why an entity is in its present state. Outlives the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Reason code: CamelCase, stable, from the list in [`Reason`].
    pub reason: Reason,
    /// What happened, with numbers, for people.
    pub message: String,
    /// Since when the reason holds.
    pub since: Timestamp,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Reason codes of nodes. Each waiting state and each refusal has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            /// Every reason, in the order of declaration.
            pub const EVERY: &'static [Self] = &[$(Self::$name),+];

            /// The code as text.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// Reads a code; `None` when this version does not know it.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                match code { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

reasons! {
    /// Nothing to say: at rest or running as wished.
    AsWished,
    /// The wish is recorded; the provider has not been asked yet.
    Reserved,
    /// The provider has been asked for a machine.
    MachineRequested,
    /// The machine exists; its agent has not called yet.
    WaitingForAgent,
    /// Initialisation scripts are running.
    Initializing,
    /// Waiting for the agent to finish its work.
    Draining,
    /// Waiting for the machine to stop.
    Stopping,
    /// Waiting for the machine to be gone.
    Releasing,
    /// The provider has no such machine to give now.
    NoCapacity,
    /// The provider's quota is used up.
    ProviderQuota,
    /// The provider asks us to slow down.
    Throttled,
    /// The provider did not answer; the truth is unknown.
    ProviderUnanswered,
    /// The provider refused the request as malformed.
    ProviderRefused,
    /// No machine in time.
    LaunchTimeout,
    /// The machine came, its agent did not call in time.
    BootTimeout,
    /// An initialisation script failed.
    InitFailed,
    /// Initialisation took too long.
    InitTimeout,
    /// The machine disappeared behind our back.
    MachineVanished,
    /// The provider took a spot machine back.
    Evicted,
    /// A declared host has not enrolled yet.
    WaitingForHost,
    /// A host enrolled and waits for approval.
    Discovered,
    /// A host is approved and waits for its turn.
    Approved,
    /// A host failed a hard precheck.
    PrecheckFailed,
}
