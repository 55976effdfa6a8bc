//! The script that a new instance runs at its first boot: fetches this program, checks it, and leaves its node agent
//! running across reboots.
//!
//! Text only. The program comes from the server itself, by the same route by which hosts get it that people bring;
//! the join token opens that route.

use super::Program;
use crate::error::{Error, ErrorKind};
use crate::machines::Boot;

/// Most bytes that the cloud takes.
const BYTES_MAX: usize = 16 * 1024;

/// The script for one machine.
///
/// # Errors
/// `Invalid` when a value can not be said in the script, or it grows beyond what the cloud takes.
pub(super) fn script(boot: &Boot, program: &Program) -> Result<String, Error> {
    let server = quoted("server URL", boot.server_url.trim_end_matches('/'))?;
    let token = quoted("join token", boot.join_token.expose())?;
    let arch = quoted("architecture", &program.architecture)?;
    let sum = quoted("checksum of the program", &program.sha256)?;
    // A certificate that no authority vouches for can not be checked by curl; what it brings is checked by its sum.
    let (insecure, pin) = match &boot.ca_sha256 {
        Some(sha256) => (
            "k",
            format!(" --ca-sha256 {}", quoted("checksum of the certificate", sha256)?),
        ),
        None => ("", String::new()),
    };
    let hostname = match &boot.hostname {
        Some(name) => format!("h={}", quoted("host name", name)?),
        None => HOSTNAME.to_owned(),
    };
    let agent = format!(
        "/usr/local/bin/reeve agent node --server \"$server\" --token-file \"$d/join-token\" --state-dir \"$d/state\"{pin}"
    );
    let text = format!(
        r#"#!/bin/sh
# Makes this machine a node. Runs once, as root, at the first boot.
set -eu
umask 077
server={server}
d=/var/lib/reeve-agent
b=/usr/local/bin/reeve
mkdir -p "$d" /usr/local/bin
printf %s {token} >"$d/join-token"
{hostname}
[ -z "$h" ] || hostnamectl set-hostname "$h" 2>/dev/null || hostname "$h"
good() {{ echo {sum}"  $1" | sha256sum -c - >/dev/null 2>&1; }}
n=0
until good "$b"; do
  n=$((n + 1))
  [ "$n" -le 60 ] || {{ echo "reeve: gave up fetching the program from $server" >&2; exit 1; }}
  curl -fsS{insecure} -H "Authorization: Bearer $(cat "$d/join-token")" -o "$b.new" "$server/reeve/agent/v1/binary/"{arch} \
    && good "$b.new" && chmod 755 "$b.new" && mv -f "$b.new" "$b" || sleep 5
done
if [ -d /run/systemd/system ]; then
  cat >/etc/systemd/system/reeve-agent.service <<UNIT
[Unit]
Description=Reeve node agent
Wants=network-online.target
After=network-online.target
[Service]
ExecStart={agent}
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --now reeve-agent.service
else
  nohup setsid {agent} >>/var/log/reeve-agent.log 2>&1 </dev/null &
fi
"#
    );
    if text.len() > BYTES_MAX {
        let message = format!("the boot script has {} bytes, the cloud takes {BYTES_MAX}", text.len());
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(text)
}

/// The name that the core expects: `ip-` and the address as 8 upper-case hex digits.
const HOSTNAME: &str = r#"a=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
h=$(printf %s "$a" | awk -F. 'NF == 4 { printf "ip-%02X%02X%02X%02X", $1, $2, $3, $4 }')"#;

/// Within single quotes everything means itself but the quote.
///
/// # Errors
/// `Invalid`, without showing the value: it may be a secret.
fn quoted(what: &str, value: &str) -> Result<String, Error> {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/[]%=+".contains(letter);
    if value.is_empty() || !value.chars().all(harmless) {
        let message = format!("the {what} has characters that a boot script can not carry");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(format!("'{value}'"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::secret::Secret;

    fn boot(server: &str) -> Boot {
        Boot {
            server_url: server.into(),
            join_token: Secret::new("rvj_secret"),
            ca_sha256: Some("ab12".into()),
            hostname: None,
        }
    }

    fn program() -> Program {
        Program {
            architecture: "amd64".into(),
            sha256: "0".repeat(64),
        }
    }

    #[test]
    fn the_script_is_one_that_a_shell_understands() {
        let text = script(&boot("https://reeve.example.org:8443/"), &program()).expect("a script");
        let checked = Command::new("/bin/sh")
            .args(["-n", "-c", &text])
            .output()
            .expect("a shell");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert!(text.contains("server='https://reeve.example.org:8443'\n"), "{text}");
        assert!(text.contains("--ca-sha256 'ab12'"), "{text}");
        assert_eq!(text.matches("rvj_secret").count(), 1);
    }

    #[test]
    fn the_host_name_comes_from_the_address() {
        let script =
            format!("ip() {{ echo '192.0.2.1 via 10.0.0.1 dev e src 10.1.2.30 uid 0'; }}\n{HOSTNAME}\necho $h");
        let said = Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "ip-0A01021E");
    }

    #[test]
    fn what_would_break_out_of_the_quotes_is_refused_and_not_shown() {
        let error = script(&boot("http://a'; reboot; '"), &program()).expect_err("no URL");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(!error.message.contains("reboot"), "{}", error.message);
    }
}
