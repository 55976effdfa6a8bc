//! The command that brings a host in: one line for a shell that fetches this program, checks it, enrolls the host and
//! leaves its agent running.
//!
//! Text only: what is true of the server comes in, nothing is looked up.

/// What the command needs to know.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    /// URL of this server without a trailing slash.
    pub server: &'a str,
    /// The cluster's join token.
    pub token: &'a str,
    /// `amd64` or `arm64`.
    pub arch: &'a str,
    /// SHA-256 of the program for it; `None` when there is none to fetch here.
    pub sha256: Option<&'a str>,
    /// SHA-256 of the server's own certificate, when no authority vouches for it.
    pub ca_sha256: Option<&'a str>,
}

/// True for text that means nothing but itself within quotes of a shell.
///
/// The server's URL comes out of request headers, and a pasted command runs as root.
#[must_use]
pub(super) fn harmless(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-._~:/[]%=+".contains(letter))
}

/// The command. Exit codes are the agent's: 0 registered, 10 a precheck failed, 11 no answer, 12 refused, 13 the host
/// belongs elsewhere, 1 anything else.
#[must_use]
pub(super) fn command(facts: &Facts<'_>) -> String {
    let script = match facts.sha256 {
        Some(sha256) => script(facts, sha256),
        None => format!(
            "echo \"this server has no program for {} machines: it was built for another architecture\" >&2; exit 1",
            facts.arch
        ),
    };
    // Nothing in the script is in single quotes, so the whole of it can be. An unset state folder is the usual one.
    format!(
        "$([ \"$(id -u)\" = 0 ] || echo sudo) sh -c '{script}' reeve-install \"${{REEVE_AGENT_STATE:-/var/lib/reeve-agent}}\""
    )
}

fn script(facts: &Facts<'_>, sha256: &str) -> String {
    let Facts {
        server,
        token,
        arch,
        ca_sha256,
        ..
    } = facts;
    let machine = if *arch == "arm64" {
        "aarch64|arm64"
    } else {
        "x86_64|amd64"
    };
    // A certificate that no authority vouches for cannot be checked by curl; what it brings is checked by its sum.
    let (curl, wget, pin) = match ca_sha256 {
        Some(sum) => (
            "curl -fsSk",
            "wget -q --no-check-certificate",
            format!(" --ca-sha256 {sum}"),
        ),
        None => ("curl -fsS", "wget -q", String::new()),
    };
    let url = format!("{server}/reeve/agent/v1/binary/{arch}");
    let agent =
        format!("\"$b\" agent node --server \"{server}\" --token-file \"$d/join-token\" --state-dir \"$d/state\"{pin}");
    let steps = [
        "set -eu; umask 077; d=$1; b=$d/reeve; l=/var/log/reeve-agent.log".to_owned(),
        "[ \"$d\" = /var/lib/reeve-agent ] || l=$d/agent.log".to_owned(),
        "say() { echo \"reeve: $*\" >&2; }".to_owned(),
        format!(
            "case \"$(uname -m)\" in {machine}) ;; \
             *) say \"this command is for {arch} machines, this one is $(uname -m)\"; exit 1;; esac"
        ),
        "mkdir -p \"$d\"".to_owned(),
        format!("printf %s \"{token}\" >\"$d/join-token\""),
        format!("good() {{ echo \"{sha256}  $1\" | sha256sum -c - >/dev/null 2>&1; }}"),
        format!(
            "if ! good \"$b\"; then say \"fetching the agent from {server}\"; c=0; \
             if command -v curl >/dev/null 2>&1; then \
             {curl} -H \"Authorization: Bearer {token}\" -o \"$b.new\" \"{url}\" || c=$?; \
             [ $c != 22 ] || {{ say \"the server refused the join token\"; exit 12; }}; \
             elif command -v wget >/dev/null 2>&1; then \
             {wget} --header=\"Authorization: Bearer {token}\" -O \"$b.new\" \"{url}\" || c=$?; \
             [ $c != 8 ] || {{ say \"the server refused the join token\"; exit 12; }}; \
             else say \"curl or wget is needed\"; exit 1; fi; \
             [ $c = 0 ] || {{ say \"cannot reach {server}\"; exit 11; }}; \
             good \"$b.new\" || {{ rm -f \"$b.new\"; say \"what was fetched has not the expected SHA-256\"; exit 1; }}; \
             chmod 700 \"$b.new\"; mv -f \"$b.new\" \"$b\"; fi"
        ),
        "say \"enrolling this host\"".to_owned(),
        format!("c=0; {agent} --once || c=$?; [ $c = 0 ] || exit $c"),
        "p=$(cat \"$d/agent.pid\" 2>/dev/null || echo 0)".to_owned(),
        format!(
            "if [ \"$(readlink \"/proc/$p/exe\" 2>/dev/null || true)\" = \"$b\" ]; \
             then say \"the agent runs already\"; \
             else nohup setsid {agent} >>\"$l\" 2>&1 </dev/null & echo $! >\"$d/agent.pid\"; \
             say \"the agent is started, its log is $l\"; fi"
        ),
    ];
    steps.join("; ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn facts<'a>(sha256: Option<&'a str>) -> Facts<'a> {
        Facts {
            server: "https://10.1.0.1:8443",
            token: "rvj_abc",
            arch: "amd64",
            sha256,
            ca_sha256: Some("00ff"),
        }
    }

    #[test]
    fn the_command_is_one_line_that_a_shell_can_read() {
        for sha256 in [Some("aa11"), None] {
            let line = command(&facts(sha256));
            assert!(!line.contains('\n'));
            assert_eq!(line.matches('\'').count(), 2, "{line}");
            let inner = line.split('\'').nth(1).unwrap();
            for text in [line.as_str(), inner] {
                let read = Command::new("sh").args(["-n", "-c", text]).output().unwrap();
                assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
            }
        }
    }

    #[test]
    fn without_a_program_to_fetch_the_command_says_so_and_fails() {
        let line = command(&facts(None));
        let inner = line.split('\'').nth(1).unwrap();
        let ran = Command::new("sh").args(["-c", inner]).output().unwrap();
        assert_eq!(ran.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("amd64"));
    }

    #[test]
    fn a_host_header_cannot_smuggle_a_command_in() {
        assert!(harmless("https://[::1]:8443/prefix"));
        for text in [
            "",
            "http://x$(reboot)",
            "http://x'y",
            "http://x;y",
            "http://x y",
            "http://x`y`",
            "http://x\"y",
        ] {
            assert!(!harmless(text), "{text}");
        }
    }
}
