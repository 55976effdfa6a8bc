//! What a caller sends and what it gets, written down as people read it and kept as a golden file.
//!
//! Everything an answer says is kept but for secrets, which differ from run to run and are named instead. It knows no
//! dialect: whose credential a request carries follows from its path.

use std::fmt::Write as _;

use expect_test::ExpectFile;
use serde_json::Value;

use crate::world::{Answer, Caller, World};

/// Headers of answers that clients read.
const SHOWN: [&str; 6] = [
    "location",
    "www-authenticate",
    "allow",
    "retry-after",
    "warning",
    "cache-control",
];

/// A conversation with one server, in the order in which it was had.
pub(crate) struct Transcript<'a> {
    world: &'a World,
    caller: Caller,
    text: String,
    hidden: Vec<(String, String)>,
}

impl<'a> Transcript<'a> {
    /// An empty one of an administrator with the server, under a title.
    pub(crate) async fn of(world: &'a World, title: &str) -> Self {
        Self::by(world, world.caller("writer", "admin", "/").await, title)
    }

    /// An empty one of any caller.
    pub(crate) fn by(world: &'a World, caller: Caller, title: &str) -> Self {
        Self {
            world,
            hidden: vec![(caller.secret.clone(), "SECRET".to_owned())],
            caller,
            text: format!("# {title}\n"),
        }
    }

    /// Lets another caller send from here on.
    pub(crate) fn go_on_as(&mut self, caller: Caller) {
        self.hide(&caller.secret, "SECRET");
        self.text += &format!("\n(from here on as {})\n", caller.name);
        self.caller = caller;
    }

    /// Says in a sentence what the next requests are for.
    pub(crate) fn note(&mut self, text: &str) {
        self.text += &format!("\n## {text}\n");
    }

    /// Shows what requests carry encoded once as it is, and by its name everywhere.
    pub(crate) fn attach(&mut self, encoded: &str, name: &str, text: &str) {
        self.hide(encoded, name);
        self.text += &format!("\n[{name}] is\n\n{text}");
    }

    /// Shows a secret, or what nobody can read, by a name everywhere, whatever its value.
    pub(crate) fn hide(&mut self, secret: &str, name: &str) {
        self.hidden.push((secret.to_owned(), name.to_owned()));
    }

    /// Lets the server work for some seconds, and says so.
    pub(crate) async fn pass(&mut self, seconds: u64) {
        self.world.pass(seconds).await;
        self.text += &format!("\n({seconds} s later)\n");
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.send(method, path, "").await
    }

    /// Sends a request and writes down what came of it.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    /// As [`Self::send`], with more headers.
    pub(crate) async fn send_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let caller = self.caller.clone();
        let answer = self
            .world
            .send(Some(&caller), method, path, headers, body.to_owned())
            .await;
        self.write(method, path, headers, body, &answer);
        answer
    }

    /// Sends a request that carries no credential but those in its headers.
    pub(crate) async fn stranger(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.world.send(None, method, path, headers, body.to_owned()).await;
        self.write(method, path, headers, body, &answer);
        answer
    }

    fn write(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str, answer: &Answer) {
        let mut text = format!("\n> {method} {path}\n");
        for (name, value) in headers {
            let _ = writeln!(text, "> {name}: {value}");
        }
        for line in body.lines() {
            let _ = writeln!(text, "> {line}");
        }
        let _ = writeln!(text, "\n{}", answer.status);
        let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        if let Some(kind) = kind.filter(|kind| *kind != "application/json") {
            let _ = writeln!(text, "content-type: {kind}");
        }
        for name in SHOWN {
            for value in answer.headers.get_all(name) {
                let _ = writeln!(text, "{name}: {}", value.to_str().expect("text"));
            }
        }
        match serde_json::from_str::<Value>(&answer.text) {
            Ok(value) => text += &format!("{value:#}\n"),
            Err(_) if answer.text.is_empty() => {}
            Err(_) => text += &format!("{}\n", answer.text.trim_end()),
        }
        self.text += &text;
    }

    /// Holds the whole of it against a golden file.
    pub(crate) fn check(self, golden: &ExpectFile) {
        eprintln!("transcript on {}", self.world.engine);
        let named = |text: String, (secret, name): &(String, String)| text.replace(secret, &format!("[{name}]"));
        golden.assert_eq(&self.hidden.iter().fold(self.text, named));
    }
}
