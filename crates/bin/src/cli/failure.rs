//! What can go wrong in the command line, and how it is told.
//!
//! Every failure says what could not be done, why, and what to do next, and ends the process with a status that
//! scripts can branch on. This module knows status codes of HTTP; it does not know any noun.

use std::io::Write;

/// Exit status when all went well.
pub(super) const OK: u8 = 0;
/// Exit status when the command cannot be understood, here or by the server.
pub(crate) const USAGE: u8 = 1;
/// Exit status when the server cannot be reached, or could not do what it accepted.
pub(crate) const SERVER: u8 = 2;
/// Exit status when the credentials are missing, wrong, or not allowed to do this.
pub(super) const CREDENTIALS: u8 = 3;
/// Exit status when something named does not exist.
pub(super) const NOT_FOUND: u8 = 4;
/// Exit status when the state of things does not allow it.
pub(super) const CONFLICT: u8 = 5;
/// Exit status when waiting took too long.
pub(super) const TIMEOUT: u8 = 6;

/// The kinds of failures that scripts can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The command makes no sense.
    Usage,
    /// The server is away or broken.
    Server,
    /// Not signed in, or not allowed.
    Credentials,
    /// No such thing.
    NotFound,
    /// Not in this state.
    Conflict,
    /// Not in time.
    Timeout,
    /// Nobody reads our output any more: no failure of anybody.
    Closed,
}

/// One failure in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Decides the exit status.
    pub(super) kind: Kind,
    /// What could not be done, without a full stop.
    pub(super) what: String,
    /// Why.
    pub(super) why: String,
    /// What to do next.
    pub(super) next: String,
    /// The server's id of the request, to find it in the server's log.
    pub(super) request_id: Option<String>,
}

impl Failure {
    /// A failure that no request led to.
    pub(super) fn new(kind: Kind, what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.into(),
            next: next.into(),
            request_id: None,
        }
    }

    /// The reader of our output went away.
    pub(super) fn closed() -> Self {
        Self::new(Kind::Closed, "", "", "")
    }

    /// The exit status of the process.
    pub(super) fn status(&self) -> u8 {
        match self.kind {
            Kind::Usage => USAGE,
            Kind::Server => SERVER,
            Kind::Credentials => CREDENTIALS,
            Kind::NotFound => NOT_FOUND,
            Kind::Conflict => CONFLICT,
            Kind::Timeout => TIMEOUT,
            Kind::Closed => OK,
        }
    }

    /// Writes the failure for a person. Errors of writing are dropped: there is nobody left to tell.
    pub(super) fn tell(&self, to: &mut dyn Write) {
        if self.kind == Kind::Closed {
            return;
        }
        let _ = writeln!(to, "reeve: cannot {}", self.what);
        for (label, text) in [("why", &self.why), ("do", &self.next)] {
            if !text.is_empty() {
                let _ = writeln!(to, "  {label}: {text}");
            }
        }
        if let Some(id) = &self.request_id {
            let _ = writeln!(to, "  request: {id}");
        }
    }
}

/// The kind of failure that a status code of HTTP stands for.
pub(super) fn kind_of(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Credentials,
        404 | 410 => Kind::NotFound,
        // A limit that is reached is a state too.
        409 | 412 | 422 | 428 => Kind::Conflict,
        // Being told to slow down is the server's state, not a mistake in the command.
        408 | 429 => Kind::Server,
        400..=499 => Kind::Usage,
        _ => Kind::Server,
    }
}

/// What to do about a status code of HTTP.
pub(super) fn advice(status: u16, retry_after_s: Option<u64>) -> String {
    if let Some(seconds) = retry_after_s {
        return format!("try again in {seconds} s");
    }
    match status {
        401 => "set REEVE_USER and REEVE_PASSWORD, or REEVE_TOKEN, or run `reeve login`",
        403 => "ask an administrator for a role that allows it",
        404 | 410 => "check the names and the server's address; the `list` commands show what there is",
        409 | 412 | 428 => "look at its present state, then decide whether to try again",
        422 => "make room, ask for less, or have the limit raised",
        408 | 429 => "try again in a while",
        400..=499 => "correct the command; `--help` shows what it takes",
        _ => "try again; if it stays, look the request up in the server's log",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_an_exit_status_of_its_own() {
        let kinds = [
            (Kind::Closed, 0),
            (Kind::Usage, 1),
            (Kind::Server, 2),
            (Kind::Credentials, 3),
            (Kind::NotFound, 4),
            (Kind::Conflict, 5),
            (Kind::Timeout, 6),
        ];
        for (kind, status) in kinds {
            assert_eq!(Failure::new(kind, "", "", "").status(), status);
        }
    }

    #[test]
    fn status_codes_of_the_server_become_kinds_of_failure() {
        let codes = [
            (400, Kind::Usage),
            (401, Kind::Credentials),
            (403, Kind::Credentials),
            (404, Kind::NotFound),
            (409, Kind::Conflict),
            (422, Kind::Conflict),
            (429, Kind::Server),
            (500, Kind::Server),
            (503, Kind::Server),
        ];
        for (code, kind) in codes {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn a_failure_tells_what_why_what_to_do_and_the_request() {
        let mut failure = Failure::new(
            Kind::Conflict,
            "start cluster \"a\"",
            "it is terminating",
            "wait for its end",
        );
        failure.request_id = Some("r-1".to_owned());
        let mut told = Vec::new();
        failure.tell(&mut told);
        assert_eq!(
            String::from_utf8(told).unwrap(),
            "reeve: cannot start cluster \"a\"\n  why: it is terminating\n  do: wait for its end\n  request: r-1\n"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_told_nothing() {
        let mut told = Vec::new();
        Failure::closed().tell(&mut told);
        assert!(told.is_empty());
    }
}
