//! Who calls: a bearer token and nothing else.
//!
//! [`Caller`] is the first argument of every handler but those that give tokens, so that a bad token is told before a bad
//! path or body. What the caller may do is decided in `control`.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use reeve_control::Ctx;
use reeve_model::{Error, Kind, Result};

use super::error::Failure;
use crate::{
    App,
    request::{self, Credential},
};

/// The context of a request whose token holds.
pub(super) struct Caller(pub(super) Ctx);

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        Ok(Self(verify(app, &parts.headers).await?))
    }
}

/// Verifies the bearer token of a request.
///
/// # Errors
/// `Unauthenticated` without one, with another scheme, or with a token that does not hold.
pub(super) async fn verify(app: &App, headers: &HeaderMap) -> Result<Ctx> {
    let Some(credential @ Credential::Bearer(_)) = request::authorization(headers) else {
        return Err(Error::new(
            Kind::Unauthenticated,
            "an access token is needed: Authorization: Bearer ...",
        ));
    };
    let actor = request::actor(app, Some(credential)).await?;
    let ctx = request::context(app, actor, headers);
    // What lies outside the caller's scopes is a 403 in this API.
    Ok(Ctx { candid: true, ..ctx })
}
