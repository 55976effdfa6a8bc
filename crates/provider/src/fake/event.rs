//! What happens in the simulated cloud, as it is written down. The sequence of events is the whole state: replaying
//! them gives the same world in any process.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::record::{Order, Record};
use super::world::Durable;

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The world began; stock-outs with an end count from here.
    Created { at_us: i64 },
    /// A machine was taken on.
    Launched(Box<Record>),
    /// A launch that was still on its way was asked for again and arrived with the second request.
    Arrived { number: u64, at_us: i64 },
    /// A machine was given an order at `now_us` that takes effect at `at_us`.
    Ordered {
        number: u64,
        order: Order,
        at_us: i64,
        now_us: i64,
    },
}

/// One line of a journal: all events of one call together, so that a call happens whole or not at all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// Everything up to here; only as the first line.
    Snapshot(Cow<'a, Durable>),
    /// Events after the lines above.
    Events(Vec<Event>),
}
