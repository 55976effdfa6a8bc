//! The program itself, for hosts that do not have it yet: what runs here is what is handed out.
//!
//! The file is read through the kernel's link to the running image, so that a binary replaced on disk does not change
//! what is served, nor its checksum.

use std::sync::OnceLock;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use reeve_control::agent;
use reeve_model::{Error, Result};
use ring::digest;
use tokio::{fs::File, io::AsyncReadExt};

use crate::App;
use crate::agents::{bearer, refusal::Refusal};

/// The running image.
const IMAGE: &str = "/proc/self/exe";
/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// Checksum of the running image, once known.
static SHA256: OnceLock<String> = OnceLock::new();

/// The architecture of this server in the words `amd64` and `arm64`, or as the compiler calls it.
#[must_use]
pub fn architecture() -> &'static str {
    word(std::env::consts::ARCH)
}

fn word(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// SHA-256 of the program that is handed out, lower-case hex; read once.
///
/// # Errors
/// `Internal` when the running image cannot be read.
pub async fn sha256() -> Result<&'static str> {
    if let Some(known) = SHA256.get() {
        return Ok(known);
    }
    let (mut file, _) = open().await?;
    let mut sum = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).await.map_err(unreadable)? {
            0 => break,
            read => sum.update(&buffer[..read]),
        }
    }
    let text = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SHA256.get_or_init(|| text))
}

/// The handler: a join token opens it.
pub(crate) async fn fetch(State(app): State<App>, Path(wanted): Path<String>, headers: HeaderMap) -> Response {
    serve(&app, &wanted, &headers)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn serve(app: &App, wanted: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let token = bearer(headers)?;
    agent::known_token(app, token.expose()).await?;
    let own = architecture();
    if word(wanted) != own {
        return Err(Refusal::no_binary(format!(
            "no program for {wanted} is offered here; available is {own}"
        )));
    }
    let sum = sha256().await?;
    let (file, size) = open().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::ETAG, format!("\"{sum}\"")),
    ];
    let chunks = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut buffer = vec![0; CHUNK];
        match file.read(&mut buffer).await {
            Ok(0) => None,
            Ok(read) => {
                buffer.truncate(read);
                Some((Ok(Bytes::from(buffer)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((StatusCode::OK, headers, Body::from_stream(chunks)).into_response())
}

async fn open() -> Result<(File, u64)> {
    let file = File::open(IMAGE).await.map_err(unreadable)?;
    let size = file.metadata().await.map_err(unreadable)?.len();
    Ok((file, size))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::internal(format!("read {IMAGE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_checksum_is_that_of_the_running_image() {
        let image = tokio::fs::read(IMAGE).await.unwrap();
        let whole = digest::digest(&digest::SHA256, &image);
        let whole: String = whole.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256().await.unwrap(), whole);
        assert_eq!(sha256().await.unwrap(), whole);
    }
}
