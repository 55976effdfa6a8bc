//! Tests of the store on every engine; they deliberately know no rule of the layers above.

mod engine;
mod schema;
mod usage;
