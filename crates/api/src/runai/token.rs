//! Signing in: the three endpoints that give access tokens.
//!
//! They need no token themselves, and ignore one that is sent. Bad credentials are a 400 where the client would otherwise
//! retry a 401 for seconds and then fail without saying why; the OAuth endpoint follows OAuth's own rule.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use reeve_control::{identity, secret::Secret};
use reeve_model::{Error, Kind, Result, actor::IdentityKind};
use serde_json::{Map, Value, json};

use super::{
    error::Failure,
    extract::{Object, Raw, required},
};
use crate::{
    App,
    request::{self, Credential},
};

/// An access token with its life in seconds.
struct Token {
    text: Secret,
    seconds: u64,
}

/// Verifies a name and a secret of an identity of `kind`, and gives it a token.
async fn sign_in(app: &App, kind: IdentityKind, id: Option<&str>, name: &str, secret: &str) -> Result<Token> {
    let wrong = || Error::new(Kind::Unauthenticated, "the credentials are wrong");
    let actor = identity::basic(app, name, &Secret::new(secret))
        .await
        .map_err(|error| match error.kind {
            Kind::Unauthenticated => wrong(),
            _ => error,
        })?;
    let same = id.is_none_or(|id| id == actor.name || id.eq_ignore_ascii_case(&actor.id.to_string()));
    if actor.kind != kind || !same {
        return Err(wrong());
    }
    let (text, life) = identity::issue(app, &actor, None)?;
    Ok(Token {
        text,
        seconds: life.as_secs(),
    })
}

/// `POST /api/v1/token`.
pub(super) async fn grant(State(app): State<App>, Object(body): Object) -> Result<Response, Failure> {
    let token = granted(&app, &Fields::of(&body))
        .await
        .map_err(|error| Failure::from(error).at_token_endpoint())?;
    Ok(fresh(
        json!({ "accessToken": token.text.expose(), "expiresIn": token.seconds }),
    ))
}

async fn granted(app: &App, fields: &Fields) -> Result<Token> {
    let kind = fields.need(&["grantType"])?;
    match kind.to_ascii_lowercase().as_str() {
        "app_token" | "client_credentials" => {
            let name = fields.need(&["clientId", "appId"])?;
            let secret = fields.need(&["clientSecret", "appSecret"])?;
            sign_in(app, IdentityKind::Application, None, &name, &secret).await
        }
        "password" => {
            let (name, password) = (fields.need(&["username"])?, fields.need(&["password"])?);
            sign_in(app, IdentityKind::User, None, &name, &password).await
        }
        "refresh_token" | "exchange_token" | "external_token_exchange" => Err(Error::new(
            Kind::Unsupported,
            format!("the grant type {kind} is unsupported by this version"),
        )),
        _ => Err(Error::invalid("grantType", format!("unknown grant type \"{kind}\""))),
    }
}

/// Body fields by name without case: every source of this API spells them in its own way.
struct Fields(Map<String, Value>);

impl Fields {
    fn of(body: &Map<String, Value>) -> Self {
        let mut fields = Map::new();
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            fields.entry(name.to_ascii_lowercase()).or_insert_with(|| value.clone());
        }
        Self(fields)
    }

    /// The first of `names` that is there.
    fn need(&self, names: &[&str]) -> Result<String> {
        let lower = |name: &&str| name.to_ascii_lowercase();
        let name = names
            .iter()
            .map(lower)
            .find(|name| self.0.contains_key(name))
            .unwrap_or_else(|| names[0].to_lowercase());
        required(&self.0, &name).map_err(|error| Error::invalid(names[0], error.message.replace(&name, names[0])))
    }
}

/// `POST /v1/k8s/auth/oauth/apptoken`.
pub(super) async fn application(State(app): State<App>, Object(body): Object) -> Result<Response, Failure> {
    let (id, name, secret) = (
        required(&body, "id")?,
        required(&body, "name")?,
        required(&body, "secret")?,
    );
    let token = sign_in(&app, IdentityKind::Application, Some(&id), &name, &secret)
        .await
        .map_err(|error| Failure::from(error).at_token_endpoint())?;
    Ok(fresh(
        json!({ "access_token": token.text.expose(), "id_token": token.text.expose() }),
    ))
}

