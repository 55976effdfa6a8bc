//! Moto's server as a process of ours: a cloud that keeps instances in memory and boots none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A running server; ended on drop.
pub(crate) struct Moto {
    child: Child,
    pub(crate) url: String,
}

impl Moto {
    /// The server that a test beside this one holds, or a new one. Tests tell their machines apart by owner.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests find what they need in the environment")]
        let python = std::env::var_os("REEVE_TEST_PYTHON")
            .expect("REEVE_TEST_PYTHON names no Python with moto: run `cargo xtask test`");
        let mut command = Command::new(python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]);
        command
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("Python starts");
        let said = child.stderr.take().expect("its output is ours");
        let mut lines = BufReader::new(said).lines();
        let mut before = Vec::new();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("moto's server ended before it listened: {before:#?}");
            };
            if let Some((_, url)) = line.split_once("Running on ") {
                break url.trim().to_owned();
            }
            before.push(line);
        };
        // It logs every request; nobody reads that, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
