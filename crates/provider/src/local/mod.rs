//! x
/// x
pub struct Local;
