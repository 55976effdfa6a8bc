//! What every dialect needs of a request: its id, its caller, the address it came in by, its body.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reeve_control::{Ctx, identity, secret::Secret};
use reeve_model::{Error, Kind, Result, actor::Actor};

use crate::App;

/// A credential as it stood in the request.
pub enum Credential {
    /// `Authorization: Basic`.
    Basic(String, Secret),
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// A key in a header of its own.
    Key(Secret),
}

/// Reads an `Authorization` header, if it is one we know.
#[must_use]
pub fn authorization(headers: &HeaderMap) -> Option<Credential> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        return Some(Credential::Basic(name.to_owned(), Secret::new(password)));
    }
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Credential::Bearer(Secret::new(rest.trim())))
}

/// Verifies a credential.
///
/// # Errors
/// `Unauthenticated`, also when there is none.
pub async fn actor(app: &App, credential: Option<Credential>) -> Result<Arc<Actor>> {
    match credential {
        None => Err(Error::new(Kind::Unauthenticated, "credentials are missing")),
        Some(Credential::Basic(name, password)) => identity::basic(app, &name, &password).await,
        Some(Credential::Bearer(token)) => identity::bearer(app, &token).await,
        Some(Credential::Key(key)) => identity::api_key(app, &key).await,
    }
}

/// The context of a request of a verified caller.
#[must_use]
pub fn context(app: &App, actor: Arc<Actor>, headers: &HeaderMap) -> Ctx {
    Ctx {
        core: Arc::clone(app),
        actor,
        request_id: id(app, headers),
        candid: false,
    }
}

/// The caller's request id if it sent a usable one, else a new one.
#[must_use]
pub fn id(app: &App, headers: &HeaderMap) -> String {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| app.id().to_string(), str::to_owned)
}

/// The URL under which the caller reached us, without a trailing slash.
#[must_use]
pub fn base_url(app: &App, headers: &HeaderMap) -> String {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty())
    };
    let own = app.settings.server_url.trim_end_matches('/');
    let own_scheme = own.split_once("://").map_or("http", |(scheme, _)| scheme);
    match text("x-forwarded-host").or_else(|| text("host")) {
        Some(host) => format!("{}://{host}", text("x-forwarded-proto").unwrap_or(own_scheme)),
        None => own.to_owned(),
    }
}

/// Reads a JSON body whatever its content type says; an empty one is `null`.
///
/// # Errors
/// `Invalid` with line and column.
pub fn json(body: &Bytes) -> Result<serde_json::Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| Error::invalid("", format!("the body is not JSON: {error}")))
}
