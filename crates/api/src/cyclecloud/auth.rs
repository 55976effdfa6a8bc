//! Signing in to this dialect: HTTP Basic and nothing else.
//!
//! Knows no roles; what a caller may do is `control`'s to say.

use axum::{extract::FromRequestParts, http::request::Parts};
use reeve_control::Ctx;
use reeve_model::{Error, Kind};

use super::error::Failure;
use crate::{
    App,
    request::{self, Credential},
};

/// A verified caller, as the context of its request. Comes first in every handler.
pub struct Caller(pub Ctx);

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let credential = match request::authorization(&parts.headers) {
            Some(basic @ Credential::Basic(..)) => basic,
            Some(Credential::Bearer(_) | Credential::Key(_)) | None => {
                return Err(Error::new(
                    Kind::Unauthenticated,
                    "sign in with a user name and a password (HTTP Basic)",
                )
                .into());
            }
        };
        let actor = request::actor(app, Some(credential)).await?;
        let ctx = request::context(app, actor, &parts.headers);
        // A valid user without rights on a cluster is told so.
        Ok(Self(Ctx { candid: true, ..ctx }))
    }
}
