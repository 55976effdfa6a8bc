//! The verified caller of a request, and access tokens.

use axum::{Json, extract::FromRequestParts, http::request::Parts, response::Response};
use reeve_control::{Ctx, identity};
use reeve_model::Error;
use reeve_wire::native::Token;
use utoipa::IntoParams;

use super::{
    error::{Refusal, answer},
    input::Query,
};
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

/// Longest name of an audience, bytes.
const AUDIENCE_MAX: usize = 512;

/// Whom a token is for.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct For {
    /// Another installation that trusts this one, by the audience it expects. Such a token is of no use here.
    pub audience: Option<String>,
}

/// Issues an access token to the caller.
#[utoipa::path(post, path = "/reeve/v1/token", tag = "server", params(For),
    responses((status = 200, body = Token)))]
pub async fn token(Caller(ctx): Caller, Query(wanted): Query<For>) -> Response {
    answer(&ctx, async {
        let audience = wanted.audience.as_deref();
        let fits =
            |text: &str| (1..=AUDIENCE_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !audience.is_none_or(fits) {
            return Err(Error::invalid(
                "audience",
                format!("an audience has 1 to {AUDIENCE_MAX} visible letters"),
            ));
        }
        let (token, life) = identity::issue(&ctx.core, &ctx.actor, audience)?;
        Ok(Json(Token {
            access_token: token.into_exposed(),
            token_type: "Bearer".into(),
            expires_in: life.as_secs(),
        }))
    })
    .await
}
