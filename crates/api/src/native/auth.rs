//! The verified caller of a request, and access tokens.

use axum::{Json, extract::FromRequestParts, http::request::Parts, response::Response};
use reeve_control::{Ctx, identity};
use reeve_wire::native::Token;

use super::error::{Refusal, answer};
use crate::{App, request};

/// The context of a request whose caller is verified by `Authorization: Basic` or `Bearer`.
pub struct Caller(pub Ctx);

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        match request::actor(app, request::authorization(&parts.headers)).await {
            Ok(actor) => Ok(Self(request::context(app, actor, &parts.headers))),
            Err(error) => Err(Refusal::new(app, &parts.headers, error)),
        }
    }
}

/// Issues an access token to the caller.
#[utoipa::path(post, path = "/reeve/v1/token", tag = "server", responses((status = 200, body = Token)))]
pub async fn token(Caller(ctx): Caller) -> Response {
    answer(&ctx, async {
        let (token, life) = identity::issue(&ctx.core, &ctx.actor)?;
        Ok(Json(Token {
            access_token: token.into_exposed(),
            token_type: "Bearer".into(),
            expires_in: life.as_secs(),
        }))
    })
    .await
}
