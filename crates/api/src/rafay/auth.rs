//! Who asks: the API key in one of its two headers.

use axum::http::HeaderMap;
use reeve_control::{Ctx, secret::Secret};
use reeve_model::{Error, Kind, Result};

use crate::{
    App,
    request::{self, Credential},
};

/// The header of this API, then the one of its older generations; the first that is there counts.
const HEADERS: [&str; 2] = ["x-api-key", "x-rafay-api-keyid"];

/// The context of a request, decided before anything is looked up.
///
/// # Errors
/// `Unauthenticated` without a key, or with one that does not hold.
pub(super) async fn context(app: &App, headers: &HeaderMap) -> Result<Ctx> {
    let Some(value) = HEADERS.iter().find_map(|name| headers.get(*name)) else {
        return Err(Error::new(
            Kind::Unauthenticated,
            "send an API key in the header X-API-KEY",
        ));
    };
    let key = value.to_str().unwrap_or_default();
    let actor = request::actor(app, Some(Credential::Key(Secret::new(key)))).await?;
    let ctx = request::context(app, actor, headers);
    // Who may not is told so, also about projects and clusters out of sight.
    Ok(Ctx { candid: true, ..ctx })
}
