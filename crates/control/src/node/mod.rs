//! Nodes: making them, changing what they are wanted to be, and showing them.
//!
//! Every verb here writes rows and wakes the reconciler; none waits for a cloud. Start at [`create`](fn@create) for how
//! room is found and at [`manage`](fn@manage) for how a wish changes.

mod create;
mod making;
mod manage;
mod room;
mod scale;
mod selector;
mod show;
mod whole;

pub use create::{Added, Created, Differences, Set, check_request_key, create};
pub use manage::{Judged, Managed, manage};
pub(crate) use room::{Quotas, available, figures, place, quotas};
pub use scale::scale;
pub use selector::{Filter, Selector};
pub use show::{Detailed, get, last_heard, list, of_operation, page};
pub(crate) use whole::{end_all, insert_single, start_first};
