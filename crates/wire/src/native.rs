//! The native API under `/reeve/v1/`: what the command line and the console speak.
