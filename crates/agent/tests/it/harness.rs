//! A small server that plays the other end of the agent protocol, an agent under test, and ways to wait.
//!
//! Waiting is always for a condition, with a bound that reports what was last seen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use reeve_agent::Secret;
use reeve_agent::node::{self, Config, Ended, Failure};
use reeve_wire::agent::{Beat, Enroll, Enrolled, Goals, Refusal, Script, Wish};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Longest time for anything to happen; generous because test machines are busy.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A moment that no machine lives in any more, as a header and in microseconds since 1970 UTC.
pub(crate) const LONG_AGO: (&str, i64) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000_000);

/// What the server has been told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Tokens and requests, in order.
    pub(crate) enrolls: Vec<(String, Enroll)>,
    /// Credentials and beats, in order.
    pub(crate) beats: Vec<(String, Beat)>,
    /// Bodies that came compressed.
    pub(crate) compressed: usize,
}

impl Seen {
    /// The latest beat.
    pub(crate) fn last(&self) -> Option<&Beat> {
        self.beats.last().map(|(_, beat)| beat)
    }
}

/// What to do with the next call instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Planned {
    /// Refuse it.
    Refuse(Refusal),
    /// Carry it out, but let the answer be cut off on the way.
    Lose,
    /// Answer like a proxy whose server is away.
    Page,
}

struct Shared {
    seen: watch::Sender<Seen>,
    goals: watch::Sender<Goals>,
    cluster: Mutex<String>,
    enroll_plans: Mutex<VecDeque<Planned>>,
    beat_plans: Mutex<VecDeque<Planned>>,
    long_ago: AtomicBool,
}

