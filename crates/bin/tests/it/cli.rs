//! The command line as a person at a terminal that is none would see it: a transcript with every exit status.

use std::fmt::Write as _;

use expect_test::expect_file;
use regex::Regex;

use crate::{
    command::Person,
    server::{PASSWORD, Setup},
};

/// Two simulated clouds: one whose machines come at once, and one whose machines never come.
const CLOUDS: &str = r#"
[provider.quick]
kind = "fake"
seed = 1
launch_delay_ms = [1, 2]
boot_delay_ms = [1, 2]
init_delay_ms = [1, 2]
stop_delay_ms = [1, 2]
release_delay_ms = [1, 2]

[provider.slow]
kind = "fake"
seed = 2
launch_delay_ms = [3600000, 3600000]
"#;

fn template(account: &str) -> String {
    format!(
        "[cluster demo]\n\n[[nodearray execute]]\nRegion = westus2\nMachineType = Standard_F4s_v2\n\
         Credentials = {account}\nMaxCount = 4\n"
    )
}

/// What was typed and what came back.
struct Transcript {
    person: Person,
    text: String,
}

impl Transcript {
    /// Types a command; answers what it printed.
    async fn type_in(&mut self, line: &str, input: &str, status: i32) -> String {
        let ran = self
            .person
            .reeve_reading(&line.split_whitespace().collect::<Vec<_>>(), input)
            .await;
        assert_eq!(ran.status, status, "reeve {line}: {ran:?}");
        let Self { text, .. } = self;
        let _ = write!(text, "$ reeve {line}\n{}", ran.out);
        for line in ran.err.lines() {
            let _ = writeln!(text, "! {line}");
        }
        if ran.status != 0 {
            let _ = writeln!(text, "exit status {}", ran.status);
        }
        text.push('\n');
        ran.out
    }
}

/// Puts stand-ins of the same length in place of what differs from run to run, so that columns stay where they are.
fn settled(text: &str, server: &str, home: &str) -> String {
    let text = text.replace(server, "http://SERVER").replace(home, "HOME");
    let mut text = text;
    for (pattern, stand_in) in [
        (
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "01234567-89ab-cdef-0123-456789abcdef",
        ),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "2026-01-01T00:00:00.000000Z"),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T00:00:00Z"),
        // How often progress is printed depends on how fast the machine is; the last line does not.
        (r"(! [01] of 2 nodes.*\n)+", ""),
        (r"\d+ s passed", "0 s passed"),
        (r"10\.0\.0\.\d", "10.0.0.2"),
        (r"! 2 of 2 nodes.*", "! 2 of 2 nodes"),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, stand_in).into_owned();
    }
    text
}

#[tokio::test]
async fn a_session_at_the_command_line_reads_like_its_transcript() {
    let server = Setup::new().config(CLOUDS).start().await;
    let person = Person::new().with("REEVE_URL", server.url());
    for account in ["quick", "slow"] {
        let file = person.home().join(format!("{account}.txt"));
        std::fs::write(file, template(account)).expect("write a template");
    }
    let mut at = Transcript {
        person,
        text: String::new(),
    };
    at.type_in("cluster list", "", 3).await;
    at.type_in("login --user admin --password-stdin", "wrong", 3).await;
    at.type_in("login --user admin --password-stdin", PASSWORD, 0).await;
    at.type_in("cluster list", "", 0).await;
    at.type_in("cluster import quick.txt --name demo --start --wait", "", 0)
        .await;
    at.type_in("cluster import quick.txt --name demo", "", 5).await;
    at.type_in("cluster list", "", 0).await;
    at.type_in("cluster list -o wide", "", 0).await;
    at.type_in("cluster get demo -o json", "", 0).await;
    at.type_in("cluster get demo -o yaml", "", 0).await;
    at.type_in("cluster get nowhere", "", 4).await;
    at.type_in("node create demo --pool execute --count 0", "", 1).await;
    at.type_in("node create demo --pool execute --count 2 --wait", "", 0)
        .await;
    at.type_in("node list demo", "", 0).await;
    at.type_in("node list demo -o name", "", 0).await;
    at.type_in("node create demo --pool execute --count 5", "", 0).await;
    let operations = at.type_in("operation list -o name", "", 0).await;
    let operation = operations.lines().next().expect("an operation").to_owned();
    at.type_in(&format!("operation watch {operation}"), "", 0).await;
    at.type_in("node remove demo execute-1 execute-2 --wait", "", 0).await;
    at.type_in("cluster import slow.txt --name slow --start", "", 0).await;
    at.type_in("node create slow --pool execute --wait --timeout 1s", "", 6)
        .await;
    at.type_in("--server http://127.0.0.1:1 cluster list", "", 2).await;
    let home = at.person.home().display().to_string();
    let text = settled(&at.text, server.url(), &home);
    assert!(!text.contains(PASSWORD), "the password is shown");
    let kept = kept_by(at.person.home());
    assert!(!kept.is_empty() && !kept.contains(PASSWORD), "the password is kept");
    expect_file!["golden/cli.txt"].assert_eq(&text);
}

/// Everything that a login left in a home.
fn kept_by(home: &std::path::Path) -> String {
    let mut text = String::new();
    let mut folders = vec![home.join(".config")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &std::fs::read_to_string(&path).unwrap_or_default();
            }
        }
    }
    text
}