/// `POST /api/v2/token`: OAuth 2.0 with a form.
pub(super) async fn oauth(State(app): State<App>, headers: HeaderMap, Raw(body): Raw) -> Result<Response, Failure> {
    let form = match Form::read(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let (kind, name, secret, wrong) = match form.credentials() {
        Ok(found) => found,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    match sign_in(&app, kind, None, &name, &secret).await {
        Ok(token) => Ok(fresh(json!({
            "access_token": token.text.expose(), "token_type": "Bearer", "expires_in": token.seconds,
        }))),
        Err(error) if error.kind == Kind::Unauthenticated => Ok(wrong.into_response()),
        Err(error) => Err(error.into()),
    }
}

/// A token is for its caller alone: no cache between us may keep it.
fn fresh(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// An OAuth error object.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        let status = if error == "invalid_client" {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::BAD_REQUEST
        };
        Self {
            status,
            error,
            description: description.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (
            self.status,
            fresh(json!({ "error": self.error, "error_description": self.description })),
        )
            .into_response()
    }
}

/// The form of an OAuth request with the `Basic` credentials beside it.
#[derive(Debug)]
struct Form {
    fields: Vec<(String, String)>,
    basic: Option<(String, Secret)>,
}

impl Form {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let fields = serde_urlencoded::from_bytes(body)
            .map_err(|error| Refusal::new("invalid_request", format!("the body is not a form: {error}")))?;
        let basic = match request::authorization(headers) {
            Some(Credential::Basic(name, secret)) => Some((name, secret)),
            _ => None,
        };
        Ok(Self { fields, basic })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str) -> Result<String, Refusal> {
        self.get(name)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::new("invalid_request", format!("{name} is missing")))
    }

    /// Whom to verify, and what to answer when that fails.
    fn credentials(&self) -> Result<(IdentityKind, String, String, Refusal), Refusal> {
        match self.need("grant_type")?.as_str() {
            "client_credentials" => {
                let (name, secret) = match (&self.basic, self.get("client_id")) {
                    (Some((name, secret)), None) => (name.clone(), secret.expose().to_owned()),
                    _ => (self.need("client_id")?, self.need("client_secret")?),
                };
                let wrong = Refusal::new("invalid_client", "the client's credentials are wrong");
                Ok((IdentityKind::Application, name, secret, wrong))
            }
            "password" => {
                let wrong = Refusal::new("invalid_grant", "the user's credentials are wrong");
                Ok((
                    IdentityKind::User,
                    self.need("username")?,
                    self.need("password")?,
                    wrong,
                ))
            }
            other => Err(Refusal::new(
                "unsupported_grant_type",
                format!("\"{other}\" is unsupported by this version"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: Value) -> Fields {
        Fields::of(body.as_object().expect("object"))
    }

    #[test]
    fn every_spelling_of_a_field_is_found_and_null_counts_as_absent() {
        for name in ["AppId", "appID", "appId", "clientId", "clientID"] {
            let mut body = json!({ "grantType": "app_token" });
            body[name] = "ci-bot".into();
            assert_eq!(fields(body).need(&["clientId", "appId"]).expect(name), "ci-bot");
        }
        let error = fields(json!({ "AppId": null }))
            .need(&["clientId", "appId"])
            .expect_err("null");
        assert_eq!(
            error.kind,
            Kind::Invalid {
                field: "clientId".into()
            }
        );
    }

    #[test]
    fn an_empty_form_is_an_invalid_request_and_basic_credentials_stand_in_for_fields() {
        let empty = Form::read(&HeaderMap::new(), b"")
            .expect("form")
            .credentials()
            .expect_err("empty");
        assert_eq!(
            (empty.status, empty.error),
            (StatusCode::BAD_REQUEST, "invalid_request")
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            "Basic Y2ktYm90OnNlY3JldA==".parse().expect("header"),
        );
        let form = Form::read(&headers, b"grant_type=client_credentials").expect("form");
        let (_, name, secret, wrong) = form.credentials().expect("basic");
        assert_eq!((name.as_str(), secret.as_str()), ("ci-bot", "secret"));
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_grant_that_is_not_offered_is_named() {
        let form = Form::read(&HeaderMap::new(), b"grant_type=refresh_token&refresh_token=x").expect("form");
        assert_eq!(
            form.credentials().expect_err("unsupported").error,
            "unsupported_grant_type"
        );
    }
}
