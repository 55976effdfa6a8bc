//! The built `reeve` as a process with a folder of its own, and every way to end and restart it.
//!
//! What it says goes to a file that is shown when a test fails. Dropping a server kills it by its process id, and so
//! it does every machine that was a process of its folder.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{http::Client, wait::BOUND};

/// Password of `admin`.
pub(crate) const PASSWORD: &str = "a password for tests";

/// Every process of a machine carries its folder in this variable.
const MARK: &str = "REEVE_LOCAL_MACHINE=";

/// The program under test: the one `cargo xtask test` names, else the one cargo built for this test.
#[expect(
    clippy::disallowed_methods,
    reason = "the test runner says by the environment which program is tested"
)]
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("REEVE_BIN").filter(|path| !path.is_empty());
    named.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_reeve")), PathBuf::from)
}

/// A folder that is removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "reeve-whole-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        // What an earlier process of the same id left is nobody's any more.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("make a folder");
        Self(path.canonicalize().expect("a real path"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a server is started.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    data: Option<PathBuf>,
    listen_as_configured: bool,
}

impl Setup {
    /// On a free port of loopback, without TLS, with a data folder of its own.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One more argument of `serve`, or several.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// One more variable of its environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The text of a configuration file.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Another data folder than one that is made, and removed, with the server.
    pub(crate) fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// Leaves the address to the configuration file.
    pub(crate) fn listen_as_configured(mut self) -> Self {
        self.listen_as_configured = true;
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub(crate) async fn start(self) -> Server {
        let folder = Folder::new();
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let mut server = Server {
            setup: self,
            data,
            listen: "127.0.0.1:0".to_owned(),
            url: String::new(),
            running: None,
            folder,
        };
        server.restart().await;
        server
    }

    /// Starts it where it must refuse; answers its exit status and what it said on standard error.
    ///
    /// # Panics
    /// When it starts, or does neither.
    pub(crate) async fn refused(self) -> (ExitStatus, String) {
        let folder = Folder::new();
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let mut command = self.command(&folder, &data, "127.0.0.1:0");
        let child = command.stderr(Stdio::piped()).spawn().expect("start the program");
        let output = timeout(BOUND, child.wait_with_output())
            .await
            .expect("a refusal in time")
            .expect("its output");
        let (said, log) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(!said.contains("listening on"), "it started: {said}{log}");
        (output.status, log.into_owned())
    }

    fn command(&self, folder: &Folder, data: &Path, listen: &str) -> Command {
        let mut command = Command::new(program());
        command.arg("serve").arg("--data-dir").arg(data);
        if !self.listen_as_configured {
            command.args(["--listen", listen]);
        }
        command.args(&self.arguments);
        if let Some(text) = &self.config {
            let file = folder.path().join("config.toml");
            std::fs::write(&file, text).expect("write the configuration");
            command.arg("--config").arg(file);
        }
        command
            .env("REEVE_ADMIN_PASSWORD", PASSWORD)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// A server that was started.
pub(crate) struct Server {
    setup: Setup,
    data: PathBuf,
    listen: String,
    url: String,
    running: Option<Running>,
    folder: Folder,
}

struct Running {
    child: Child,
    /// Kept, so that the server's standard output stays open.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it again on the same folder and port and waits until it listens.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub(crate) async fn restart(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("open the log");
        let mut command = self.setup.command(&self.folder, &self.data, &self.listen);
        let mut child = command.stderr(log).spawn().expect("start the program");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let listening = timeout(BOUND, async {
            while let Some(line) = output.next_line().await.expect("its output is text") {
                if let Some(url) = line.strip_prefix("reeve: listening on ") {
                    return Some(url.to_owned());
                }
            }
            None
        });
        let Some(url) = listening.await.expect("it listens in time") else {
            panic!("the server ended: {:?}", child.wait().await);
        };
        let (_, address) = url.split_once("://").expect("a URL");
        address.clone_into(&mut self.listen);
        self.url = url;
        self.running = Some(Running { child, _output: output });
    }

    /// Ends it as a power cut does, without a chance to do anything more.
    pub(crate) async fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.child.kill().await.expect("kill it");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it runs");
        let pid = running.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.expect("it has not ended"), Signal::TERM).expect("ask it to end");
        let ended = timeout(BOUND, running.child.wait()).await;
        ended.expect("it ends in time").expect("its status")
    }

    /// Process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(|running| running.child.id())
    }

    /// The URL it listens on; the same after a restart.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What it said on standard error so far, over all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A client with the administrator's password.
    pub(crate) fn admin(&self) -> Client {
        Client::new(&self.url, Some(("admin", PASSWORD)), None)
    }

    /// Living processes of its local machines by the folder that is the machine, whose name is the machine's token.
    pub(crate) fn machines(&self) -> HashMap<PathBuf, Vec<i32>> {
        machines(&self.data)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8000);
            let shown = log.get(from..).unwrap_or(&log);
            eprintln!("the end of what the server at {} said:\n{shown}", self.url);
        }
        // First the server, so that it starts no machine again.
        if let Some(pid) = self.pid().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.running = None;
        for pid in self.machines().into_values().flatten().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Living processes that carry the mark of a machine below `data`, by the machine's folder.
fn machines(data: &Path) -> HashMap<PathBuf, Vec<i32>> {
    let mut found: HashMap<PathBuf, Vec<i32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").expect("the list of processes");
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // What has ended in between, or is somebody else's, has no environment to read.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let mark = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(MARK.as_bytes()));
        if let Some(folder) = mark.map(|folder| Path::new(OsStr::from_bytes(folder)))
            && folder.starts_with(data)
        {
            found.entry(folder.to_owned()).or_default().push(pid);
        }
    }
    found
}
