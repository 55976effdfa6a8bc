//! The Azure CycleCloud dialect.

pub mod expression;
pub mod template;
