//! A load generator: connections that are kept, each with one request under way at a time.

use super::subject::header;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the load saw.
pub(crate) struct Seen {
    /// Answers per second.
    pub(crate) rate: f64,
    /// 99 of 100 answers came within this many milliseconds.
    pub(crate) p99_ms: f64,
}

/// Sends `request` on `connections` connections for `length`; at `pace` requests per second altogether, or as fast as
/// they are answered. With a pace, time counts from when a request was due, so that a stall is seen whole.
///
/// # Errors
/// When an answer is not 200 or a connection breaks.
pub(crate) fn run(
    address: SocketAddr,
    request: &str,
    connections: u32,
    length: Duration,
    pace: Option<f64>,
) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let end = begun + length;
    let gap = pace.map(|pace| Duration::from_secs_f64(f64::from(connections) / pace));
    let mut times = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(connection(address, request.to_owned(), end, gap));
        }
        let mut times = Vec::new();
        while let Some(one) = tasks.join_next().await {
            times.extend(one.context("a connection")??);
        }
        Ok::<_, anyhow::Error>(times)
    })?;
    times.sort_unstable();
    ensure!(!times.is_empty(), "no answer in {} s", length.as_secs());
    let count = u32::try_from(times.len()).context("count answers")?;
    let p99 = times[(times.len() - 1) * 99 / 100];
    Ok(Seen {
        rate: f64::from(count) / begun.elapsed().as_secs_f64(),
        p99_ms: p99.as_secs_f64() * 1000.0,
    })
}

async fn connection(
    address: SocketAddr,
    request: String,
    end: Instant,
    gap: Option<Duration>,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let mut times = Vec::new();
    let mut due = Instant::now();
    while due < end && Instant::now() < end {
        if gap.is_some() {
            tokio::time::sleep_until(due.into()).await;
        } else {
            due = Instant::now();
        }
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer).await?;
        times.push(due.elapsed());
        due += gap.unwrap_or_default();
    }
    Ok(times)
}

/// Reads one answer of at most the buffer's length.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let mut whole = None;
    while whole.is_none_or(|whole| filled < whole) {
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(count > 0, "the connection ended");
        filled += count;
        if whole.is_none()
            && let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..at]).to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "{head}");
            let length: usize = header(&head, "content-length")
                .and_then(|value| value.parse().ok())
                .context("the answer does not tell its length")?;
            whole = Some(at + 4 + length);
        }
        ensure!(
            filled < buffer.len(),
            "the answer is larger than {} bytes",
            buffer.len()
        );
    }
    Ok(())
}
