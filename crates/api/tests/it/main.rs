//! The dialects as callers meet them, through the whole router and over a fresh database.

mod agents;
mod bad_input;
mod coverage;
mod cyclecloud;
mod native;
mod native_transcripts;
mod permissions;
mod rafay;
mod runai;
mod transcript;
mod usage;
mod world;
