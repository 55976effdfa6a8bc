//! Which server to talk to, and as whom.
//!
//! Flags win over the environment, and the environment over the contexts that `reeve login` saved. A saved
//! credential is only ever sent to the server it was saved for: naming another server with a flag must not hand it
//! over. The file of contexts is readable by its owner alone.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Connection;
use super::failure::{Failure, Kind};

/// Where a server listens unless told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Name of the context that `reeve login` writes unless told otherwise.
pub(super) const DEFAULT_CONTEXT: &str = "default";

/// What the environment says. Read once, so that tests can say something else.
#[derive(Default, Clone)]
pub(super) struct Environment {
    /// `REEVE_USER`.
    pub(super) user: Option<String>,
    /// `REEVE_PASSWORD`.
    pub(super) password: Option<String>,
    /// `REEVE_TOKEN`.
    pub(super) token: Option<String>,
    /// The user's folder of settings.
    pub(super) settings: Option<PathBuf>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(super) fn read() -> Self {
        let text = environment;
        let settings = text("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| text("HOME").map(|home| Path::new(&home).join(".config")));
        Self {
            user: text("REEVE_USER"),
            password: text("REEVE_PASSWORD"),
            token: text("REEVE_TOKEN"),
            settings: settings.map(|folder| folder.join("reeve")),
        }
    }
}

/// A variable of the environment, if it is set, readable and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's outermost room reads the environment, and only here"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How to sign in. Deliberately without `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A user or an application.
    Password {
        /// Its name, or the application's client id.
        user: String,
        /// Its password, or the application's client secret.
        password: String,
    },
    /// An access token or API key.
    Token(String),
}

/// Everything needed to call a server.
pub(super) struct Target {
    /// Its address.
    pub(super) server: String,
    /// As whom; nobody when absent.
    pub(super) credentials: Option<Credentials>,
    /// Believe any certificate.
    pub(super) insecure: bool,
    /// Believe only these authorities.
    pub(super) ca_file: Option<PathBuf>,
}

/// What one `reeve login` saved.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Context {
    /// Address of the server.
    pub(super) server: String,
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// Password of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
    /// A token instead of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// Believe any certificate.
    #[serde(default)]
    pub(super) insecure: bool,
    /// Believe only these authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<PathBuf>,
}

impl Context {
    fn credentials(&self) -> Option<Credentials> {
        match (&self.user, &self.password, &self.token) {
            (_, _, Some(token)) => Some(Credentials::Token(token.clone())),
            (Some(user), Some(password), None) => Some(Credentials::Password {
                user: user.clone(),
                password: password.clone(),
            }),
            _ => None,
        }
    }
}

/// All that was saved.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Contexts {
    /// Name of the one that holds unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; no file is no contexts.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub(super) fn load(environment: &Environment) -> Result<Self, Failure> {
        let Some(path) = path(environment) else {
            return Ok(Self::default());
        };
        let wrong = |why: String| {
            Failure::new(
                Kind::Usage,
                format!("read the saved contexts in {}", path.display()),
                why,
                "correct the file, or delete it and run `reeve login` again",
            )
        };
        match fs::read_to_string(&path) {
            // The error of the parser would repeat the line it stumbled over, and with it perhaps a password.
            Ok(text) => toml::from_str(&text).map_err(|error| wrong(error.message().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Writes the file for its owner's eyes only, whole or not at all.
    ///
    /// # Errors
    /// When there is no place for it, or it cannot be written.
    pub(super) fn save(&self, environment: &Environment) -> Result<PathBuf, Failure> {
        let wrong = |why: String| {
            Failure::new(
                Kind::Usage,
                "save the context",
                why,
                "set HOME or XDG_CONFIG_HOME to a writable folder",
            )
        };
        let path = path(environment).ok_or_else(|| wrong("there is no folder for settings".to_owned()))?;
        let text = toml::to_string(self).map_err(|error| wrong(error.to_string()))?;
        write_private(&path, &text).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        Ok(path)
    }
}

fn path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.settings.as_ref()?.join("contexts.toml"))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension(format!("toml.{}", std::process::id()));
    // An old draft may have other permissions, which opening it would keep.
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// Decides which server to call and as whom.
///
/// # Errors
/// When a named context does not exist, or a user was given without password or the reverse.
pub(super) fn resolve(globals: &Connection, environment: &Environment, saved: &Contexts) -> Result<Target, Failure> {
    let context = chosen(globals, saved)?;
    let server = globals
        .server
        .clone()
        .or_else(|| context.map(|context| context.server.clone()))
        .unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let context = context.filter(|context| same_server(&context.server, &server));
    let credentials = match from_environment(environment)? {
        Some(credentials) => Some(credentials),
        None => context.and_then(Context::credentials),
    };
    Ok(Target {
        server,
        credentials,
        insecure: globals.insecure || context.is_some_and(|context| context.insecure),
        ca_file: globals
            .ca_file
            .clone()
            .or_else(|| context.and_then(|context| context.ca_file.clone())),
    })
}

/// The credentials that the environment gives, if any.
///
/// # Errors
/// When only one of user and password is there and no token.
pub(super) fn from_environment(environment: &Environment) -> Result<Option<Credentials>, Failure> {
    let half = |missing: &str, given: &str| {
        Failure::new(
            Kind::Usage,
            "sign in",
            format!("{given} is set, but {missing} is not"),
            format!("set {missing} too, or unset {given}"),
        )
    };
    match (&environment.user, &environment.password, &environment.token) {
        (Some(user), Some(password), _) => Ok(Some(Credentials::Password {
            user: user.clone(),
            password: password.clone(),
        })),
        (_, _, Some(token)) => Ok(Some(Credentials::Token(token.clone()))),
        (Some(_), None, None) => Err(half("REEVE_PASSWORD", "REEVE_USER")),
        (None, Some(_), None) => Err(half("REEVE_USER", "REEVE_PASSWORD")),
        (None, None, None) => Ok(None),
    }
}

fn chosen<'a>(globals: &Connection, saved: &'a Contexts) -> Result<Option<&'a Context>, Failure> {
    match (&globals.context, &saved.current) {
        (Some(name), _) => saved.contexts.get(name).map(Some).ok_or_else(|| {
            let known: Vec<&str> = saved.contexts.keys().map(String::as_str).collect();
            Failure::new(
                Kind::Usage,
                format!("use context {name:?}"),
                "no login was saved under this name",
                if known.is_empty() {
                    "run `reeve login` first".to_owned()
                } else {
                    format!("use one of: {}", known.join(", "))
                },
            )
        }),
        (None, Some(name)) => Ok(saved.contexts.get(name)),
        (None, None) => Ok(None),
    }
}

