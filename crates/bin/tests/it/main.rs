//! The whole: the built program as a process, met as its users meet it.
//!
//! `server` starts, kills and restarts it, `http` talks to it, `command` is the command line,
//! `local` is a cluster on this host, `database` the database of a server that rests, `wait` waits for what comes true, `dice` is chance with a seed. The tests stand beside
//! them, one file per subject.

mod chaos;
mod cli;
mod command;
mod database;
mod dice;
mod full_disk;
mod http;
mod import;
mod installer;
mod joining;
mod journal;
mod local;
mod retry;
mod runapy;
mod server;
mod servers;
mod start;
mod trust;
mod wait;
