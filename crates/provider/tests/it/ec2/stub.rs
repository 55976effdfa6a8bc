//! A cloud that answers what a test tells it to, for what moto can not bring about: refusals, throttling, answers that
//! get lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Path, and headers by lower-case name.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Parameters of the form.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Call {
    pub(crate) fn action(&self) -> &str {
        self.parameters.get("Action").map_or("", String::as_str)
    }
}

/// What to do with a call.
pub(crate) enum Reply {
    /// HTTP status and body.
    Answer(u16, String),
    /// Close the connection without a word.
    Hang,
}

/// A refusal in the cloud's form.
pub(crate) fn refusal(status: u16, code: &str) -> Reply {
    Reply::Answer(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>because of {code}.</Message></Error></Errors>\
             <RequestID>request-of-{code}</RequestID></Response>"
        ),
    )
}

/// A running stub; ended on drop.
pub(crate) struct Stub {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

impl Stub {
    #[expect(clippy::disallowed_methods, reason = "the task is held and ended with the stub")]
    pub(crate) async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                // One after another is enough: every answer closes its connection.
                serve(stream, &seen, &answer).await;
            }
        });
        Self { url, calls, task }
    }

    /// Calls of this action so far.
    pub(crate) fn calls(&self, action: &str) -> Vec<Call> {
        let calls = self.calls.lock().expect("not poisoned");
        calls.iter().filter(|call| call.action() == action).cloned().collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Call>>, answer: &impl Fn(&Call) -> Reply) {
    let Some(call) = read(&mut stream).await else { return };
    seen.lock().expect("not poisoned").push(call.clone());
    if let Reply::Answer(status, body) = answer(&call) {
        let text = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone away is the client's affair.
        _ = stream.write_all(text.as_bytes()).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Call> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(Some(0), |text| text.parse().ok())?;
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).ok()?;
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    let parameters = fields.map(|(name, value)| (plain(name), plain(value))).collect();
    Some(Call {
        path,
        headers,
        parameters,
    })
}

fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
            let digits = String::from_utf8_lossy(&digits).into_owned();
            bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("the client sends UTF-8")
}