fn same_server(one: &str, other: &str) -> bool {
    match (reqwest::Url::parse(one.trim()), reqwest::Url::parse(other.trim())) {
        (Ok(one), Ok(other)) => {
            one.origin() == other.origin() && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn saved() -> Contexts {
        let context = Context {
            server: "https://one.example:8080/".to_owned(),
            user: Some("ada".to_owned()),
            password: Some("secret".to_owned()),
            ..Context::default()
        };
        Contexts {
            current: Some("work".to_owned()),
            contexts: BTreeMap::from([("work".to_owned(), context)]),
        }
    }

    fn is_ada(credentials: Option<Credentials>) -> bool {
        matches!(credentials, Some(Credentials::Password { user, .. }) if user == "ada")
    }

    #[test]
    fn a_saved_login_is_used_when_nothing_else_is_said() {
        let connection = resolve(&Connection::default(), &Environment::default(), &saved())
            .ok()
            .unwrap();
        assert_eq!(connection.server, "https://one.example:8080/");
        assert!(is_ada(connection.credentials));
    }

    #[test]
    fn a_saved_login_is_never_sent_to_another_server() {
        let globals = Connection {
            server: Some("https://two.example:8080".to_owned()),
            ..Connection::default()
        };
        let connection = resolve(&globals, &Environment::default(), &saved()).ok().unwrap();
        assert!(connection.credentials.is_none());
        let globals = Connection {
            server: Some("https://one.example:8080".to_owned()),
            ..Connection::default()
        };
        let connection = resolve(&globals, &Environment::default(), &saved()).ok().unwrap();
        assert!(is_ada(connection.credentials));
    }

    #[test]
    fn the_environment_wins_over_a_saved_login() {
        let environment = Environment {
            token: Some("t".to_owned()),
            ..Environment::default()
        };
        let connection = resolve(&Connection::default(), &environment, &saved()).ok().unwrap();
        assert!(connection.credentials == Some(Credentials::Token("t".to_owned())));
    }

    #[test]
    fn a_user_without_a_password_is_refused() {
        let environment = Environment {
            user: Some("ada".to_owned()),
            ..Environment::default()
        };
        assert_eq!(from_environment(&environment).err().unwrap().kind, Kind::Usage);
    }

    #[test]
    fn an_unknown_context_is_refused_with_the_known_ones() {
        let globals = Connection {
            context: Some("home".to_owned()),
            ..Connection::default()
        };
        let failure = resolve(&globals, &Environment::default(), &saved()).err().unwrap();
        assert_eq!((failure.kind, failure.next.as_str()), (Kind::Usage, "use one of: work"));
    }

    #[test]
    fn the_file_of_contexts_is_its_owners_alone_and_reads_back() {
        let folder = std::env::temp_dir().join(format!("reeve-contexts-{}", std::process::id()));
        let environment = Environment {
            settings: Some(folder.clone()),
            ..Environment::default()
        };
        let path = saved().save(&environment).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Contexts::load(&environment).unwrap() == saved());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_file_of_contexts_is_no_contexts() {
        let environment = Environment {
            settings: Some(PathBuf::from("/nonexistent/reeve")),
            ..Environment::default()
        };
        assert!(Contexts::load(&environment).unwrap() == Contexts::default());
    }
}