/// The playing server.
pub(crate) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    secure: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Listens on a port of the kernel's choice and hands out `goals`.
    pub(crate) fn start(goals: Goals) -> Self {
        Self::start_with(goals, None)
    }

    /// The same with TLS.
    pub(crate) fn start_with(goals: Goals, secure: Option<RustlsConfig>) -> Self {
        let shared = Arc::new(Shared {
            seen: watch::Sender::new(Seen::default()),
            goals: watch::Sender::new(goals),
            cluster: Mutex::new("demo".to_owned()),
            enroll_plans: Mutex::default(),
            beat_plans: Mutex::default(),
            long_ago: AtomicBool::default(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            shared,
            address,
            secure,
            handle: Handle::new(),
            tasks: JoinSet::new(),
        };
        server.up();
        server
    }

    /// Starts to answer, at the same address as before.
    pub(crate) fn up(&mut self) {
        let listener = TcpListener::bind(self.address).expect("listen on loopback");
        listener.set_nonblocking(true).expect("make the listener async");
        self.address = listener.local_addr().expect("own address");
        self.handle = Handle::new();
        let routes = Router::new()
            .route("/reeve/agent/v1/enroll", post(answer_enroll))
            .route("/reeve/agent/v1/beat", post(answer_beat))
            .with_state(self.shared.clone())
            .into_make_service();
        let handle = self.handle.clone();
        match self.secure.clone() {
            None => {
                let serving = axum_server::from_tcp(listener)
                    .expect("serve")
                    .handle(handle)
                    .serve(routes);
                self.tasks.spawn(async move { serving.await.expect("serve") });
            }
            Some(tls) => {
                let serving = axum_server::from_tcp_rustls(listener, tls)
                    .expect("serve")
                    .handle(handle)
                    .serve(routes);
                self.tasks.spawn(async move { serving.await.expect("serve") });
            }
        }
    }

    /// Drops all connections and stops to listen.
    pub(crate) async fn down(&mut self) {
        self.handle.shutdown();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Address for agents.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.secure.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Changes the goals.
    pub(crate) fn set_goals(&self, goals: Goals) {
        self.shared.goals.send_replace(goals);
    }

    /// Changes the cluster that tokens are for.
    pub(crate) fn set_cluster(&self, name: &str) {
        *self.shared.cluster.lock().expect("lock") = name.to_owned();
    }

    /// Lets the server believe that it is [`LONG_AGO`].
    pub(crate) fn live_long_ago(&self) {
        self.shared.long_ago.store(true, Ordering::Relaxed);
    }

    /// Treats the next enroll call differently.
    pub(crate) fn plan_enroll(&self, plan: Planned) {
        self.shared.enroll_plans.lock().expect("lock").push_back(plan);
    }

    /// Treats the next beat differently.
    pub(crate) fn plan_beat(&self, plan: Planned) {
        self.shared.beat_plans.lock().expect("lock").push_back(plan);
    }

    /// What has been seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until `find` finds something in what has been seen.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&Seen) -> Option<T>) -> T {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(BOUND, seen.wait_for(|seen| find(seen).is_some())).await;
        match waited {
            Ok(found) => find(&found.expect("the server is there")).expect("it was found"),
            Err(_) => panic!("waited for {what}; last seen: {:#?}", self.seen().last()),
        }
    }

    /// Waits for a beat after those seen so far that satisfies `accept`.
    pub(crate) async fn beat(&self, what: &str, accept: impl Fn(&Beat) -> bool) -> Beat {
        self.until(what, |seen| seen.last().filter(|beat| accept(beat)).cloned())
            .await
    }
}

async fn answer_enroll(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let (token, compressed) = (bearer(&headers), is_compressed(&headers));
    let request: Enroll = serde_json::from_slice(&unpack(&headers, &body)).expect("read the enroll call");
    let number = shared.seen.borrow().enrolls.len() + 1;
    shared.seen.send_modify(|seen| {
        seen.compressed += usize::from(compressed);
        seen.enrolls.push((token, request.clone()));
    });
    let plan = shared.enroll_plans.lock().expect("lock").pop_front();
    let long_ago = shared.long_ago.load(Ordering::Relaxed);
    let enrolled = Enrolled {
        node_id: "node-1".to_owned(),
        node_name: "worker-1".to_owned(),
        cluster: shared.cluster.lock().expect("lock").clone(),
        credential: format!("credential-{number}"),
        clock_us: if long_ago { LONG_AGO.1 } else { request.clock_us },
        goals: shared.goals.borrow().clone(),
    };
    carry_out(plan, Json(enrolled))
}

async fn answer_beat(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let (credential, compressed) = (bearer(&headers), is_compressed(&headers));
    let beat: Beat = serde_json::from_slice(&unpack(&headers, &body)).expect("read the beat");
    shared.seen.send_modify(|seen| {
        seen.compressed += usize::from(compressed);
        seen.beats.push((credential, beat.clone()));
    });
    let plan = shared.beat_plans.lock().expect("lock").pop_front();
    if plan.is_none() {
        let mut goals = shared.goals.subscribe();
        let hold = Duration::from_millis(u64::from(beat.wait_ms));
        let _ = tokio::time::timeout(hold, goals.wait_for(|goals| goals.epoch > beat.epoch_seen)).await;
    }
    let goals = shared.goals.borrow().clone();
    let mut answer = carry_out(plan, Json(goals));
    if shared.long_ago.load(Ordering::Relaxed) {
        answer
            .headers_mut()
            .insert("date", HeaderValue::from_static(LONG_AGO.0));
    }
    answer
}

fn carry_out(plan: Option<Planned>, answer: impl IntoResponse) -> Response {
    match plan {
        None => answer.into_response(),
        Some(Planned::Refuse(refusal)) => (StatusCode::FORBIDDEN, Json(refusal)).into_response(),
        Some(Planned::Page) => (StatusCode::BAD_GATEWAY, "<html>try later</html>").into_response(),
        Some(Planned::Lose) => {
            let pieces = [Ok("{".to_owned()), Err(std::io::Error::other("cut off"))];
            Body::from_stream(futures::stream::iter(pieces)).into_response()
        }
    }
}

fn bearer(headers: &HeaderMap) -> String {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.strip_prefix("Bearer ").unwrap_or_default().to_owned()
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get("content-encoding").is_some_and(|value| value == "gzip")
}

fn unpack(headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    let mut plain = Vec::new();
    if is_compressed(headers) {
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .expect("unpack the body");
    } else {
        plain.extend_from_slice(body);
    }
    plain
}

/// A refusal that is final.
pub(crate) fn refusal(code: &str) -> Planned {
    Planned::Refuse(Refusal {
        code: code.to_owned(),
        message: format!("no: {code}"),
        retryable: false,
    })
}

/// Goals with fast beats.
pub(crate) fn goals(epoch: i64, wish: Wish, scripts: &[(&str, &str)]) -> Goals {
    let script = |(name, body): &(&str, &str)| Script {
        name: (*name).to_owned(),
        body: (*body).to_owned(),
        timeout_ms: u64::try_from(BOUND.as_millis()).expect("short"),
    };
    Goals {
        epoch,
        wish,
        scripts: scripts.iter().map(script).collect(),
        init_run: "run-1".to_owned(),
        beat_interval_ms: 200,
    }
}

/// A folder that is removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reeve-agent-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("make a folder");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Content of a file, empty when it does not exist.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let mut file = std::fs::File::create(self.0.join(name)).expect("make a file");
        file.write_all(text.as_bytes()).expect("write a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settings of an agent for `server`.
pub(crate) fn config(server: &Server, folder: &Folder) -> Config {
    Config {
        server: server.url(),
        join_token: Secret::new("token-1"),
        ca_sha256: None,
        ca_file: None,
        state_dir: folder.path().to_owned(),
        source_address: None,
        hostname: Some("host-1".to_owned()),
        machine_id: Some("machine-1".to_owned()),
        once: false,
        prechecks: Vec::new(),
    }
}

/// An agent at work.
pub(crate) struct Running {
    tasks: JoinSet<Result<Ended, Failure>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(config: Config) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { node::run(config, stopped).await });
        Self {
            tasks,
            stop: Some(stop),
        }
    }

    /// Asks it to stop and waits for that.
    pub(crate) async fn stop(mut self) -> Result<Ended, Failure> {
        drop(self.stop.take());
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<Ended, Failure> {
        let ended = tokio::time::timeout(BOUND, self.tasks.join_next()).await;
        ended
            .expect("the agent should have ended")
            .expect("it ends once")
            .expect("it does not panic")
    }
}

/// Runs an agent to its own end.
pub(crate) async fn run(config: Config) -> Result<Ended, Failure> {
    bounded(
        "the agent to end",
        node::run(config, std::future::pending::<Infallible>()),
    )
    .await
}

async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"))
}

/// Looks at something again and again until it is as wanted.
pub(crate) async fn until<T: std::fmt::Debug>(what: &str, look: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = tokio::time::Instant::now() + BOUND;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited for {what}; last seen: {seen:?}"
        );
        ticks.tick().await;
    }
}

/// State letter of a process, absent when there is none or only its remains.
pub(crate) fn process_state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    stat.rsplit(") ").next()?.chars().next().filter(|state| *state != 'Z')
}
